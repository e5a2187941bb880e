import { applyItem, checkItem, isPlainItem } from './apply.ts'
import type { Desk } from './desk.ts'
import { faultOf, type Database } from './database.ts'
import { DamagedError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Log, Totals } from './logs.ts'
import type { Failure, Item, Result } from './messages.ts'
import { replayJournal } from './journal.ts'
import { writeMeta } from './schema.ts'

/** Something that one transaction does; run again from the start when the transaction was taken back. */
export interface Task {
  readonly run: () => Result
  /** It only appends and names ids: what it does may wait in the journal. */
  readonly isPlain: boolean
}

export interface Writer {
  /** Runs the tasks in one transaction; what fits is on disk when it returns, one result for each. */
  run(tasks: readonly Task[]): Result[]
  /** True once a write failed in a way that leaves the file's state unknown. */
  readonly failed: boolean
  /** The number of the newest commit. */
  readonly commits: number
  /** Everything up to this commit is in the tables. */
  readonly filed: number
}

export interface WriterOptions {
  readonly db: Database
  readonly desk: Desk
  readonly epoch: string
  readonly guard: Guard
  readonly totals: Totals
  readonly segmentBytes: number
  /** Logs that are long enough to be folded. */
  readonly onFoldable: (logs: readonly Log[]) => void
  readonly onDamage: (error: DamagedError) => void
  readonly onFatal: (error: unknown) => void
  readonly step: (name: string) => void
}

const FATAL: Failure = { code: 'fatal', message: 'an earlier write failed: the process must end and recover at start' }

/** An item as a task: checked first, so that one that is refused changes nothing. */
export function taskFromItem(desk: Desk, item: Item, bodies: Uint8Array): Task {
  const run = (): Result => {
    try {
      const refusal = checkItem(desk, item)
      if (refusal) return { failure: refusal }
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error
      return { failure: { code: 'damaged', message: error.message, sessionId: error.sessionId } }
    }
    return applyItem(desk, item, bodies)
  }
  return { run, isPlain: isPlainItem(item) }
}

/** Work of the store's own. */
export const taskOf = (run: () => Result): Task => ({ run, isPlain: false })

/** A group that is larger than this is filed at once: written twice, it would cost more than the pages that it saves. */
const JOURNAL_GROUP_BYTES = 256 * 1024

/** Group commit: all that waits goes into one transaction with one sync. */
export function createWriter(options: WriterOptions): Writer {
  const { db, desk, guard, step } = options
  const { sql, logs, ids, journal } = desk
  let totals = options.totals
  let failed = false
  let filed = 0

  const attempt = (tasks: readonly Task[]): Result[] => {
    sql('BEGIN IMMEDIATE').run()
    journal.begin()
    const isPlain = tasks.every(task => task.isPlain)
    // First, so that what is filed takes the pages that the journal held: on a full disk there are no others.
    if (!isPlain) journal.empty()
    const results = tasks.map(task => task.run())
    if (results.every(result => result && 'failure' in result)) {
      sql('ROLLBACK').run()
      return results
    }
    const next = { ...logs.totals, commits: totals.commits + 1 }
    const staysInJournal = isPlain && journal.groupBytes <= JOURNAL_GROUP_BYTES
    const foldable = staysInJournal ? [] : file(next)
    if (staysInJournal) journal.write(next.commits)
    step('commit:written')
    sql('COMMIT').run()
    step('commit:done')
    totals = next
    if (staysInJournal) logs.kept(totals)
    else {
      logs.filed(totals)
      filed = totals.commits
    }
    writeGuard(guard, options.epoch, totals.commits)
    step('commit:guarded')
    if (foldable.length > 0) options.onFoldable(foldable)
    return results
  }

  /** Writes what this group and the journal hold into the tables; gives back the logs that can be folded. */
  const file = (next: Totals): readonly Log[] => {
    journal.empty()
    const foldable = logs.flush(options.segmentBytes)
    ids.flush()
    writeMeta(db, 'commits', String(next.commits))
    writeMeta(db, 'sessions', String(next.sessions))
    writeMeta(db, 'log_bytes', String(next.logBytes))
    return foldable
  }

  const takeBack = (): void => {
    if (db.inTransaction()) db.exec('ROLLBACK')
    replay()
  }
  const replay = (): void => {
    logs.forget(totals)
    ids.clear()
    replayJournal(sql, logs, ids, options.onDamage)
  }

  const run = (tasks: readonly Task[]): Result[] => {
    if (failed) return tasks.map(() => ({ failure: FATAL }))
    const fence = desk.fence
    try {
      return attempt(tasks)
    } catch (error) {
      desk.fence = fence
      const fault = error instanceof DamagedError ? 'damaged' : faultOf(error)
      if (fault === 'fatal') {
        failed = true
        options.onFatal(error)
        return tasks.map(() => ({ failure: { ...FATAL, message: `a write failed: ${(error as Error).message}` } }))
      }
      takeBack()
      if (tasks.length > 1) return tasks.map(task => run([task])[0])
      if (error instanceof DamagedError) {
        options.onDamage(error)
        return [{ failure: { code: 'damaged', message: error.message, sessionId: error.sessionId } }]
      }
      // Locked by a stranger: nothing was stored, and it may go away.
      return [{ failure: { code: fault === 'damaged' ? 'damaged' : 'full', message: (error as Error).message } }]
    }
  }

  replay()
  if (sql('SELECT 1 FROM journal LIMIT 1').get() === undefined) filed = totals.commits
  return {
    run,
    get failed() {
      return failed
    },
    get commits() {
      return totals.commits
    },
    get filed() {
      return filed
    },
  }
}

/** A guard that lags says nothing wrong, so a failure to write it is none. */
function writeGuard(guard: Guard, epoch: string, commits: number): void {
  try {
    guard.write({ epoch, commits })
  } catch {
    return
  }
}
