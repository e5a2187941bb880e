import type { Database } from './database.ts'
import type { Guard } from './guard.ts'

/** Pages in the write-ahead log (4 KiB each) from which they are moved into the database. */
const CHECKPOINT_PAGES = 4000

/** How many groups or bytes may go by before the length of the log is asked for. */
const LOOK = { groups: 64, bytes: 512 * 1024 } as const

/** Only the writer checkpoints, and only between groups. */
export interface Checkpoints {
  afterGroup(bytes: number): void
  /** Empties the write-ahead log, so that nothing erased is left in it; false while a reader is in the way. */
  empty(): boolean
  last(): void
}

export function createCheckpoints(db: Database, guard: Guard): Checkpoints {
  const noop = db.prepare('PRAGMA wal_checkpoint(NOOP)')
  let groups = 0
  let bytes = 0

  const pagesWaiting = (): number => {
    const row = noop.get()
    return Number(row?.['log'] ?? 0) - Number(row?.['checkpointed'] ?? 0)
  }

  const truncate = (): boolean => {
    guard.sync()
    return db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0
  }

  return {
    afterGroup(size) {
      groups++
      bytes += size
      if (groups < LOOK.groups && bytes < LOOK.bytes) return
      groups = 0
      bytes = 0
      if (pagesWaiting() < CHECKPOINT_PAGES) return
      guard.sync()
      db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    },
    empty() {
      db.exec('PRAGMA busy_timeout = 20')
      try {
        return truncate()
      } finally {
        db.exec('PRAGMA busy_timeout = 5000')
      }
    },
    last() {
      truncate()
    },
  }
}
