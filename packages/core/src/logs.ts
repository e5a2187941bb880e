import { HoldfastError } from '@holdfast/protocol'
import { Log } from './log.ts'
import type { SessionRow, Store } from './ports.ts'
import type { TailCache } from './tail.ts'

/** Idle logs that stay loaded; a log holds about 1 KB besides its tail. */
const MAX_IDLE_LOGS = 1000

export interface Logs {
  /** The live log of a session, loaded once however many ask; else the row of what is left of it, else undefined. */
  load(id: string): Promise<Log | SessionRow | undefined>
  /** The log if it is in memory. */
  peek(id: string): Log | undefined
  /** Takes in a log whose row was just created. */
  adopt(row: SessionRow): Log
  /** A log that nobody finds yet. */
  prepare(row: SessionRow): Log
  /** Takes in a prepared log, or gives the one that took its place. */
  take(log: Log): Log
  /** Forgets a log that is gone. */
  forget(log: Log): void
  /** Those that anybody holds. */
  all(): Iterable<Log>
  readonly size: number
}

/** The logs that are in memory, and how others get there. */
export function createLogs(store: Store, tails: TailCache): Logs {
  const loaded = new Map<string, Log>()
  const loading = new Map<string, Promise<Log | SessionRow | undefined>>()
  // Whoever still holds a log that was put out of memory must share it with those who ask later: two logs of one session would not know of each other's seqs.
  const evicted = new Map<string, WeakRef<Log>>()
  const collected = new FinalizationRegistry<string>(id => {
    if (!evicted.get(id)?.deref()) evicted.delete(id)
  })

  const evict = (): void => {
    for (const log of surplusOf(loaded)) {
      log.tail.clear()
      loaded.delete(log.id)
      evicted.set(log.id, new WeakRef(log))
      collected.register(log, log.id)
    }
  }

  const take = (log: Log): Log => {
    loaded.set(log.id, log)
    if (loaded.size > MAX_IDLE_LOGS) evict()
    return log
  }

  /** In memory, or not yet out of it; most recently asked for. */
  const find = (id: string): Log | undefined => {
    const log = loaded.get(id) ?? evicted.get(id)?.deref()
    if (!log) return undefined
    loaded.delete(id)
    evicted.delete(id)
    return take(log)
  }

  const prepare = (row: SessionRow): Log => new Log(row, tails.createTail(), listener => store.wake(row.id, listener))
  const adopt = (row: SessionRow): Log => take(prepare(row))

  const fetchRow = async (id: string): Promise<Log | SessionRow | undefined> => {
    const row = await store.getSession(id)
    // Creating the session may have won the race for its place in memory.
    return find(id) ?? (row?.status === 'live' ? adopt(row) : row)
  }

  return {
    load(id) {
      const log = find(id)
      if (log) return Promise.resolve(log)
      let pending = loading.get(id)
      if (!pending) {
        pending = fetchRow(id).finally(() => loading.delete(id))
        loading.set(id, pending)
      }
      return pending
    },
    peek: find,
    adopt,
    prepare,
    take: log => find(log.id) ?? take(log),
    forget(log) {
      if (loaded.get(log.id) === log) loaded.delete(log.id)
      evicted.delete(log.id)
    },
    *all() {
      yield* [...loaded.values()]
      for (const reference of [...evicted.values()]) {
        const log = reference.deref()
        if (log) yield log
      }
    },
    get size() {
      return loaded.size
    },
  }
}

/** The least recently asked for of the idle logs, a tenth at a time so that it is rare. */
function surplusOf(loaded: ReadonlyMap<string, Log>): Log[] {
  const surplus: Log[] = []
  for (const log of loaded.values()) {
    if (surplus.length * 10 >= MAX_IDLE_LOGS) break
    if (log.isIdle) surplus.push(log)
  }
  return surplus
}

/** A log whose store found it damaged: told as it is, and left alone. */
export const damagedError = (id: string): HoldfastError =>
  new HoldfastError('storage_failed', 'The log of this session is damaged and was quarantined; "holdfast doctor" says more.', { session_id: id })
