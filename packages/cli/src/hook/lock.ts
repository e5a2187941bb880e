import { closeSync, openSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { ownFolder, spoolPlaces } from './spool.ts'

export interface FlushLock {
  /** Tells hooks that this flush runs, so that they start no other. */
  touch(): void
  /** Takes the hint away first, then the lock: a hook that saw the hint wrote its record before the last look at the queue. */
  release(): void
}

/**
 * The right to flush this spool: one process at a time; undefined while another has it.
 * The lock is the kernel's (SQLite takes it on an empty database), so that it ends with the process
 * and there is no stale one to judge by pid and start time.
 */
export function takeFlushLock(spool: string): FlushLock | undefined {
  ownFolder(spool)
  const { lock, running } = spoolPlaces(spool)
  closeSync(openSync(lock, 'a', 0o600))
  const db = new DatabaseSync(lock)
  try {
    db.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
  } catch {
    db.close()
    return undefined
  }
  writeFileSync(running, JSON.stringify({ pid: process.pid }), { mode: 0o600 })
  return {
    touch: () => {
      const now = new Date()
      try {
        utimesSync(running, now, now)
      } catch {
        // A person cleared the spool: the hint is only a hint.
      }
    },
    release: () => {
      rmSync(running, { force: true })
      db.close()
    },
  }
}
