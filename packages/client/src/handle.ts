import type { Event, Gap, Hello, Mode } from '@holdfast/protocol'
import type { AttachmentState } from './attachment.ts'
import { TransportError } from './failure.ts'
import type { Message } from './message.ts'
import type { Ack, PendingInput } from './outbox.ts'
import type { Delivery } from './reader.ts'
import type { AnyInputType } from './rest.ts'

export interface EventContext {
  /** `<epoch>.<seq>`: keep it with the state that this event led to. */
  readonly cursor: string
  /** False for what was there before the attachment caught up: no notifications, no answers, no other side effects then. */
  readonly live: boolean
}

/** How to read a session; handlers that return a promise are waited for, in order. */
export interface ReadOptions {
  /** Where to begin, exclusive: `<epoch>.<seq>`, a seq, or 0 for the start. Without it, where this client last was. */
  readonly cursor?: string | number
  readonly mode?: Mode
  /** Asked at every attach after the first that caught up: how to read on, where that is to be another mode than it would be by itself. */
  readonly resumeMode?: () => Mode | undefined
  /** Bytes of events that the server may send ahead of what was applied (WebSocket). */
  readonly windowBytes?: number
  /** `manual`: only `handle.credit()` tells the server that events were applied. */
  readonly credit?: 'auto' | 'manual'
  /** For a session that expired or was deleted: go on in a new one of the same kind. */
  readonly onMissing?: 'new'
  /** False: the cursor isn't kept in the client's store; for states that are kept elsewhere, with their cursor. */
  readonly persist?: boolean
  readonly onStatus?: (state: AttachmentState) => void
  /** Every control message, also those that have a handler of their own. */
  readonly onControl?: (message: Message) => void
  readonly signal?: AbortSignal
}

export interface Handlers {
  onEvent(event: Event, context: EventContext): void | Promise<void>
  onHello?(hello: Hello): void | Promise<void>
  /** Another history: drop what was built from the old one. */
  onReset?(reset: { readonly epoch: string; readonly seq: number }): void | Promise<void>
  /** These events won't come: trimmed, or skipped in mode `auto`. */
  onGap?(gap: Gap): void | Promise<void>
  /** The state up to `seq`, in place of what was there. */
  onSnapshot?(snapshot: { readonly seq: number; readonly state: unknown }): void | Promise<void>
  onCaughtUp?(seq: number): void | Promise<void>
}

export type AttachOptions = ReadOptions & Handlers

/** One reader of one session. */
export interface Attachment {
  /** Changes only where `onMissing: 'new'` put another session in its place. */
  readonly sessionId: string
  readonly state: AttachmentState
  /** The last seq that was applied. */
  readonly lastSeq: number
  /** The same as `<epoch>.<seq>`; undefined before anything was applied. */
  readonly cursor: string | undefined
  /** Inputs that the server has not acknowledged yet, oldest first; those kept from an earlier start too. */
  readonly pending: readonly PendingInput[]
  /** Sends an input; resolves when it is on the server's disk, rejects only when it was refused for good or the handle closed. */
  send(type: AnyInputType, payload: unknown, options?: { readonly id?: string }): Promise<Ack>
  /** Takes a pending input back, an expired one for example; false where it is on its way or not there. */
  discard(inputId: string): boolean
  /** Everything up to `seq` (default: all that was applied) has been dealt with. */
  credit(seq?: number): void
  /** Calls back with every new state, and when `pending` changes; for `useSyncExternalStore`. */
  subscribe(listener: () => void): () => void
  /** Tries at once, after `failed` too. */
  reconnect(): void
  close(): void
}

/** Handlers as one function over deliveries. */
export const applyFromHandlers =
  (handlers: Handlers) =>
  (delivery: Delivery): void | Promise<void> => {
    switch (delivery.type) {
      case 'event':
        return handlers.onEvent(delivery.event, { cursor: delivery.cursor, live: delivery.live })
      case 'hello':
        return handlers.onHello?.(delivery.hello)
      case 'reset':
        return handlers.onReset?.({ epoch: delivery.epoch, seq: delivery.seq })
      case 'gap':
        return handlers.onGap?.(delivery.gap)
      case 'snapshot':
        return handlers.onSnapshot?.({ seq: delivery.seq, state: delivery.state })
      case 'caught_up':
        return handlers.onCaughtUp?.(delivery.seq)
    }
  }

/** Starts an attachment over deliveries and gives its handle. */
export type Open = (sessionId: string, options: ReadOptions, apply: (delivery: Delivery) => void | Promise<void>) => Attachment

/** Everything an attachment delivers, pulled: a delivery counts as applied when the next one is asked for. Ends with `signal`, throws what failed for good. */
export async function* deliveriesOf(open: Open, sessionId: string, options: ReadOptions): AsyncGenerator<Delivery, void, undefined> {
  let offered: { delivery: Delivery; done: () => void } | undefined
  let wake: () => void = () => {}
  const handle = open(
    sessionId,
    {
      windowBytes: 1024 * 1024,
      ...options,
      onStatus: state => {
        options.onStatus?.(state)
        wake()
      },
    },
    delivery =>
      new Promise<void>(resolve => {
        offered = { delivery, done: resolve }
        wake()
      }),
  )
  try {
    while (true) {
      if (offered) {
        const { delivery, done } = offered
        yield delivery
        offered = undefined
        done()
      } else if (handle.state.phase === 'closed') return
      else if (handle.state.phase === 'failed') throw handle.state.error ?? new TransportError('closed', 'The attachment failed.')
      else
        await new Promise<void>(resolve => {
          wake = resolve
          if (offered || handle.state.phase === 'closed' || handle.state.phase === 'failed') resolve()
        })
    }
  } finally {
    handle.close()
  }
}

/** The events alone; where some are missing or void, that is thrown unless a handler takes it. */
export async function* eventsOf(open: Open, sessionId: string, options: ReadOptions & Omit<Handlers, 'onEvent'>): AsyncGenerator<Event, void, undefined> {
  const apply = applyFromHandlers({ ...options, onEvent: () => {} })
  for await (const delivery of deliveriesOf(open, sessionId, options)) {
    if (delivery.type === 'event') yield delivery.event
    else if (isBreak(delivery, options)) throw new TransportError('discontinuity', `A ${delivery.type} came that nobody takes.`, { ...delivery })
    else await apply(delivery)
  }
}

const isBreak = (delivery: Delivery, handlers: Omit<Handlers, 'onEvent'>): boolean =>
  (delivery.type === 'gap' && !handlers.onGap) || (delivery.type === 'reset' && !handlers.onReset) || (delivery.type === 'snapshot' && !handlers.onSnapshot)
