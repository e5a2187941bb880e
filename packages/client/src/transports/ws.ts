import { textsFromFrame } from '@holdfast/protocol/wire'
import { type Failure, failureFromClose, transportFailure } from '../failure.ts'
import { encodeMessage, type Message, messageFromText } from '../message.ts'
import type { WebSocketConstructor } from '../ports.ts'
import type { ChannelListener, ClientTransport } from '../transport.ts'

export interface WsOptions {
  /** Needed where there is no global one (Node below 22). */
  readonly WebSocket?: WebSocketConstructor
  /** Asks for batched binary frames. */
  readonly binary?: boolean
}

/** The id of the one auth message of a socket. */
const AUTH_ID = 'auth'

/** True where WebSockets can be opened at all. */
export const hasWebSocket = (options: WsOptions = {}): boolean => socketConstructor(options) !== undefined

const socketConstructor = (options: WsOptions): WebSocketConstructor | undefined =>
  options.WebSocket ?? (globalThis as unknown as { WebSocket?: WebSocketConstructor }).WebSocket

/** WebSocket: one socket for all readers of a client; the token goes in the first message, so it is never in a URL. */
export function wsTransport(options: WsOptions = {}): ClientTransport {
  return {
    name: 'ws',
    heartbeats: true,
    open: (url, token, listener) => {
      const Socket = socketConstructor(options)
      let over = false
      const end = (failure: Failure): void => {
        if (over) return
        over = true
        listener.closed(failure)
      }
      if (!Socket) {
        queueMicrotask(() => end(transportFailure('unreachable', 'This runtime has no WebSocket; pass one.')))
        return { attach: () => {}, detach: () => {}, close: () => {} }
      }
      const socket = new Socket(socketUrl(url, listener.clientId), [options.binary ? 'holdfast.v1+binary' : 'holdfast.v1+json'])
      socket.binaryType = 'arraybuffer'
      const send = (frame: string): void => {
        if (!over && socket.readyState === 1) socket.send(frame)
      }
      const drop = (failure: Failure): void => {
        end(failure)
        socket.close()
      }
      socket.onopen = () => {
        if (over) return
        if (token === undefined) listener.opened()
        else send(encodeMessage('protocol.auth', { id: AUTH_ID }, { token }))
      }
      socket.onmessage = (event: { data: unknown }) => {
        if (over) return
        listener.alive()
        try {
          for (const text of textsFromData(event.data)) take(messageFromText(text), listener)
        } catch (error) {
          drop(transportFailure('bad_data', 'The socket delivered what is not of the protocol.', {}, error))
        }
      }
      socket.onclose = (event: { code: number; reason: string }) => end(failureFromClose(event.code, event.reason))
      // The close event that follows says more, where there is one.
      socket.onerror = () => {}
      return {
        attach: request =>
          send(
            encodeMessage(
              'protocol.resume',
              { id: request.messageId, session_id: request.sessionId },
              { last_seen_seq: request.cursor, mode: request.mode, window_bytes: request.windowBytes, on_missing: request.onMissing },
            ),
          ),
        detach: sessionId => send(encodeMessage('protocol.detach', { session_id: sessionId }, {})),
        send,
        ping: () => send(encodeMessage('protocol.ping', {}, {})),
        close: () => {
          over = true
          socket.close(1000)
        },
      }
    },
  }
}

function take(message: Message, listener: ChannelListener): void {
  if (message.header.reply_to === AUTH_ID && message.type === 'protocol.ack') listener.opened()
  else void listener.message(message)
}

function textsFromData(data: unknown): readonly string[] {
  if (typeof data === 'string') return [data]
  if (data instanceof ArrayBuffer) return textsFromFrame(new Uint8Array(data))
  throw new TypeError('a frame is neither text nor an ArrayBuffer')
}

const socketUrl = (url: string, clientId: string): string => `${url.replace(/^http/, 'ws')}/ws?client_id=${encodeURIComponent(clientId)}`
