import type { Hello, Mode } from '@holdfast/protocol'
import { type Cursor, FEED_ID } from '@holdfast/protocol/wire'
import { backoffMs } from './backoff.ts'
import type { Connection, ConnectionUser } from './connection.ts'
import type { ConnectionPolicy } from './connection-state.ts'
import { createCreditMeter } from './credit.ts'
import type { CursorKeeper } from './cursor-keeper.ts'
import { type Applied, type Apply, createDeliveryQueue } from './delivery-queue.ts'
import { type ClientError, type Failure, failureFromBody, TransportError, transportFailure } from './failure.ts'
import { encodeMessage, type Message } from './message.ts'
import type { Clock, Random } from './ports.ts'
import { cursorOfPlace, type Delivery, initialReader, type Place, readerAfter, readerAtHead, readerLost, readerRequested } from './reader.ts'

/** What is to be seen of an attachment; a new object with every change. */
export interface AttachmentState {
  /** `replaying` from hello until everything that was there has been applied, then `live`; `failed` until `reconnect()`. */
  readonly phase: 'connecting' | 'replaying' | 'live' | 'waiting' | 'failed' | 'closed'
  readonly transport: 'ws' | 'sse' | 'poll'
  /** Failures in a row. */
  readonly tries: number
  /** With `waiting`: the time until the next try. */
  readonly retryInMs?: number
  /** Why it is not connected, or (in any phase) why it gets no further. */
  readonly error?: ClientError
  /** The newest hello: session, role, limits. */
  readonly hello?: Hello
}

export interface AttachmentOptions {
  readonly sessionId: string
  readonly mode: Mode
  readonly resumeMode: (() => Mode | undefined) | undefined
  readonly cursor: Cursor | undefined
  readonly windowBytes: number | undefined
  readonly manualCredit: boolean
  readonly onMissing: 'new' | undefined
  readonly apply: Apply
  readonly onControl: (message: Message) => void
  readonly onState: (state: AttachmentState) => void
  /** The session id turned out to be another (`on_missing=new`). */
  readonly onRenamed: (sessionId: string) => void
  readonly keeper: CursorKeeper | undefined
  readonly clock: Clock
  readonly random: Random
  readonly policy: ConnectionPolicy
  /** Finds a connection that has no reader of this session yet. */
  readonly place: (sessionId: string) => Connection
}

export interface AttachmentCore {
  readonly sessionId: string
  readonly state: AttachmentState
  /** What was applied, in the form of a cursor; undefined before anything was. */
  readonly cursor: string | undefined
  readonly lastSeq: number
  /** The connection, while this reader is attached to it. */
  readonly attached: Connection | undefined
  credit(seq?: number): void
  reconnect(): void
  close(): void
}

/** Attaches that get no further, before that is said aloud (fault 29). */
const STUCK_TRIES = 3
/** Deliveries that may wait for the application before a stream is no longer read. */
const QUEUE_HIGH = 1000
/** Between a heartbeat that shows a newer head and the conclusion that its events got lost (fault 18). */
const LOST_WAKE_MS = 2000

/** One reader of one session: attaches whenever its connection is open, gives every event once, in order (SEQ-16). */
export function createAttachment(options: AttachmentOptions): AttachmentCore {
  const { clock, random, policy } = options
  let sessionId = options.sessionId
  let reader = initialReader(options.cursor, options.mode)
  let applied: Place = reader.safe
  let shownSeq = applied.seq
  let connection: Connection | undefined
  let shown: 'connecting' | 'replaying' | 'live' = 'connecting'
  let hello: Hello | undefined
  /** Attaches in a row that got no further, and refusals in a row. */
  let stuck = 0
  let refusals = 0
  let failure: Failure | undefined
  let closed = false
  let hasCaughtUp = false
  let doubtedHead = 0
  let unsaved = 0
  let cancelWait: (() => void) | undefined
  let waitMs = 0
  let cancelDoubt: (() => void) | undefined
  let cancelAnswer: (() => void) | undefined

  const meter = options.windowBytes === undefined || options.manualCredit ? undefined : createCreditMeter(clock, options.windowBytes, seq => sendCredit(seq))
  const queue = createDeliveryQueue(
    options.apply,
    (delivery, how) => afterApplied(delivery, how),
    thrown => {
      const error = thrown instanceof TransportError ? thrown : transportFailure('handler', 'The handler of an event threw.', {}, thrown).error
      fail({ error, retryable: false })
    },
  )

  let state = describe()
  function describe(): AttachmentState {
    const line = connection?.state
    const base = { transport: connection?.transport.name ?? 'ws', tries: Math.max(line?.tries ?? 0, stuck, refusals), ...(hello ? { hello } : {}) } as const
    const given = (error: ClientError | undefined): { error?: ClientError } => (error ? { error } : {})
    if (closed) return { ...base, phase: 'closed', ...given(failure?.error) }
    if (failure) return { ...base, phase: 'failed', error: failure.error }
    if (line?.phase === 'failed') return { ...base, phase: 'failed', error: line.failure.error }
    if (line?.phase === 'waiting') return { ...base, phase: 'waiting', retryInMs: line.delayMs, ...given(line.failure?.error) }
    const stall = stuck >= STUCK_TRIES ? stuckError() : undefined
    if (cancelWait) return { ...base, phase: 'waiting', retryInMs: waitMs, ...given(stall ?? lastRefusal) }
    return { ...base, phase: line?.phase === 'open' ? shown : 'connecting', ...given(stall ?? (line?.phase === 'open' ? undefined : line?.failure?.error)) }
  }
  let stallError: TransportError | undefined
  function stuckError(): TransportError {
    stallError ??= new TransportError('no_progress', `The session gets no further than seq ${reader.safe.seq}.`, {
      session_id: sessionId,
      seq: reader.safe.seq,
    })
    return stallError
  }
  let lastRefusal: ClientError | undefined

  const show = (): void => {
    const next = describe()
    const same = (Object.keys({ ...state, ...next }) as (keyof AttachmentState)[]).every(key => state[key] === next[key])
    if (same) return
    state = next
    options.onState(state)
  }

  const sendCredit = (seq: number): void => {
    // Only what this attachment was sent can be credited to it.
    if (reader.phase === 'idle' || reader.phase === 'requested' || seq <= reader.startSeq) return
    connection?.channel?.send?.(encodeMessage('protocol.credit', { id: random.id(), session_id: sessionId }, { seq }))
  }

  const afterApplied = (delivery: Delivery, how: Applied): void => {
    if (delivery.type === 'hello') shown = 'replaying'
    else if (delivery.type === 'reset') shownSeq = delivery.seq
    else if (delivery.type === 'event') settle(delivery.event.header.seq, delivery.cursor.slice(0, delivery.cursor.indexOf('.')), how, delivery.size)
    else if (delivery.type === 'snapshot' || delivery.type === 'caught_up') settle(delivery.seq, hello?.epoch, how, 0)
    if (delivery.type === 'caught_up') shown = 'live'
    if (delivery.type === 'hello' || delivery.type === 'caught_up') show()
  }

  /** The application's state now stands for everything up to `seq`: only now may the cursor be kept. */
  const settle = (seq: number, epoch: string | undefined, { empty, waited }: Applied, size: number): void => {
    applied = { epoch, seq }
    shownSeq = seq
    meter?.applied(seq, size, empty)
    // A run of handlers that are done at once is one turn: nothing can come between them.
    if (!options.keeper || (!empty && !waited && ++unsaved < 64)) return
    unsaved = 0
    options.keeper.save(cursorOfPlace(applied) as string)
  }

  const stopWaiting = (): void => {
    cancelWait?.()
    cancelWait = undefined
    cancelDoubt?.()
    cancelDoubt = undefined
    cancelAnswer?.()
    cancelAnswer = undefined
  }

  const request = (): void => {
    stopWaiting()
    if (!connection?.channel || failure || closed) return
    const messageId = random.id()
    if (hasCaughtUp) reader = { ...reader, mode: options.resumeMode?.() ?? reader.mode }
    reader = readerRequested(reader, messageId)
    meter?.reset()
    cancelAnswer = clock.after(policy.connectMs, () => {
      if (reader.requestId === messageId && reader.phase === 'requested')
        connection?.fault(transportFailure('silent', `Session ${sessionId} was not answered.`))
    })
    connection.attach({
      sessionId,
      messageId,
      cursor: cursorOfPlace(reader.safe),
      mode: reader.mode,
      ...(options.windowBytes === undefined ? {} : { windowBytes: options.windowBytes }),
      ...(options.onMissing === undefined ? {} : { onMissing: options.onMissing }),
    })
  }

  const requestIn = (ms: number): void => {
    stopWaiting()
    if (ms <= 0) return request()
    waitMs = ms
    cancelWait = clock.after(ms, () => {
      request()
      show()
    })
  }

  const fail = (reason: Failure): void => {
    if (closed || failure) return
    failure = reason
    stopWaiting()
    reader = readerLost(reader)
    connection?.leave(user)
    connection = undefined
    const { error } = reason
    if ('code' in error && (error.code === 'session_deleted' || error.code === 'session_expired')) options.keeper?.forget()
    show()
  }

  /** The server refused or ended this attachment: final ones stay, others come back later. */
  const refused = (reason: Failure): void => {
    if (!reason.retryable || refusals + 1 >= policy.maxTries) return fail(reason)
    if (cancelWait) return
    refusals++
    lastRefusal = reason.error
    reader = readerLost(reader)
    shown = 'connecting'
    requestIn(reason.retryInMs ?? Math.max(1, backoffMs(refusals, policy, random.next())))
    show()
  }

  const step = (message: Message): void => {
    const before = reader
    const { reader: next, deliveries, fault } = readerAfter(reader, message)
    reader = next
    if (fault !== undefined) {
      connection?.fault(transportFailure('bad_data', `Session ${sessionId}: ${fault}.`, { session_id: sessionId }))
      return
    }
    const first = deliveries[0]
    if (!first) return
    if (first.type === 'hello') {
      hello = first.hello
      cancelAnswer?.()
      cancelAnswer = undefined
    }
    if (first.type === 'caught_up') {
      refusals = 0
      hasCaughtUp = true
    }
    if (next.safe.seq > before.safe.seq || first.type === 'caught_up') {
      const stalled = stuck > 0
      stuck = 0
      stallError = undefined
      if (first.type === 'event') connection?.progress()
      if (stalled) show()
    }
    queue.push(deliveries)
  }

  /** The server put a new session in the place of one that is gone. */
  const rename = (id: string): void => {
    connection?.leave(user)
    sessionId = id
    reader = initialReader(undefined, options.mode)
    applied = reader.safe
    options.onRenamed(id)
    join()
  }

  const user: ConnectionUser = {
    get sessionId() {
      return sessionId
    },
    opened: () => requestIn(stuck === 0 ? 0 : backoffMs(stuck, policy, random.next())),
    received: message => {
      if (closed || failure) return undefined
      if (message.type === 'protocol.error') {
        const reply = message.header.reply_to
        if (reply === undefined || reply === reader.requestId) refused(failureFromBody(message.payload))
        options.onControl(message)
        return undefined
      }
      const named = message.type === 'protocol.hello' ? (message.payload as Hello).session?.session_id : undefined
      if (options.onMissing === 'new' && named !== undefined && named !== sessionId && sessionId !== FEED_ID) {
        rename(named)
        return undefined
      }
      step(message)
      if (message.header.seq === undefined) options.onControl(message)
      return queue.size > QUEUE_HIGH ? queue.below(QUEUE_HIGH / 2) : undefined
    },
    head: (_id, seq) => {
      const seen = readerAtHead(reader, seq)
      reader = seen.reader
      if (!seen.behind || seq <= doubtedHead || queue.size > 0 || cancelDoubt) return
      cancelDoubt = clock.after(LOST_WAKE_MS, () => {
        cancelDoubt = undefined
        if (reader.phase !== 'live' || reader.seq >= seq || queue.size > 0) return
        doubtedHead = seq
        request()
      })
    },
    lost: ({ error, planned }, heard) => {
      // Lost while it asked or began: this session may be what kills the connection, so it comes back later than others.
      const early = (reader.phase === 'requested' && heard) || (reader.phase === 'replaying' && reader.seq === reader.startSeq)
      if (early && !planned && error instanceof TransportError) stuck++
      stopWaiting()
      reader = readerLost(reader)
      shown = 'connecting'
    },
    changed: () => {
      if (stuck >= policy.maxTries) fail({ error: stuckError(), retryable: false })
      show()
    },
  }

  const join = (): void => {
    connection = options.place(sessionId)
    connection.join(user)
    show()
  }
  join()

  return {
    get sessionId() {
      return sessionId
    },
    get state() {
      return state
    },
    get cursor() {
      return cursorOfPlace(applied)
    },
    get lastSeq() {
      return shownSeq
    },
    get attached() {
      return reader.phase === 'replaying' || reader.phase === 'live' ? connection : undefined
    },
    credit: seq => sendCredit(seq ?? shownSeq),
    reconnect: () => {
      if (closed) return
      stuck = refusals = 0
      const had = failure
      failure = undefined
      if (had) {
        // After a handler's failure the log is read again from what was really applied.
        reader = { ...initialReader(undefined, reader.mode), safe: applied, epoch: applied.epoch, seq: applied.seq }
        join()
      }
      if (connection?.state.phase !== 'open') connection?.reconnect()
      else if (!had) request()
      show()
    },
    close: () => {
      if (closed) return
      closed = true
      stopWaiting()
      queue.clear()
      connection?.leave(user)
      meter?.reset()
      show()
    },
  }
}
