import { createServer, type IncomingMessage, maxHeaderSize, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { errorFrom, FEED_ID, HoldfastError, isId } from '@holdfast/protocol'
import type { Hono } from 'hono'
import type { Access, Host } from '../host.ts'
import { refuseStream, serveStream } from '../stream/sse.ts'
import { SUBPROTOCOLS } from '../ws/subprotocols.ts'
import { createAllowedMethods } from './allowed-methods.ts'
import { type AppBindings, refusal } from './app.ts'
import { serveAppend } from './append.ts'
import { arrivalFrom, checkParameters, urlFromRequest } from './arrival.ts'
import { allowCrossOrigin, answerOptions } from './cross-origin.ts'
import { createExchanges, type Exchanges } from './exchanges.ts'
import { headerOf } from './header.ts'
import { servePoll } from './poll.ts'
import { sendError, sendErrorAndClose } from './send-error.ts'
import { isStreamAnswer, sendStream } from './stream-answer.ts'

const EVENTS_PATH = /^\/sessions\/([^/]+)\/events$/

/** Idle keep-alive connections are kept longer than proxies keep theirs, so that these never meet a closed one. */
const KEEP_ALIVE_MS = 75_000

/** A connection with more than this waiting is full: one turn of a reader that takes nothing, and no second one. */
const FULL_BYTES = 16 * 1024

/** Sockets only; asked by plain HTTP they say so. */
const SOCKET_PATHS: ReadonlySet<string> = new Set(['/ws', '/compat/sessions/ws', '/compat/terminal/ws'])

export interface NodeServerOptions {
  readonly host: Host
  readonly app: Hono<AppBindings>
  /** Pages on these may read answers. */
  readonly allowOrigins: readonly string[]
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

export interface NodeServer {
  readonly server: Server
  readonly exchanges: Exchanges
}

/** The HTTP server: one guard for all, event streams below the Fetch routes. Whatever it refuses, it refuses with a body of the error table. */
export function createNodeServer({ host, app, allowOrigins, tls }: NodeServerOptions): NodeServer {
  const accesses = new WeakMap<IncomingMessage, Access>()
  const allowedMethods = createAllowedMethods(app)
  const listener = getRequestListener(
    async (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse }
      const response = await app.fetch(request, { access: accesses.get(incoming) as Access })
      if (!isStreamAnswer(response)) return response
      sendStream(response, outgoing).catch((thrown: unknown) => {
        if (!(thrown instanceof HoldfastError)) return host.logger.debug('an answer was cut off', { error: String(thrown) })
        host.countRefusal(thrown.code)
        host.logger.warn('an answer broke off', { error: thrown.message, code: thrown.code })
      })
      return RESPONSE_ALREADY_SENT
    },
    { overrideGlobalObjects: false, errorHandler: thrown => refusal(host, (thrown as Error)?.name === 'RequestError' ? notAnAddress(thrown) : thrown) },
  )
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('x-content-type-options', 'nosniff')
    allowCrossOrigin(request, response, allowOrigins)
    let streams = false
    try {
      const url = urlFromRequest(request)
      streams = wantsStream(request) && isStreamPath(url.pathname)
      const access = host.admit(arrivalFrom(request, url, streams ? 'stream' : 'request'))
      checkParameters(url.searchParams)
      accesses.set(request, access)
      if (streams) return void serveStream(host, access, request, response, url, streamTarget(url))
      if (request.method === 'GET' && isPollPath(url.pathname)) {
        const isFeed = url.pathname === '/feed/events'
        return servePoll(host, access, request, response, isFeed ? FEED_ID : decoded(EVENTS_PATH.exec(url.pathname)?.[1] ?? ''), url.searchParams, isFeed)
      }
      const sessionId = request.method === 'POST' ? EVENTS_PATH.exec(url.pathname)?.[1] : undefined
      if (sessionId !== undefined) return serveAppend(host, access, request, response, decoded(sessionId), url.searchParams)
      const methods = allowedMethods(url.pathname)
      if (request.method === 'OPTIONS') return answerOptions(request, response, methods)
      if (SOCKET_PATHS.has(url.pathname)) {
        response.setHeader('upgrade', 'websocket')
        throw new HoldfastError('unsupported_version', 'This is a WebSocket; ask for an upgrade.', { supported: SUBPROTOCOLS })
      }
      if (!methods.includes(request.method ?? '')) {
        if (methods.length > 0) response.setHeader('allow', ['OPTIONS', ...methods].join(', '))
        throw new HoldfastError('not_found', `There is nothing at ${request.method} ${url.pathname.slice(0, 200)}.`, methods.length > 0 ? { methods } : {})
      }
    } catch (thrown) {
      const error = errorFrom(thrown)
      host.countRefusal(error.code)
      return streams ? refuseStream(response, error) : sendError(response, error)
    }
    void listener(request, response)
  }
  const exchanges = createExchanges(answer, host.times.stallMs)
  const options: ServerOptions = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    highWaterMark: FULL_BYTES,
    // A missing Host is refused by the guard, with a body.
    requireHostHeader: false,
    // Other upgrades (h2c) are offers that may be ignored.
    shouldUpgradeCallback: request => headerOf(request, 'upgrade')?.toLowerCase() === 'websocket',
  }
  const server = tls ? createTlsServer({ ...options, cert: tls.cert, key: tls.key }) : createServer(options)
  server.on('request', (request, response) => exchanges.take(request, response))
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    response.shouldKeepAlive = false
    request.resume()
    sendError(response, new HoldfastError('invalid_request', 'The Expect header asks for something unknown.', { field: 'Expect' }))
  })
  server.on('clientError', (thrown: NodeJS.ErrnoException, socket: Socket) => {
    // In the middle of an answer, an error would be read as part of it.
    if (thrown.code === 'ECONNRESET' || exchanges.hasBegun(socket)) return void socket.destroy()
    const error = errorFromParser(thrown.code)
    host.countRefusal(error.code)
    sendErrorAndClose(socket, error)
  })
  return { server, exchanges }
}

const notAnAddress = (cause: unknown): HoldfastError => new HoldfastError('invalid_request', 'The address is not a URL.', {}, { cause })

function errorFromParser(code: string | undefined): HoldfastError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HoldfastError('too_large', 'The request line and headers have at most 16 KiB.', { limit: 'header_bytes', max: maxHeaderSize })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HoldfastError('invalid_request', 'The request did not come whole in time.')
  return new HoldfastError('invalid_request', 'This is not HTTP/1.1.')
}

const wantsStream = (request: IncomingMessage): boolean =>
  request.method === 'GET' && (headerOf(request, 'accept') ?? '').toLowerCase().includes('text/event-stream')

const isPollPath = (path: string): boolean => path === '/feed/events' || EVENTS_PATH.test(path)

const isStreamPath = (path: string): boolean => path === '/events' || isPollPath(path)

/** Which stream a path names: one session, the feed, or (undefined) several by `attach`. Throws `invalid_request` and `id_mismatch`. */
function streamTarget(url: URL): string | undefined {
  if (url.pathname === '/events') return undefined
  if (url.pathname === '/feed/events') return FEED_ID
  const sessionId = decodeId(EVENTS_PATH.exec(url.pathname)?.[1] ?? '')
  const other = url.searchParams.get('session_id')
  if (other !== null && other !== sessionId) throw new HoldfastError('id_mismatch', 'session_id is another than the id in the path.', { session_id: sessionId })
  return sessionId
}

function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

function decodeId(encoded: string): string {
  const id = decoded(encoded)
  if (!isId(id)) throw new HoldfastError('invalid_request', 'A session id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'session_id' })
  return id
}
