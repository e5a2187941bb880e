import { existsSync } from 'node:fs'
import { openDatabase, outdatedSqlite } from './database.ts'
import { OpenError } from './errors.ts'
import { openGuard } from './guard.ts'
import { commitsOf } from './journal.ts'
import { holdLock } from './lock.ts'
import { setEpoch } from './opening.ts'
import { pathsOf } from './paths.ts'
import { versionOf } from './schema.ts'
import { randomEpoch } from './sqlite-store.ts'

/** Gives the logs of a copied or put-back data folder a new identity, so that readers of the other history start anew; the new epoch. Throws OpenError; nobody may have the folder open. */
export function renewEpoch(dataDir: string, newEpoch: () => string = randomEpoch): string {
  const outdated = outdatedSqlite()
  if (outdated) throw new OpenError('unsupported', `SQLite ${outdated} is too old.`)
  const paths = pathsOf(dataDir)
  if (!existsSync(paths.database)) throw new OpenError('damaged', `There is no holdfast.db in ${dataDir}.`)
  const unlock = holdLock(paths.lock)
  try {
    const db = openDatabase(paths.database, { waitMs: 5000 })
    try {
      if (versionOf(db) === 0) throw new OpenError('damaged', 'holdfast.db is empty: there is nothing to give a new epoch to.')
      const epoch = newEpoch()
      const commits = commitsOf(db) + 1
      setEpoch(db, { epoch, commits })
      const guard = openGuard(paths.guard)
      guard.write({ epoch, commits })
      guard.sync()
      guard.close()
      return epoch
    } finally {
      db.close()
    }
  } finally {
    unlock()
  }
}
