import { HoldfastError, type Limits } from '@holdfast/protocol'
import { goneError } from './access.ts'
import type { Log } from './log.ts'
import { damagedError, type Logs } from './logs.ts'
import { type Change, Plan, type Transaction } from './plan.ts'
import { type Clock, type Logger, type SessionRow, type Store, StoreError } from './ports.ts'
import { isoFromMs } from './time.ts'

export interface Writer {
  /** Appends, with what goes along: plans in one tick over `logs` that have settled, then resolves when all of it is on disk. Rejects with HoldfastError and nothing of it stored. */
  write<T>(logs: readonly Log[], plan: (transaction: Transaction) => T): Promise<T>
  /** As `write`, for logs that are known to be settled: plans before it returns. Throws what planning throws. */
  writeNow<T>(logs: readonly Log[], plan: (transaction: Transaction) => T): Promise<T>
  /** The same for a change of `log` that may append nothing to it: it waits for all that is in flight there, and what comes later waits for it. */
  writeAlone<T>(log: Log, others: readonly Log[], plan: (transaction: Transaction) => T): Promise<T>
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>
}

export interface WriterOptions {
  readonly store: Store
  readonly logs: Logs
  readonly clock: Clock
  readonly now: () => number
  readonly limits: Limits
  readonly fence: number
  readonly logger: Logger
  /** The log has more than is kept: the sweep is to look at it. */
  readonly isOver: (row: SessionRow) => boolean
  /** The store can't go on: everybody is to be told, and the process is to end. */
  readonly onFatal: (error: unknown) => void
}

/** Plans commits, hands them to the store in the order of their seqs, and tells the logs what became of them. */
export function createWriter({ store, logs, clock, now, limits, fence, logger, isOver, onFatal }: WriterOptions): Writer {
  let inFlight = 0
  const idlers: (() => void)[] = []

  const failed = (thrown: unknown, changes: ReadonlyMap<Log, Change>): HoldfastError => {
    const error = errorFromStore(thrown)
    for (const log of changes.keys()) log.failed(error)
    if (thrown instanceof StoreError && (thrown.code === 'fatal' || thrown.code === 'fenced')) onFatal(thrown)
    else logger.warn('a commit failed', { error: thrown instanceof Error ? thrown.message : String(thrown), sessions: [...changes.keys()].map(log => log.id) })
    return error
  }

  const succeeded = (changes: ReadonlyMap<Log, Change>): void => {
    for (const [log, change] of changes) {
      log.committed(change.row, change.chunks)
      log.touched ||= isOver(change.row)
      if (!change.gone) continue
      logs.forget(log)
      log.end(goneError({ id: log.id, status: change.gone }))
    }
  }

  /** In the tick in which the logs were found ready. One promise for each commit: there are many of them. */
  const writeNow = <T>(touched: readonly Log[], build: (transaction: Transaction) => T): Promise<T> => {
    for (const log of touched) if (log.gone) throw log.gone
    const plan = new Plan({ now: now(), timestamp: isoFromMs(clock.wallMs()), eventBytes: limits.event_bytes })
    const result = build(plan)
    const { changes } = plan
    if (plan.isEmpty) return Promise.resolve(result)
    for (const [log, change] of changes) log.begin(change.row)
    inFlight++
    return store.commit(plan.commit(fence)).then(
      () => {
        succeeded(changes)
        landed()
        return result
      },
      (thrown: unknown) => {
        const error = failed(thrown, changes)
        landed()
        throw error
      },
    )
  }

  const landed = (): void => {
    if (--inFlight > 0) return
    for (const resolve of idlers.splice(0)) resolve()
  }

  return {
    writeNow,
    async write(touched, build) {
      while (touched.some(log => log.isSettling)) await Promise.all(touched.map(log => log.settled()))
      return writeNow(touched, build)
    },
    async writeAlone(log, others, build) {
      const release = await log.alone()
      try {
        while (others.some(other => other.isSettling)) await Promise.all(others.map(other => other.settled()))
        return await writeNow([log, ...others], build)
      } finally {
        release()
      }
    },
    async idle() {
      while (inFlight > 0) await new Promise<void>(resolve => idlers.push(resolve))
    },
  }
}

/** The one translation of a store's errors. */
export function errorFromStore(thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown
  if (!(thrown instanceof StoreError)) return new HoldfastError('internal', 'The server failed to answer; its log says why.', {}, { cause: thrown })
  switch (thrown.code) {
    case 'full':
      return new HoldfastError(
        'storage_failed',
        'The disk is full: nothing of this was stored; try again once there is room.',
        { reason: 'full' },
        { cause: thrown },
      )
    case 'damaged':
      return damagedError(thrown.sessionId ?? '')
    case 'exists':
      return new HoldfastError('conflict', 'The id was used before.', {}, { cause: thrown })
    case 'stale':
      return new HoldfastError(
        'storage_failed',
        'A write before this one failed, so this one was not stored; try again.',
        { reason: 'stale' },
        { cause: thrown },
      )
    case 'fenced':
      return new HoldfastError('storage_failed', 'Another server took over this store.', { reason: 'fenced' }, { cause: thrown })
    case 'closed':
      return new HoldfastError('draining', 'The server is stopping; reconnect in a moment.', {}, { cause: thrown })
    case 'fatal':
      return new HoldfastError('storage_failed', 'The disk failed; the server stops and recovers at its next start.', { reason: 'fatal' }, { cause: thrown })
  }
}
