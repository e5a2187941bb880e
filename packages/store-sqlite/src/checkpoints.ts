import { faultOf, type Database } from './database.ts'
import type { Guard } from './guard.ts'

/** Pages in the write-ahead log (4 KiB each) from which they are moved into the database. */
const CHECKPOINT_PAGES = 1000

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

  /** On a full disk what is committed stays in the write-ahead log, and is moved once there is room. */
  const whereRoom = (work: () => boolean): boolean => {
    try {
      return work()
    } catch (error) {
      if (faultOf(error) === 'fatal') throw error
      return false
    }
  }
  const truncate = (): boolean =>
    whereRoom(() => {
      guard.sync()
      return db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0
    })

  return {
    afterGroup(size) {
      groups++
      bytes += size
      if (groups < LOOK.groups && bytes < LOOK.bytes) return
      groups = 0
      bytes = 0
      if (pagesWaiting() < CHECKPOINT_PAGES) return
      whereRoom(() => {
        guard.sync()
        db.exec('PRAGMA wal_checkpoint(PASSIVE)')
        return true
      })
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
