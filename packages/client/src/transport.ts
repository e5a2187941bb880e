import type { Mode } from '@holdfast/protocol'
import type { Failure } from './failure.ts'
import type { Message } from './message.ts'

/** What one reader asks of a channel. */
export interface AttachRequest {
  readonly sessionId: string
  /** Id of the message, so that its answers can be told from older ones. */
  readonly messageId: string
  readonly cursor: string | undefined
  readonly mode: Mode
  readonly windowBytes?: number
  readonly onMissing?: 'new'
}

/** What a channel tells; after `closed` nothing more comes. */
export interface ChannelListener {
  readonly clientId: string
  /** Counts connections; part of every later URL, so that a cache that kept an error is not asked again (fault 20). */
  readonly attempt: number
  opened(): void
  /** Something came, be it a comment. */
  alive(): void
  /** One message; `sessionId` where the channel knows better than the header. A promise means: don't read on before. */
  message(message: Message, sessionId?: string): void | Promise<void>
  closed(failure: Failure): void
}

/** One connection's worth of a transport, carrying any number of readers. */
export interface Channel {
  attach(request: AttachRequest): void
  detach(sessionId: string): void
  /** Sends a frame; absent where a transport only reads, and inputs go by POST. */
  readonly send?: (frame: string) => void
  /** Makes the server show life; absent where only silence can tell. */
  readonly ping?: () => void
  close(): void
}

/** A way to the server. `url` is the server's base, http or https, without a slash at the end. */
export interface ClientTransport {
  readonly name: 'ws' | 'sse' | 'poll'
  /** True where a quiet connection is heard from every `heartbeat_ms`. */
  readonly heartbeats: boolean
  open(url: string, token: string | undefined, listener: ChannelListener): Channel
}
