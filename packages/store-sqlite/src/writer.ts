import { applyItem, checkItem } from './apply.ts'
import type { Desk } from './desk.ts'
import { faultOf, type Database } from './database.ts'
import { DamagedError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Log, Totals } from './logs.ts'
import type { Failure, Item, Result } from './messages.ts'
import { writeMeta } from './schema.ts'

/** Something that one transaction does; run again from the start when the transaction was taken back. */
export type Task = () => Result

export interface Writer {
  /** Runs the tasks in one transaction; what fits is on disk when it returns, one result for each. */
  run(tasks: readonly Task[]): Result[]
  /** True once a write failed in a way that leaves the file's state unknown. */
  readonly failed: boolean
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
  return () => {
    try {
      const refusal = checkItem(desk, item)
      if (refusal) return { failure: refusal }
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error
      return { failure: { code: 'damaged', message: error.message, sessionId: error.sessionId } }
    }
    return applyItem(desk, item, bodies)
  }
}

/** Group commit: all that waits goes into one transaction with one sync. */
export function createWriter(options: WriterOptions): Writer {
  const { db, desk, guard, step } = options
  let totals = options.totals
  let failed = false

  const attempt = (tasks: readonly Task[]): Result[] => {
    db.exec('BEGIN IMMEDIATE')
    const results = tasks.map(task => task())
    if (results.every(result => result && 'failure' in result)) {
      db.exec('ROLLBACK')
      desk.logs.end(false, totals)
      return results
    }
    const foldable = desk.logs.flush(options.segmentBytes)
    const next = { ...desk.logs.totals, commits: totals.commits + 1 }
    writeMeta(db, 'commits', String(next.commits))
    if (next.sessions !== totals.sessions) writeMeta(db, 'sessions', String(next.sessions))
    if (next.logBytes !== totals.logBytes) writeMeta(db, 'log_bytes', String(next.logBytes))
    step('commit:written')
    db.exec('COMMIT')
    step('commit:done')
    totals = next
    desk.logs.end(true, totals)
    writeGuard(guard, options.epoch, totals.commits)
    step('commit:guarded')
    if (foldable.length > 0) options.onFoldable(foldable)
    return results
  }

  const takeBack = (): void => {
    if (db.inTransaction()) db.exec('ROLLBACK')
    desk.logs.end(false, totals)
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

  return {
    run,
    get failed() {
      return failed
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
