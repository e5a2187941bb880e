import { type Event, eachRecord, messageText, textsFromChunk, TURN_BYTES } from '@holdfast/protocol'
import type { Context } from './context.ts'
import { stateFoldOf } from './drivers.ts'
import { foldLog } from './folds.ts'
import type { Log } from './log.ts'

/** What is kept of a log; null keeps all. Age in ms. */
export interface Retention {
  readonly max_age_ms: number | null
  readonly max_bytes: number | null
  readonly max_events: number | null
}

export const KEEP_ALL: Retention = { max_age_ms: null, max_bytes: null, max_events: null }

/** True while the oldest kept event is over one of the limits. */
export function isSurplus(retention: Retention, kept: { readonly events: number; readonly bytes: number }, oldestAgeMs: number): boolean {
  if (kept.events === 0) return false
  if (retention.max_events !== null && kept.events > retention.max_events) return true
  if (retention.max_bytes !== null && kept.bytes > retention.max_bytes) return true
  return retention.max_age_ms !== null && oldestAgeMs > retention.max_age_ms
}

/** Trims a log to its retention, oldest first, whole events; a snapshot at the new floor is stored before anything goes (SEQ-14, fault 11). Returns the new floor. */
export async function applyRetention(context: Context, log: Log, retention: Retention): Promise<number> {
  if (retention.max_age_ms === null && retention.max_bytes === null && retention.max_events === null) return log.floor
  const surplus = await surplusOf(context, log, retention)
  if (surplus.floor === log.floor) return surplus.floor
  const fold = log.row.kind === 'feed' ? null : stateFoldOf(context, log.row.kind)
  const folded = fold && (await foldLog(context.store, log, fold, surplus.floor))
  if (folded) await context.store.putSnapshot(log.id, folded.seq, JSON.stringify(folded.state))
  // A screen is cut between sequences only: what comes after the cut is kept.
  const { floor, freedBytes } = folded && folded.seq < surplus.floor ? await surplusOf(context, log, retention, folded.seq) : surplus
  if (floor <= log.floor) return log.floor
  const resultText = await resultLostBelow(context, log, floor)
  await context.writer.writeAlone(log, [], transaction => {
    const { record, floor: already } = transaction.rowOf(log)
    if (floor <= already) return
    transaction.trim(log, floor, freedBytes)
    if (resultText !== undefined && record.result_seq <= floor) transaction.patch(log, { ...record, result_text: resultText })
  })
  // Between two others it may have been dropped as one too many; now it is the oldest that the kept log follows on.
  if (folded && log.floor === floor && !log.gone) await context.store.putSnapshot(log.id, folded.seq, JSON.stringify(folded.state))
  log.wake()
  return floor
}

/** Walks from the oldest kept event on until nothing is surplus. */
async function surplusOf(context: Context, log: Log, retention: Retention, most = log.head): Promise<{ floor: number; freedBytes: number }> {
  const head = log.head
  // Timestamps are wall time, which may have been set since: of two readings the younger age counts, so that no jump trims too early (fault 15).
  const nowMs = Math.min(context.clock.wallMs(), context.now())
  let floor = log.floor
  let freedBytes = 0
  while (floor < head) {
    const chunk = await context.store.read(log.id, floor, TURN_BYTES)
    if (!chunk) break
    const texts = retention.max_age_ms === null ? undefined : textsFromChunk(chunk)
    let stopped = false
    eachRecord(chunk.body, (start, end, index) => {
      const kept = { events: head - floor, bytes: log.row.bytes - freedBytes }
      const ageMs = texts ? nowMs - Date.parse((JSON.parse(texts[index] as string) as Event).header.timestamp) : 0
      stopped = floor >= most || !isSurplus(retention, kept, ageMs)
      if (stopped) return false
      floor++
      freedBytes += end - start + 4
      return undefined
    })
    if (stopped) break
  }
  return { floor, freedBytes }
}

/** The result's text, where the trim takes the event that it is read from. */
async function resultLostBelow(context: Context, log: Log, floor: number): Promise<string | undefined> {
  const { result_seq: seq, result_text: text } = log.row.record
  if (seq === 0 || seq > floor || text !== null) return undefined
  const chunk = await context.store.read(log.id, seq - 1, 1)
  const event = chunk && (JSON.parse(textsFromChunk(chunk)[0] as string) as Event)
  return event?.header.seq === seq ? messageText(event.payload) : undefined
}
