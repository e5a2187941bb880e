import { DEFAULT_LIMITS, FEED_ID, parseCursor } from '@holdfast/protocol/wire'
import { type AttachmentCore, type AttachmentState, createAttachment } from './attachment.ts'
import type { Connection } from './connection.ts'
import type { ConnectionPolicy } from './connection-state.ts'
import { createCursorKeeper } from './cursor-keeper.ts'
import type { Apply } from './delivery-queue.ts'
import { TransportError } from './failure.ts'
import type { Attachment, ReadOptions } from './handle.ts'
import type { Ack, Carrier, Outbox, OutboxLimits, PendingInput } from './outbox.ts'
import type { Clock, KeyValueStore, Random } from './ports.ts'
import type { SessionCalls } from './rest.ts'
import { cursorKey } from './stores.ts'

/** What a handle takes from its client. */
export interface AttachmentPorts {
  readonly clock: Clock
  readonly random: Random
  readonly policy: ConnectionPolicy
  readonly store: KeyValueStore | undefined
  readonly clientId: () => Promise<string>
  readonly place: (clientId: string, sessionId: string) => Connection
  readonly shareOutbox: (
    clientId: string,
    sessionId: string,
    limits: () => OutboxLimits,
  ) => { readonly outbox: Outbox; readonly listen: (listener: () => void) => () => void; readonly release: () => void }
  readonly input: SessionCalls['input']
}

/** An input that got no answer on an open connection is sent again after this; its id makes that harmless (fault 5). */
const ACK_MS = 15_000

interface Started {
  readonly core: AttachmentCore
  readonly outbox: Outbox
  stop(): void
}

/** A handle at once; the client id and the stored cursor are read behind it. */
export function openAttachment(ports: AttachmentPorts, sessionId: string, options: ReadOptions, apply: Apply, onClosed: () => void): Attachment {
  const { store, random } = ports
  const listeners = new Set<() => void>()
  let state: AttachmentState = { phase: 'connecting', transport: 'ws', tries: 0 }
  let started: Started | undefined
  let closed = false
  let early: { type: string; payload: unknown; id: string; resolve: (ack: Promise<Ack>) => void; reject: (error: unknown) => void }[] = []

  const notify = (): void => {
    for (const listener of [...listeners]) listener()
  }
  const onState = (next: AttachmentState): void => {
    state = next
    options.onStatus?.(next)
    started?.outbox.wake()
    notify()
  }

  const start = async (): Promise<void> => {
    const clientId = await ports.clientId()
    const persist = options.persist !== false && store !== undefined
    const kept = persist && options.cursor === undefined && options.mode !== 'live' ? await store.get(cursorKey(clientId, sessionId)) : undefined
    if (closed) return
    let id = sessionId
    const core = createAttachment({
      sessionId,
      mode: options.mode ?? 'replay',
      resumeMode: options.resumeMode,
      cursor: parseCursor(options.cursor ?? kept ?? undefined),
      windowBytes: options.windowBytes,
      manualCredit: options.credit === 'manual',
      onMissing: options.onMissing,
      apply,
      onControl: message => options.onControl?.(message),
      onState,
      onRenamed: next => {
        id = next
      },
      keeper: persist ? createCursorKeeper(store, () => cursorKey(clientId, id)) : undefined,
      clock: ports.clock,
      random,
      policy: ports.policy,
      place: wanted => ports.place(clientId, wanted),
    })
    const shared = ports.shareOutbox(clientId, sessionId, () => ({ ...DEFAULT_LIMITS, ...state.hello?.limits }))
    const unlisten = shared.listen(notify)
    const remove = shared.outbox.addCarrier(createCarrier(core, clientId, ports.input))
    started = {
      core,
      outbox: shared.outbox,
      stop: () => {
        core.close()
        remove()
        unlisten()
        shared.release()
      },
    }
    for (const { type, payload, id: inputId, resolve } of early) resolve(shared.outbox.send(type, payload, inputId))
    early = []
    onState(core.state)
  }

  const fail = (thrown: unknown): void => {
    const error = new TransportError('handler', 'The store could not be read.', {}, { cause: thrown })
    for (const { reject } of early) reject(error)
    early = []
    onState({ ...state, phase: 'failed', error })
  }

  const close = (): void => {
    if (closed) return
    closed = true
    options.signal?.removeEventListener('abort', close)
    for (const { reject } of early) reject(new TransportError('closed', 'The session was closed here before the input was sent.'))
    early = []
    if (started) started.stop()
    else onState({ ...state, phase: 'closed' })
    onClosed()
  }

  const handle: Attachment = {
    get sessionId() {
      return started?.core.sessionId ?? sessionId
    },
    get state() {
      return state
    },
    get lastSeq() {
      return started?.core.lastSeq ?? 0
    },
    get cursor() {
      return started?.core.cursor
    },
    get pending() {
      return started?.outbox.pending ?? early
    },
    send: (type, payload, { id = random.id() } = {}) => {
      if (closed) return Promise.reject(new TransportError('closed', 'The session is closed here.'))
      if (sessionId === FEED_ID) return Promise.reject(new TransportError('closed', 'A feed takes no input.'))
      if (started) return started.outbox.send(type, payload, id)
      return new Promise<Ack>((resolve, reject) => early.push({ type, payload, id, resolve, reject }))
    },
    discard: inputId => {
      if (started) return started.outbox.discard(inputId)
      const found = early.find(input => input.id === inputId)
      if (!found) return false
      early = early.filter(input => input !== found)
      found.reject(new TransportError('closed', 'The input was discarded.', { id: inputId }))
      return true
    },
    credit: seq => started?.core.credit(seq),
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    reconnect: () => {
      if (started) started.core.reconnect()
      else if (!closed) start().catch(fail)
    },
    close,
  }
  if (options.signal?.aborted) queueMicrotask(close)
  else {
    options.signal?.addEventListener('abort', close, { once: true })
    start().catch(fail)
  }
  return handle
}

/** Inputs of a session go as frames where the channel takes frames, else by POST. */
function createCarrier(core: AttachmentCore, clientId: string, post: SessionCalls['input']): Carrier {
  return {
    get ready() {
      return core.attached?.channel !== undefined
    },
    deliver: async ({ id, type, payload }: PendingInput) => {
      const connection = core.attached
      const header = { id, session_id: core.sessionId, client_id: clientId }
      const { seq, duplicate } = connection?.channel?.send
        ? ((await connection.request(type, header, payload, ACK_MS)).payload as Ack)
        : await post(core.sessionId, { type, payload, id, client_id: clientId })
      return { id, seq, duplicate }
    },
  }
}
