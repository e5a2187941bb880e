import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { configureWriter, migrate, readMeta, writeMeta } from './schema.ts'
import { faultOf, openDatabase, type Database } from './database.ts'
import { OpenError } from './errors.ts'
import { isPutBack, openGuard, readGuard, type Guard } from './guard.ts'
import { commitsOf, surveyJournal } from './journal.ts'
import type { Totals } from './logs.ts'
import type { Paths } from './paths.ts'

/** How long a write waits for a stranger's lock on the database. */
const WAIT_MS = 5000

export interface Opened {
  readonly db: Database
  readonly guard: Guard
  readonly epoch: string
  readonly totals: Totals
  /** True when the database is older than it once was. */
  readonly wasPutBack: boolean
  /** True when the last process that wrote did not close it: what it had committed was taken from the write-ahead log. */
  readonly wasKilled: boolean
  /** Group commits that do not fit their checksum and are lost. */
  readonly damagedGroups: number
}

/** Opens the database for its one writer, brings its schema up to date and compares it with its guard. Throws OpenError. */
export function openForWriting(paths: Paths, options: { readonly durability: 'full' | 'relaxed'; readonly newEpoch: string }): Opened {
  refuseStrays(paths)
  const wasKilled = (statSync(`${paths.database}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  const db = openDatabase(paths.database, { waitMs: WAIT_MS })
  try {
    configureFirst(db, options.durability)
    migrate(db)
    const found = { epoch: readMeta(db, 'epoch') ?? '', commits: commitsOf(db) }
    const known = readGuard(paths.guard)
    const wasPutBack = found.epoch !== '' && isPutBack(found, known)
    // Events that were shown are lost with such a row: their seqs must not mean others under the same epoch.
    const damagedGroups = surveyJournal(db).damaged
    // A database without one was killed while it was made.
    const needsEpoch = wasPutBack || damagedGroups > 0 || found.epoch === ''
    const now = needsEpoch ? { epoch: options.newEpoch, commits: Math.max(found.commits, known?.commits ?? 0) + 1 } : found
    if (needsEpoch) setEpoch(db, now)
    const guard = openGuard(paths.guard)
    guard.write(now)
    guard.sync()
    const totals = { commits: now.commits, sessions: Number(readMeta(db, 'sessions') ?? 0), logBytes: Number(readMeta(db, 'log_bytes') ?? 0) }
    return { db, guard, epoch: now.epoch, totals, wasPutBack, wasKilled, damagedGroups }
  } catch (error) {
    db.close()
    throw translate(error)
  }
}

/** One transaction: readers of the logs before and after it are told apart. */
export function setEpoch(db: Database, to: { readonly epoch: string; readonly commits: number }): void {
  db.exec('BEGIN IMMEDIATE')
  writeMeta(db, 'epoch', to.epoch)
  writeMeta(db, 'commits', String(to.commits))
  db.exec('COMMIT')
}

function configureFirst(db: Database, durability: 'full' | 'relaxed'): void {
  try {
    configureWriter(db, durability)
  } catch (error) {
    if (faultOf(error) === 'locked') throw new OpenError('in_use', 'Another program has holdfast.db open for writing: stop it first.', { cause: error })
    throw error
  }
}

const translate = (error: unknown): unknown => {
  if (error instanceof OpenError || faultOf(error) !== 'damaged') return error
  return new OpenError(
    'damaged',
    'holdfast.db is damaged and can not be opened: restore a backup into an empty folder, or move the folder away to look at it.',
    { cause: error },
  )
}

/** A new database must not begin among the files of another. */
function refuseStrays(paths: Paths): void {
  if (existsSync(paths.restoring)) {
    throw new OpenError('damaged', 'A restore into this data folder did not finish: empty the folder and restore again.')
  }
  if (existsSync(paths.database)) return
  mkdirSync(paths.segments, { recursive: true, mode: 0o700 })
  if (readdirSync(paths.segments).length > 0) {
    throw new OpenError('damaged', 'holdfast.db is missing beside its segment files: put it back, or restore a backup into an empty folder.')
  }
}
