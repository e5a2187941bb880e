// edge: the worker schedules its own background work
import type { Desk } from './desk.ts'
import type { Checkpoints } from './checkpoints.ts'
import { DamagedError } from './errors.ts'
import { faultOf } from './database.ts'
import { expireIds } from './expire.ts'
import type { Folder } from './fold.ts'
import type { Failure, Result, ToWorker, WorkerSettings } from './messages.ts'
import { readCold, writeCold } from './cold.ts'

/** The work that no caller waits for: erasing, folding, compressing; one thing at a time, in small steps between the groups. */
export interface Background {
  receive(message: ToWorker): void
  /** These logs have enough in rows for a segment. */
  fold(sessionIds: readonly string[]): void
  /** There may be something to erase. */
  wake(): void
  /** Resolves when the step that is under way has ended and what was dropped is erased. */
  finish(): Promise<void>
  /** Ends at once: nothing can be written any more. */
  stop(): void
}

export interface BackgroundOptions {
  readonly settings: WorkerSettings
  readonly desk: Desk
  readonly run: (work: () => Result) => Promise<Result>
  /** Files what the journal holds. */
  readonly file: () => Promise<Result>
  readonly log: (level: 'debug' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
  readonly onDamage: (error: DamagedError) => void
  readonly folder: Folder
  readonly erase: () => Promise<'files' | 'session' | undefined>
  readonly checkpoints: Checkpoints
  readonly reply: (request: number, value: number, failure?: Failure) => void
}

/** How soon the write-ahead log is emptied after something was erased, and how often that is tried again. */
const EMPTY_MS = 1000

/** Less than this is not worth a file (TERM-09). */
const LEAST_COLD_BYTES = 10 * 1024

const COLD_SESSIONS = 256

export function createBackground(options: BackgroundOptions): Background {
  const { settings, desk, folder, checkpoints } = options
  const foldable = new Set<string>()
  let lane: Promise<void> = Promise.resolve()
  let isStopped = false
  let isWaiting = false
  let emptying: NodeJS.Timeout | undefined

  /** Damage ends the work on one log, anything else the work of this round; rows stay where they are. */
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (error instanceof DamagedError) options.onDamage(error)
      else options.log(faultOf(error) === 'full' ? 'warn' : 'error', 'background work on the store failed', { error: String(error) })
    }
  }
  const inLane = (work: () => Promise<void>): Promise<void> => {
    lane = lane.then(() => (isStopped ? undefined : guarded(work)))
    return lane
  }

  const eraseAll = async (): Promise<void> => {
    let isErased = false
    for (let what = await options.erase(); what !== undefined; what = await options.erase()) isErased ||= what === 'session'
    if (isErased) emptyLater()
  }
  const emptyLater = (): void => {
    if (isStopped) return
    emptying ??= setTimeout(() => {
      emptying = undefined
      if (!isStopped && !checkpoints.empty()) emptyLater()
    }, EMPTY_MS)
  }

  /** Folds what the log has now, and not what comes meanwhile: a log that grows all the time would keep everything else waiting. */
  const foldLog = async (id: string, leastBytes: number, compress: boolean): Promise<void> => {
    const head = desk.sql('SELECT head FROM sessions WHERE id = ?').get(id)?.['head'] as number | undefined
    for (;;) {
      const folded = desk.sql('SELECT folded FROM sessions WHERE id = ?').get(id)?.['folded'] as number | undefined
      if (isStopped || folded === undefined || head === undefined || folded >= head || desk.quarantined.has(id)) return
      if (!(await folder.foldRuns(id, leastBytes, compress))) return
      await eraseAll()
    }
  }
  const chill = async (id: string, loose: number): Promise<void> => {
    if (loose > LEAST_COLD_BYTES) await foldLog(id, 1, true)
    while (!isStopped && !desk.quarantined.has(id) && (await folder.compressOne(id))) await eraseAll()
  }

  const foldDue = async (): Promise<void> => {
    for (const id of [...foldable]) {
      foldable.delete(id)
      await guarded(() => foldLog(id, settings.segmentBytes, false))
      if (isStopped) return
    }
  }
  /** Sessions that fell idle since the last look, in the order in which they did. */
  const chillDue = async (now: number): Promise<void> => {
    for (;;) {
      const due = readCold(desk.sql, now - settings.coldAfterMs, COLD_SESSIONS)
      for (const session of due) {
        if (session.loose <= LEAST_COLD_BYTES && !session.hasPlain) continue
        await guarded(() => chill(session.id, session.loose))
        if (isStopped) return
      }
      const last = due.at(-1)
      if (!last) return
      const written = await options.run(() => writeCold(desk.sql, last))
      if (written && 'failure' in written) return
    }
  }
  const foldEverything = async (): Promise<void> => {
    for (const row of desk.sql('SELECT id FROM sessions WHERE loose > 0').all()) await guarded(() => foldLog(row['id'] as string, 1, false))
  }

  const round = async (): Promise<void> => {
    isWaiting = false
    await eraseAll()
    await foldDue()
    if (foldable.size > 0) wake()
  }
  const wake = (): void => {
    if (isWaiting) return
    isWaiting = true
    void inLane(round)
  }

  const answer = (request: number, work: () => Promise<number>): void => {
    void inLane(async () => {
      try {
        options.reply(request, await work())
      } catch (error) {
        options.reply(request, 0, { code: faultOf(error) === 'full' ? 'full' : 'fatal', message: (error as Error).message })
      }
    }).then(() => {
      if (isStopped) options.reply(request, 0, { code: 'closed', message: 'the store is closed' })
    })
  }

  return {
    wake,
    fold(ids) {
      for (const id of ids) foldable.add(id)
      wake()
    },
    receive(message) {
      if (message.type === 'tick') void inLane(() => chillDue(message.now))
      if (message.type === 'expire') answer(message.request, () => expireIds(desk.sql, options.run, message.before))
      if (message.type === 'file') {
        void options.file().then(result => options.reply(message.request, 0, result && 'failure' in result ? result.failure : undefined))
      }
      if (message.type === 'fold') {
        answer(message.request, async () => {
          await options.file()
          if (message.all) await foldEverything()
          else await chillDue(message.now)
          await eraseAll()
          return 0
        })
      }
      if (message.type === 'erase') {
        answer(message.request, async () => {
          await eraseAll()
          return checkpoints.empty() ? 1 : 0
        })
      }
    },
    finish() {
      isStopped = true
      clearTimeout(emptying)
      lane = lane.then(() => guarded(eraseAll))
      return lane
    },
    stop() {
      isStopped = true
      clearTimeout(emptying)
    },
  }
}
