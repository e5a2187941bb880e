import { faultOf, openDatabase } from './database.ts'
import { OpenError } from './errors.ts'

/** Long enough for somebody who only looks whether the lock is held. */
const WAIT_MS = 1000

/** Holds the data folder for this process until it ends or calls the result; the operating system lets go of it for a dead one. Throws OpenError `in_use`. */
export function holdLock(path: string, waitMs = WAIT_MS): () => void {
  const db = openDatabase(path, { waitMs })
  try {
    // Nothing is ever written here, so that the lock can be had on a full disk too.
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (faultOf(error) !== 'locked') throw error
    throw new OpenError('in_use', 'Another process has this data folder open: stop it first, or use another folder.', { cause: error })
  }
  return () => db.close()
}

/** True when some process holds the data folder. */
export function isHeld(path: string): boolean {
  try {
    holdLock(path, 0)()
    return false
  } catch (error) {
    if (error instanceof OpenError) return true
    throw error
  }
}
