import { HoldfastError } from '@holdfast/protocol'
import type { Context } from './context.ts'
import type { Log } from './log.ts'
import type { IdKey, IdRow } from './ports.ts'

export interface Once<T> {
  /** The answer that a repeat gets. */
  repeated(row: IdRow): T
  /** Does it; `record` makes the row that must go into the same commit. */
  first(record: (firstSeq: number, lastSeq: number, answer: string) => IdRow): Promise<T>
}

/**
 * Does something once per key, however often and however concurrently it is asked for (SEQ-18, faults 5–7).
 * A repeat while the first is in flight waits for it. Throws `conflict` for another body under the same key.
 */
export async function once<T>(context: Context, log: Log | undefined, key: IdKey, digest: string, { repeated, first }: Once<T>): Promise<T> {
  return inTurn(log?.idsInFlight ?? creationsOf(context), `${key.sender}\n${key.id}`, async () => {
    // Asked before anything is awaited: most ids are new.
    const row = context.store.mayHaveId?.(key) === false ? undefined : (await context.store.findIds([key]))[0]
    if (log?.gone) throw log.gone
    if (!row) return first((firstSeq, lastSeq, answer) => ({ ...key, digest, firstSeq, lastSeq, at: context.now(), answer }))
    if (row.digest !== digest) throw new HoldfastError('conflict', `The id "${key.id}" was used before with another body.`, { id: key.id })
    context.counters.duplicates++
    return repeated(row)
  })
}

/** One piece of work at a time per name. The name is taken before the work asks the store, whose answer may be older than somebody else's commit. */
export async function inTurn<T>(taken: Map<string, Promise<unknown>>, name: string, work: () => Promise<T>): Promise<T> {
  for (let before = taken.get(name); before; before = taken.get(name)) await before
  const done = work()
  const free = (): void => void taken.delete(name)
  taken.set(name, done.then(free, free))
  return done
}

/** Creations under way, which belong to no log. */
const creations = new WeakMap<Context, Map<string, Promise<unknown>>>()

export const creationsOf = (context: Context): Map<string, Promise<unknown>> => {
  let map = creations.get(context)
  if (!map) {
    map = new Map()
    creations.set(context, map)
  }
  return map
}
