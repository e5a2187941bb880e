import { AUTO_BYTES, type Event, type Fold, HoldfastError, textsFromChunk } from '@holdfast/protocol'
import type { Log } from './log.ts'
import type { Store } from './ports.ts'

/** A kind's state, folded up to `seq`. */
export interface Folded {
  readonly seq: number
  readonly state: unknown
}

/** Folds a log up to `at`, or up to its head, from the nearest stored snapshot on. Throws `invalid_request` where the history for it is no longer kept. */
export async function foldLog(store: Store, log: Log, fold: Fold<unknown>, at?: number): Promise<Folded> {
  for (;;) {
    const { floor } = log
    const folded = await foldOnce(store, log, fold, at ?? log.head)
    if (!(folded instanceof HoldfastError)) return folded
    // A trim or a drop may have taken what was to be read, also before it is known here: then it is asked again.
    if (!log.gone && !log.isSettling && log.floor === floor) throw folded
    await log.settled()
    if (log.gone) throw log.gone
  }
}

/** Gives the error that holds unless the log changed under the reading. */
async function foldOnce(store: Store, log: Log, fold: Fold<unknown>, at: number): Promise<Folded | HoldfastError> {
  const stored = await store.getSnapshot(log.id, at)
  let seq = stored?.seq ?? 0
  let state = stored ? (JSON.parse(stored.state) as unknown) : fold.initial()
  if (seq < log.floor)
    return new HoldfastError('invalid_request', `The history up to ${at} is no longer kept; the oldest state is that at ${log.floor}.`, {
      floor_seq: log.floor,
    })
  while (seq < at) {
    const chunk = log.tail.read(seq, at, AUTO_BYTES) ?? (await store.read(log.id, seq, AUTO_BYTES))
    if (chunk?.firstSeq !== seq + 1) return new HoldfastError('storage_failed', `The log of "${log.id}" does not go on after ${seq}.`, { session_id: log.id })
    for (const text of textsFromChunk(chunk)) {
      const event = JSON.parse(text) as Event
      if (event.header.seq > at) break
      state = fold.reduce(state, event)
      seq = event.header.seq
    }
  }
  return { seq, state }
}

/** True when a reader that has seen `after` is `AUTO_BYTES` or more behind the head. */
export async function isFarBehind(store: Store, log: Log, after: number): Promise<boolean> {
  if (after >= log.head || log.row.bytes < AUTO_BYTES) return false
  const held = log.tail.bytesAfter(after)
  if (held !== undefined) return held >= AUTO_BYTES
  const chunk = await store.read(log.id, Math.max(after, log.floor), AUTO_BYTES)
  return chunk !== undefined && chunk.lastSeq < log.head
}
