import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { errorFrom, HoldfastError } from '@holdfast/protocol'
import { WebSocketServer } from 'ws'
import { openCompatSessions } from '../compat/sessions.ts'
import { openCompatTerminal } from '../compat/terminal.ts'
import { arrivalFrom, checkParameters, urlFromRequest } from '../http/arrival.ts'
import { sendErrorAndClose } from '../http/send-error.ts'
import type { Admission, Host } from '../host.ts'
import { attachOptionsFromQuery, cursorFromQuery } from '../query.ts'
import { closeWith } from './close.ts'
import { SocketSession } from './socket.ts'
import type { SocketOptions } from './socket-options.ts'
import { SUBPROTOCOLS } from './subprotocols.ts'

/** Not made inside a request's handler: whatever that knows would live as long as the socket. */
const ignore = (): void => undefined

export interface Upgrades {
  /** Takes an upgrade; a path with no socket behind it is accepted and closed with 4404. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** The WebSocket doors, `/ws` and the old ones: Origin and Host are refused by plain HTTP, anything later by a close that a browser can read. */
export function createUpgrades(host: Host): Upgrades {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    maxPayload: host.limits.input_bytes,
    // An unknown subprotocol is accepted under its first name, and closed with the list.
    handleProtocols: protocols => SUBPROTOCOLS.find(name => protocols.has(name)) ?? protocols.values().next().value ?? false,
  })
  // What is no handshake of WebSocket is answered by HTTP, with a body of the error table.
  server.on('wsClientError', (cause, socket) => {
    host.countRefusal('invalid_request')
    sendErrorAndClose(socket, new HoldfastError('invalid_request', `This is no WebSocket handshake: ${cause.message}.`, {}, { cause }))
  })
  return {
    handle(request, socket, head) {
      // Node takes its own listener away before an upgrade: a reset would end the process.
      socket.on('error', ignore)
      let url = new URL('http://localhost/')
      let admission: Admission | undefined
      let refusal: HoldfastError | undefined
      try {
        url = urlFromRequest(request)
        admission = host.admit(arrivalFrom(request, url, 'socket'))
        checkParameters(url.searchParams)
      } catch (thrown) {
        refusal = errorFrom(thrown)
      }
      if (refusal?.code === 'origin_rejected') {
        host.countRefusal(refusal.code)
        return sendErrorAndClose(socket, refusal)
      }
      server.handleUpgrade(request, socket, head, webSocket => {
        webSocket.on('error', ignore)
        try {
          if (refusal) throw refusal
          if (host.isDraining) throw new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
          if (url.pathname === '/compat/sessions/ws') return openCompatSessions(host, accessOfOld(admission as Admission), webSocket, socket as Socket)
          if (url.pathname === '/compat/terminal/ws')
            return openCompatTerminal(host, accessOfOld(admission as Admission), url.searchParams, webSocket, socket as Socket)
          if (url.pathname !== '/ws') throw new HoldfastError('not_found', `There is no socket at ${url.pathname.slice(0, 80)}.`)
          const options = socketOptions(host, admission as Admission, request, url)
          checkSubprotocol(webSocket.protocol)
          new SocketSession({ ...options, socket: webSocket, raw: socket as Socket, isBinary: webSocket.protocol === 'holdfast.v1+binary' })
        } catch (thrown) {
          const error = errorFrom(thrown)
          host.countRefusal(error.code)
          closeWith(webSocket, error)
        }
      })
    },
  }
}

/** Old clients know no first message, so they need a header or a ticket where a token is needed. */
function accessOfOld(admission: Admission): Admission {
  if (admission.needsAuthMessage) throw new HoldfastError('unauthorized', 'This socket needs an Authorization header or a ticket.')
  return admission
}

function socketOptions(host: Host, admission: Admission, request: IncomingMessage, url: URL): Omit<SocketOptions, 'socket' | 'raw' | 'isBinary'> {
  const query = url.searchParams
  const options = attachOptionsFromQuery(query, cursorFromQuery(query, ['cursor', 'last_seen_seq']))
  const sessionId = query.get('session_id')
  return {
    host,
    access: admission.needsAuthMessage ? undefined : admission,
    mayRaise: admission.mayRaise,
    remoteAddress: request.socket.remoteAddress,
    clientId: options.clientId,
    target: sessionId === null ? undefined : { sessionId, options },
  }
}

function checkSubprotocol(name: string): void {
  if (name === '' || (SUBPROTOCOLS as readonly string[]).includes(name)) return
  throw new HoldfastError('unsupported_version', `Spoken here: ${SUBPROTOCOLS.join(', ')}.`, { supported: SUBPROTOCOLS })
}
