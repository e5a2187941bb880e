import type { Event, Gap, Hello } from '@holdfast/protocol'
import { ALL, type Connection, type ConnectionUser } from './connection.ts'
import type { ConnectionPolicy, ConnectionState } from './connection-state.ts'
import { type ClientError, type Failure, failureFromBody, failureFromThrown, transportFailure } from './failure.ts'
import type { Message } from './message.ts'
import type { Random } from './ports.ts'
import { cursorOfPlace, initialReader, type ReaderState, readerAfter, readerLost, readerRequested } from './reader.ts'

export interface WatchOptions {
  /** All kinds without it. */
  readonly kinds?: readonly string[]
  readonly onEvent: (event: Event, context: { readonly sessionId: string; readonly cursor: string; readonly live: boolean }) => void
  /** A session was seen for the first time, or again after a reconnect. */
  readonly onSession?: (hello: Hello) => void
  /** Another history of this session: what was built from the old one is void. */
  readonly onReset?: (sessionId: string) => void
  readonly onGap?: (sessionId: string, gap: Gap) => void
  readonly onSnapshot?: (sessionId: string, snapshot: { readonly seq: number; readonly state: unknown }) => void
  /** A session is over for this watch: deleted, expired, refused. */
  readonly onEnd?: (sessionId: string, error: ClientError) => void
  readonly onStatus?: (state: WatchState) => void
  readonly signal?: AbortSignal
}

export interface WatchState {
  readonly phase: 'connecting' | 'watching' | 'waiting' | 'failed' | 'closed'
  readonly retryInMs?: number
  readonly error?: ClientError
}

export interface Watch {
  readonly state: WatchState
  /** Last seq per session. */
  readonly seqs: ReadonlyMap<string, number>
  reconnect(): void
  close(): void
}

/** Follows every session that the principal may see, over a WebSocket of its own; after a reconnect each goes on where it was. */
export function createWatch(connection: Connection, options: WatchOptions, ports: { readonly random: Random; readonly policy: ConnectionPolicy }): Watch {
  const readers = new Map<string, ReaderState>()
  /** Sessions of the first `protocol.watching` start at their head; all that come later are read from their start. */
  let known = false
  let answered = false
  let closed = false
  let state: WatchState = { phase: 'connecting' }

  const show = (line: ConnectionState): void => {
    const next = stateFrom(line, answered, closed)
    if (next.phase === state.phase && next.error === state.error && next.retryInMs === state.retryInMs) return
    state = next
    options.onStatus?.(next)
  }

  const resume = (sessionId: string, reader: ReaderState): void => {
    const messageId = ports.random.id()
    const next = readerRequested({ ...reader, mode: 'replay' }, messageId)
    readers.set(sessionId, next)
    connection.attach({ sessionId, messageId, cursor: cursorOfPlace(next.safe), mode: 'replay' })
  }

  /** A watch attaches at the head; a reader that is elsewhere asks for its own place instead. */
  const greeted = (sessionId: string, message: Message): void => {
    const hello = message.payload as Hello
    const reader = readers.get(sessionId)
    if (reader?.phase === 'requested' && message.header.reply_to === reader.requestId) return step(sessionId, reader, message)
    if (reader && !answered && (reader.safe.seq !== hello.head_seq || reader.safe.epoch !== hello.epoch)) return resume(sessionId, reader)
    if (!reader && known && !answered && hello.head_seq > 0) return resume(sessionId, initialReader({ epoch: hello.epoch, seq: 0 }, 'replay'))
    const fresh = readerRequested(reader ?? initialReader(undefined, answered ? 'replay' : 'live'), message.header.reply_to ?? '')
    step(sessionId, fresh, message)
  }

  const step = (sessionId: string, reader: ReaderState, message: Message): void => {
    const { reader: next, deliveries, fault } = readerAfter(reader, message)
    readers.set(sessionId, next)
    if (fault !== undefined) return connection.fault(transportFailure('bad_data', `Session ${sessionId}: ${fault}.`))
    for (const delivery of deliveries) {
      if (delivery.type === 'hello') options.onSession?.(delivery.hello)
      else if (delivery.type === 'reset') options.onReset?.(sessionId)
      else if (delivery.type === 'gap') options.onGap?.(sessionId, delivery.gap)
      else if (delivery.type === 'snapshot') options.onSnapshot?.(sessionId, delivery)
      else if (delivery.type === 'event') {
        connection.progress()
        options.onEvent(delivery.event, { sessionId, cursor: delivery.cursor, live: delivery.live })
      }
    }
  }

  const ended = (sessionId: string, failure: Failure): void => {
    const reader = readers.get(sessionId)
    if (failure.retryable && reader) return resume(sessionId, readerLost(reader))
    readers.delete(sessionId)
    options.onEnd?.(sessionId, failure.error)
  }

  const user: ConnectionUser = {
    sessionId: ALL,
    opened: () => {
      answered = false
      const id = ports.random.id()
      connection.request('protocol.watch', { id }, options.kinds ? { kinds: options.kinds } : {}, ports.policy.connectMs * 3).then(
        () => {
          answered = true
          known = true
          show(connection.state)
        },
        thrown => {
          const failure = failureFromThrown(thrown)
          if (connection.state.phase === 'open') connection.fault(failure)
        },
      )
    },
    received: message => {
      const sessionId = message.header.session_id
      if (sessionId === undefined || closed) return
      if (message.type === 'protocol.hello') return greeted(sessionId, message)
      const reader = readers.get(sessionId)
      if (message.type === 'protocol.error') return ended(sessionId, failureFromBody(message.payload))
      if (reader) step(sessionId, reader, message)
    },
    head: (sessionId, seq) => {
      const reader = readers.get(sessionId)
      if (reader?.phase === 'live' && seq > reader.seq) resume(sessionId, reader)
    },
    lost: () => {
      answered = false
      for (const [id, reader] of readers) readers.set(id, readerLost(reader))
    },
    changed: show,
  }
  connection.join(user)

  const close = (): void => {
    if (closed) return
    closed = true
    connection.leave(user)
    connection.close()
    show(connection.state)
  }
  if (options.signal?.aborted) close()
  options.signal?.addEventListener('abort', close, { once: true })
  return {
    get state() {
      return state
    },
    get seqs() {
      return new Map([...readers].map(([id, reader]) => [id, reader.safe.seq]))
    },
    reconnect: () => connection.reconnect(),
    close,
  }
}

function stateFrom(line: ConnectionState, answered: boolean, closed: boolean): WatchState {
  if (closed || line.phase === 'closed') return { phase: 'closed' }
  const error = line.failure ? { error: line.failure.error } : {}
  if (line.phase === 'failed') return { phase: 'failed', ...error }
  if (line.phase === 'waiting') return { phase: 'waiting', retryInMs: line.delayMs, ...error }
  return { phase: line.phase === 'open' && answered ? 'watching' : 'connecting', ...(line.phase === 'open' && answered ? {} : error) }
}
