import { HoldfastError } from '@holdfast/protocol'
import type { Context } from './context.ts'
import { Log } from './log.ts'
import { applyRetention, KEEP_ALL } from './retention.ts'
import { dropSession } from './sessions.ts'

/** A reader whose wake-up was lost looks again after this long (fault 18). */
const LOOK_MS = 1000
const SWEEP_MS = 60_000
const PAGE_ROWS = 200

export interface Sweep {
  /** Expiry, retention, old ids: once, now. */
  run(): Promise<void>
  stop(): Promise<void>
}

/** What the engine does by itself: looks once a second for readers that missed a wake-up, and once a minute for what is too old or too much. */
export function createSweep(context: Context, sweepMs: number = SWEEP_MS): Sweep {
  const { clock, logger } = context
  let stopped = false
  let running: Promise<void> | undefined
  let stopTimer: () => void = () => undefined
  let stopLook: () => void = () => undefined

  const run = (): Promise<void> => {
    running ??= sweepOnce(context).finally(() => {
      running = undefined
    })
    return running
  }
  const tick = (): void => {
    stopTimer = clock.after(sweepMs, () => {
      run()
        .catch(error => logger.warn('a sweep failed', { error: error instanceof HoldfastError ? error.message : String(error) }))
        .finally(() => {
          if (!stopped) tick()
        })
    })
  }
  const look = (): void => {
    stopLook = clock.after(LOOK_MS, () => {
      for (const log of context.logs.all()) if (log.readers > 0) log.wake()
      if (!stopped) look()
    })
  }
  tick()
  look()
  return {
    run,
    async stop() {
      stopped = true
      stopTimer()
      stopLook()
      await running?.catch(() => undefined)
    },
  }
}

async function sweepOnce(context: Context): Promise<void> {
  for (const [kind, idleMs] of Object.entries(context.idleExpiryMs)) if (idleMs !== null) await expireIdle(context, kind, idleMs)
  for (const log of [...context.logs.all()]) {
    if (!log.touched) continue
    log.touched = false
    if (!log.gone) await eachAlone(context, log, () => applyRetention(context, log, context.retention[log.row.kind] ?? KEEP_ALL))
  }
  for (const [kind, retention] of Object.entries(context.retention)) if (retention.max_age_ms !== null) await trimAged(context, kind, retention.max_age_ms)
  await context.store.expireIds(context.now() - context.limits.id_retention_ms)
}

/** What fails for one log (damaged, no room) is tried again at the next sweep and holds no other log up. */
async function eachAlone(context: Context, log: Log, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    log.touched = true
    context.logger.warn('the sweep of a session failed', { session_id: log.id, error: thrown instanceof Error ? thrown.message : String(thrown) })
  }
}

/** Ends what nobody has used for longer than `idleMs`; exactly that long is not expired, and a reader keeps a session alive (TERM-07). */
async function expireIdle(context: Context, kind: string, idleMs: number): Promise<void> {
  const cutoff = context.now() - idleMs
  for (let before = { activityAt: cutoff, id: '' }; ; ) {
    const rows = await context.store.listSessions({ kind, limit: PAGE_ROWS, before })
    for (const row of rows) {
      const log = await context.logs.load(row.id)
      if (!(log instanceof Log) || log.gone) continue
      const inUse = (): boolean => log.readers > 0 || Math.max(log.row.activityAt, context.drivers.usedAt(log)) >= cutoff
      if (!inUse()) await eachAlone(context, log, () => dropSession(context, log, 'expired', inUse))
    }
    const last = rows.at(-1)
    if (!last || rows.length < PAGE_ROWS) return
    before = { activityAt: last.activityAt, id: last.id }
  }
}

/** Age trims logs that nobody touches, too. */
async function trimAged(context: Context, kind: string, maxAgeMs: number): Promise<void> {
  const retention = context.retention[kind] ?? KEEP_ALL
  for (let before: { activityAt: number; id: string } | undefined; ; ) {
    const rows = await context.store.listSessions({ kind, limit: PAGE_ROWS, ...(before ? { before } : {}) })
    for (const row of rows) {
      if (row.head === row.floor || row.createdAt > context.now() - maxAgeMs) continue
      const log = await context.logs.load(row.id)
      if (log instanceof Log && !log.gone) await eachAlone(context, log, () => applyRetention(context, log, retention))
    }
    const last = rows.at(-1)
    if (!last || rows.length < PAGE_ROWS) return
    before = { activityAt: last.activityAt, id: last.id }
  }
}
