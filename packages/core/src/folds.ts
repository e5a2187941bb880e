import { AUTO_BYTES, type Event, type Fold, HoldfastError, textsFromChunk } from '@holdfast/protocol'
import type { Log } from './log.ts'
import type { Store } from './ports.ts'

/** A kind's state, folded up to `seq`. */
export interface Folded {
  readonly seq: number
  readonly state: unknown
}

/** Folds with what only a driver has: a terminal's screen (decision 6). */
export interface HostFold {
  /** The state at the newest place up to the end of `events` where it can be cut, never before `base`. */
  fold(sessionId: string, base: Folded | undefined, events: AsyncIterable<Event>): Promise<Folded>
  /** What is kept going for a session, at the head or a little before; undefined where nothing is. */
  newest(sessionId: string): Promise<Folded | undefined>
}

export type StateFold = Fold<unknown> | HostFold

const isHostFold = (fold: StateFold): fold is HostFold => 'newest' in fold

/** Folds a log up to `at`, or up to its head, from the nearest stored snapshot on; a driver's fold may end a little before. Throws `invalid_request` where the history for it is no longer kept. */
export async function foldLog(store: Store, log: Log, fold: StateFold, at?: number): Promise<Folded> {
  for (;;) {
    const { floor } = log
    const kept = at === undefined && isHostFold(fold) ? await fold.newest(log.id) : undefined
    if (kept && kept.seq >= log.floor && kept.seq <= log.head) return kept
    const folded = await foldOnce(store, log, fold, at ?? log.head)
    if (!(folded instanceof HoldfastError)) return folded
    // A trim or a drop may have taken what was to be read, also before it is known here: then it is asked again.
    if (!log.gone && !log.isSettling && log.floor === floor) throw folded
    await log.settled()
    if (log.gone) throw log.gone
  }
}

/** Gives the error that holds unless the log changed under the reading. */
async function foldOnce(store: Store, log: Log, fold: StateFold, at: number): Promise<Folded | HoldfastError> {
  const stored = await store.getSnapshot(log.id, at)
  const base = stored && { seq: stored.seq, state: JSON.parse(stored.state) as unknown }
  if ((base?.seq ?? 0) < log.floor)
    return new HoldfastError('invalid_request', `The history up to ${at} is no longer kept; the oldest state is that at ${log.floor}.`, {
      floor_seq: log.floor,
    })
  try {
    const events = eventsBetween(store, log, base?.seq ?? 0, at)
    if (isHostFold(fold)) return await fold.fold(log.id, base, events)
    let state = base ? base.state : fold.initial()
    for await (const event of events) state = fold.reduce(state, event)
    return { seq: at, state }
  } catch (thrown) {
    if (thrown instanceof BrokenOff) return new HoldfastError('storage_failed', thrown.message, { session_id: log.id })
    throw thrown
  }
}

class BrokenOff extends Error {}

/** Those after `after` up to `at`. */
async function* eventsBetween(store: Store, log: Log, after: number, at: number): AsyncGenerator<Event> {
  for (let seq = after; seq < at; ) {
    const chunk = log.tail.read(seq, at, AUTO_BYTES) ?? (await store.read(log.id, seq, AUTO_BYTES))
    if (chunk?.firstSeq !== seq + 1) throw new BrokenOff(`The log of "${log.id}" does not go on after ${seq}.`)
    for (const text of textsFromChunk(chunk)) {
      const event = JSON.parse(text) as Event
      if (event.header.seq > at) return
      yield event
      seq = event.header.seq
    }
  }
}

/** True when a reader that has seen `after` is `AUTO_BYTES` or more behind the head. */
export async function isFarBehind(store: Store, log: Log, after: number): Promise<boolean> {
  if (after >= log.head || log.row.bytes < AUTO_BYTES) return false
  const held = log.tail.bytesAfter(after)
  if (held !== undefined) return held >= AUTO_BYTES
  const chunk = await store.read(log.id, Math.max(after, log.floor), AUTO_BYTES)
  return chunk !== undefined && chunk.lastSeq < log.head
}
