import { cachedSql } from './database.ts'
import { DamagedError } from './errors.ts'
import { createBackground } from './background.ts'
import { createCheckpoints } from './checkpoints.ts'
import { createEraser, settleFiles } from './eraser.ts'
import { createFolder } from './fold.ts'
import { createLogs } from './logs.ts'
import type { FromWorker, Result, ToWorker, WorkerSettings } from './messages.ts'
import { openForWriting } from './opening.ts'
import { pathsOf } from './paths.ts'
import type { Desk } from './desk.ts'
import { createIds } from './ids.ts'
import { createJournal } from './journal.ts'
import { createWriter, taskFromItem, taskOf, type Task } from './writer.ts'

export interface Writing {
  receive(message: ToWorker): void
}

export interface WritingPorts {
  readonly post: (message: FromWorker) => void
  /** The next message that lies there already. */
  readonly takeWaiting: () => ToWorker | undefined
  readonly onClosed: () => void
}

/** What one transaction takes at most, so that its callers do not wait for all the others. */
const GROUP = { tasks: 4096, bytes: 8 * 1024 * 1024 } as const

/** When the journal is filed into the tables: each time costs some milliseconds, and a start reads what was left. */
const FILE = { bytes: 1024 * 1024, ids: 2000, afterMs: 100 } as const

/** The worker's side: gathers what waits, writes it as a group, tells the results, and does the work that nobody waits for in between. Throws OpenError. */
export function startWriting(settings: WorkerSettings, { post, takeWaiting, onClosed }: WritingPorts): Writing {
  const paths = pathsOf(settings.dataDir)
  const { db, guard, epoch, totals, wasPutBack, wasKilled, damagedGroups } = openForWriting(paths, settings)
  if (settings.maxPageCount !== null) db.exec(`PRAGMA max_page_count = ${settings.maxPageCount}`)
  const sql = cachedSql(db)
  const quarantined = new Set(
    sql('SELECT session FROM quarantine')
      .all()
      .map(row => row['session'] as string),
  )
  const fence = Number(sql(`SELECT fence FROM leases WHERE name = 'store'`).get()?.['fence'] ?? 0)
  const desk: Desk = { sql, logs: createLogs(sql, totals), ids: createIds(sql), journal: createJournal(sql), paths, quarantined, fence, hasRemains: false }
  const log = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
    post({ type: 'log', level, message, fields })
  settleFiles(desk)

  const external: { task: Task; bytes: number }[] = []
  const internal: { task: Task; resolve: (result: Result) => void }[] = []
  let isScheduled = false
  let isClosing = false

  const schedule = (): void => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(pump)
  }
  const runTask = (task: Task): Promise<Result> =>
    new Promise(resolve => {
      internal.push({ task, resolve })
      schedule()
    })
  const run = (work: () => Result): Promise<Result> => runTask(taskOf(work))
  /** Any transaction that does more than to append files what the journal holds. */
  const file = (): Promise<Result> => run(() => undefined)
  const quarantine = (error: DamagedError): void => {
    if (quarantined.has(error.sessionId)) return
    quarantined.add(error.sessionId)
    log('error', 'a log is damaged and quarantined', { session_id: error.sessionId, reason: error.message })
    post({ type: 'quarantined', id: error.sessionId })
    void runTask(taskFromItem(desk, { op: 'quarantine', id: error.sessionId, reason: error.message }, new Uint8Array()))
  }

  let passes = 0
  const step = (name: string): void => {
    const fault = settings.fault
    if (fault?.at !== name || ++passes !== fault.after) return
    if (fault.action === 'kill') process.kill(process.pid, 'SIGKILL')
    throw Object.assign(new Error('disk I/O error (played)'), { errcode: 1034 })
  }
  const onRemoved = (segments: readonly number[]): void => post({ type: 'removed', segments })

  const checkpoints = createCheckpoints(db, guard)
  const background = createBackground({
    settings,
    desk,
    run,
    file,
    log,
    onDamage: quarantine,
    folder: createFolder({ db, desk, segmentBytes: settings.segmentBytes, run, onRemoved, step }),
    erase: createEraser({ desk, run, onRemoved, step }),
    checkpoints,
    reply: (request, value, failure) => post({ type: 'reply', request, value, failure }),
  })
  const writer = createWriter({
    db,
    desk,
    epoch,
    guard,
    totals,
    segmentBytes: settings.segmentBytes,
    onFoldable: logs => background.fold(logs.map(found => found.id)),
    onDamage: quarantine,
    onFatal: error => {
      background.stop()
      log('error', 'a write failed; nothing more is written', { error: String(error) })
    },
    step,
  })

  let unfiledBytes = 0
  let filing: NodeJS.Timeout | undefined
  /** What waits in the journal is filed when it is much, or after a while. */
  const fileWhenDue = (bytes: number): void => {
    if (writer.filed === writer.commits) {
      unfiledBytes = 0
      clearTimeout(filing)
      filing = undefined
      return
    }
    unfiledBytes += bytes
    if (unfiledBytes >= FILE.bytes || desk.ids.size >= FILE.ids) {
      unfiledBytes = 0
      void file()
    }
    // edge: the worker schedules its own filing
    filing ??= setTimeout(() => {
      filing = undefined
      void file()
    }, FILE.afterMs)
  }

  const receive = (message: ToWorker): void => {
    if (message.type === 'batch') {
      const bodies = new Uint8Array(message.buffer)
      const bytes = bodies.byteLength / message.items.length
      for (const item of message.items) external.push({ task: taskFromItem(desk, item, bodies), bytes })
      schedule()
    } else if (message.type === 'close') {
      isClosing = true
      void close()
    } else background.receive(message)
  }

  const pump = (): void => {
    isScheduled = false
    for (let message = takeWaiting(); message; message = takeWaiting()) receive(message)
    let count = 0
    let bytes = 0
    while (count < external.length && count < GROUP.tasks && bytes < GROUP.bytes) bytes += external[count++]?.bytes ?? 0
    const mine = external.splice(0, count)
    const own = internal.splice(0)
    if (mine.length + own.length === 0) return
    const filedBefore = writer.filed
    const results = writer.run([...mine, ...own].map(entry => entry.task))
    const told: (readonly [number, Exclude<Result, undefined>])[] = []
    for (let index = 0; index < mine.length; index++) {
      const result = results[index]
      if (result) told.push([index, result])
    }
    if (mine.length > 0) post({ type: 'settled', commit: writer.commits, filed: writer.filed, count: mine.length, results: told })
    else if (writer.filed > filedBefore) post({ type: 'filed', filed: writer.filed })
    own.forEach((entry, index) => {
      entry.resolve(results[mine.length + index])
    })
    if (!writer.failed) {
      fileWhenDue(bytes)
      checkpoints.afterGroup(bytes)
      if (desk.hasRemains) background.wake()
      desk.hasRemains = false
    }
    if (external.length + internal.length > 0) schedule()
  }

  const close = async (): Promise<void> => {
    while (external.length > 0) pump()
    await background.finish()
    clearTimeout(filing)
    if (writer.filed < writer.commits && !writer.failed) void file()
    while (internal.length > 0) pump()
    clearTimeout(filing)
    if (!writer.failed) checkpoints.last()
    guard.close()
    try {
      db.close()
    } finally {
      onClosed()
    }
  }

  // What a killed process left in the journal: readers look into the tables alone.
  const [left] = writer.filed < writer.commits ? writer.run([taskOf(() => undefined)]) : []
  if (left && 'failure' in left) throw Object.assign(new Error(left.failure.message), { code: left.failure.code === 'full' ? 'ENOSPC' : 'EIO' })
  post({ type: 'ready', epoch, quarantined: [...quarantined] })
  if (wasKilled) log('info', 'the last stop was not clean: recovered to the last whole commit', { commits: totals.commits })
  if (damagedGroups > 0) log('error', 'commits in the journal are damaged and lost: its logs have a new epoch', { epoch, groups: damagedGroups })
  if (wasPutBack) log('warn', 'the database is older than it once was: its logs have a new epoch', { epoch })
  background.wake()
  return {
    receive(message) {
      if (!isClosing) receive(message)
    },
  }
}
