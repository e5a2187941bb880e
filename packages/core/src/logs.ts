import { HoldfastError } from '@holdfast/protocol'
import { Log } from './log.ts'
import type { SessionRow, Store } from './ports.ts'
import type { TailCache } from './tail.ts'

/** Idle logs that stay loaded; a log holds about 1 KB besides its tail. */
const MAX_IDLE_LOGS = 5000

export interface Logs {
  /** The live log of a session, loaded once however many ask; else the row of what is left of it, else undefined. */
  load(id: string): Promise<Log | SessionRow | undefined>
  /** The log if it is in memory. */
  peek(id: string): Log | undefined
  /** Takes in a log whose row was just created. */
  adopt(row: SessionRow): Log
  /** Forgets a log that is gone. */
  forget(log: Log): void
  all(): Iterable<Log>
  readonly size: number
}

/** The logs that are in memory, and how others get there. */
export function createLogs(store: Store, tails: TailCache): Logs {
  const loaded = new Map<string, Log>()
  const loading = new Map<string, Promise<Log | SessionRow | undefined>>()

  const adopt = (row: SessionRow): Log => {
    const log = new Log(row, tails.createTail(), listener => store.wake(row.id, listener))
    loaded.set(row.id, log)
    if (loaded.size > MAX_IDLE_LOGS) evict(loaded)
    return log
  }

  const fetchRow = async (id: string): Promise<Log | SessionRow | undefined> => {
    const row = await store.getSession(id)
    // Creating the session may have won the race for its place in memory.
    return loaded.get(id) ?? (row?.status === 'live' ? adopt(row) : row)
  }

  return {
    load(id) {
      const log = loaded.get(id)
      if (log) {
        loaded.delete(id)
        loaded.set(id, log)
        return Promise.resolve(log)
      }
      let pending = loading.get(id)
      if (!pending) {
        pending = fetchRow(id).finally(() => loading.delete(id))
        loading.set(id, pending)
      }
      return pending
    },
    peek: id => loaded.get(id),
    adopt,
    forget(log) {
      if (loaded.get(log.id) === log) loaded.delete(log.id)
    },
    all: () => loaded.values(),
    get size() {
      return loaded.size
    },
  }
}

/** Drops the least recently asked for of the idle logs, a tenth at a time so that it is rare. */
function evict(loaded: Map<string, Log>): void {
  let surplus = Math.ceil(MAX_IDLE_LOGS / 10)
  for (const [id, log] of loaded) {
    if (surplus === 0) return
    if (!log.isIdle) continue
    log.tail.clear()
    loaded.delete(id)
    surplus--
  }
}

/** A log whose store found it damaged: told as it is, and left alone. */
export const damagedError = (id: string): HoldfastError =>
  new HoldfastError('storage_failed', 'The log of this session is damaged and was quarantined; "holdfast doctor" says more.', { session_id: id })
