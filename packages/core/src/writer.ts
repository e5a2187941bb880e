import {
  bytesFromText,
  type Chunk,
  chunkFromText,
  chunksFromEvents,
  encodeEvent,
  type EventDraft,
  HoldfastError,
  type Limits,
  RECORD_HEADER_BYTES,
  TURN_BYTES,
} from '@holdfast/protocol'
import { goneError } from './access.ts'
import type { Log } from './log.ts'
import { damagedError, type Logs } from './logs.ts'
import {
  StoreError,
  type Append,
  type Clock,
  type Commit,
  type Doc,
  type IdRow,
  type Logger,
  type RowPatch,
  type SessionRecord,
  type SessionRow,
  type Store,
} from './ports.ts'
import { isoFromMs } from './time.ts'

/** One commit in the making. Everything is planned in one tick; nothing is visible before it is on disk. */
export interface Transaction {
  /** ms since 1970 on the steady clock: what records of this commit say. */
  readonly now: number
  create(row: SessionRow): void
  /** Encodes and appends; returns the first seq. `as` is the session id that stands in the headers. Throws `too_large`. */
  append(log: Log, drafts: readonly EventDraft[], as?: string): number
  /** Changes the record, and the life that goes with it. */
  patch(log: Log, record: SessionRecord, life?: string): void
  /** Changes the record of something that is not loaded: what is left of a session. */
  patchRow(sessionId: string, record: SessionRecord): void
  drop(log: Log, status: 'deleted' | 'expired', record: SessionRecord): void
  /** Everything up to `floor` goes; `freedBytes` is what that held. */
  trim(log: Log, floor: number, freedBytes: number): void
  id(row: IdRow): void
  doc(doc: Doc): void
  /** The row as it will be once this commit is on disk. */
  rowOf(log: Log): SessionRow
}

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
  /** The store can't go on: everybody is to be told, and the process is to end. */
  readonly onFatal: (error: unknown) => void
}

interface Change {
  row: SessionRow
  readonly chunks: Chunk[]
  gone: 'deleted' | 'expired' | undefined
}

/** The one place where events get their seq, timestamp and bytes (decisions 1 and 3). */
export function createWriter({ store, logs, clock, now, limits, fence, logger, onFatal }: WriterOptions): Writer {
  let inFlight = 0
  const idlers: (() => void)[] = []

  const checkSize = (bytes: number, index: number): void => {
    const max = limits.event_bytes
    if (bytes <= max) return
    throw new HoldfastError('too_large', `An event is at most ${max} bytes, this one has ${bytes}; put large content into a blob.`, {
      limit: 'event_bytes',
      max,
      bytes,
      index,
    })
  }

  const plan = <T>(build: (transaction: Transaction) => T): { result: T; commit: Commit; changes: Map<Log, Change> } => {
    const at = now()
    const timestamp = isoFromMs(clock.wallMs())
    const changes = new Map<Log, Change>()
    const creates: SessionRow[] = []
    const appends: Append[] = []
    const patches: RowPatch[] = []
    const drops: NonNullable<Commit['drops']>[number][] = []
    const trims: { sessionId: string; floor: number }[] = []
    const ids: IdRow[] = []
    const docs: Doc[] = []

    const encode = (drafts: readonly EventDraft[], as: string, firstSeq: number): Chunk[] => {
      const texts = drafts.map((draft, index) => encodeEvent(draft, as, firstSeq + index, timestamp))
      const [only] = texts
      if (only !== undefined && texts.length === 1) {
        const chunk = chunkFromText(only, firstSeq)
        checkSize(chunk.body.byteLength - RECORD_HEADER_BYTES, 0)
        return [chunk]
      }
      const events = texts.map(bytesFromText)
      for (const [index, event] of events.entries()) checkSize(event.byteLength, index)
      return chunksFromEvents(events, firstSeq, TURN_BYTES)
    }

    const changeOf = (log: Log): Change => {
      let change = changes.get(log)
      if (!change) {
        change = { row: log.next, chunks: [], gone: undefined }
        changes.set(log, change)
      }
      return change
    }

    const transaction: Transaction = {
      now: at,
      create: row => void creates.push(row),
      append(log, drafts, as = log.id) {
        const change = changeOf(log)
        const firstSeq = change.row.head + 1
        let bytes = change.row.bytes
        let head = change.row.head
        const activityAt = Math.max(at, change.row.activityAt)
        for (const chunk of encode(drafts, as, firstSeq)) {
          appends.push({ sessionId: log.id, activityAt, ...chunk })
          change.chunks.push(chunk)
          bytes += chunk.body.byteLength
          head = chunk.lastSeq
        }
        change.row = { ...change.row, head, bytes, activityAt }
        return firstSeq
      },
      patch(log, record, life) {
        const change = changeOf(log)
        change.row = { ...change.row, record, ...(life === undefined ? {} : { life }), activityAt: Math.max(at, change.row.activityAt) }
        patches.push({ sessionId: log.id, record, ...(life === undefined ? {} : { life }), activityAt: change.row.activityAt })
      },
      patchRow: (sessionId, record) => void patches.push({ sessionId, record }),
      drop(log, status, record) {
        changeOf(log).gone = status
        drops.push({ sessionId: log.id, status, record, keepLog: false })
      },
      trim(log, floor, freedBytes) {
        const change = changeOf(log)
        change.row = { ...change.row, floor, bytes: change.row.bytes - freedBytes }
        trims.push({ sessionId: log.id, floor })
      },
      id: row => void ids.push(row),
      doc: doc => void docs.push(doc),
      rowOf: log => changeOf(log).row,
    }
    const result = build(transaction)
    return { result, changes, commit: { creates, appends, patches, drops, trims, ids, docs, fence } }
  }

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
      log.touched = true
      if (!change.gone) continue
      logs.forget(log)
      log.end(goneError({ id: log.id, status: change.gone }))
    }
  }

  /** In the tick in which the logs were found ready. One promise for each commit: there are many of them. */
  const writeNow = <T>(touched: readonly Log[], build: (transaction: Transaction) => T): Promise<T> => {
    for (const log of touched) if (log.gone) throw log.gone
    const { result, commit, changes } = plan(build)
    if (isEmpty(commit)) return Promise.resolve(result)
    for (const [log, change] of changes) log.begin(change.row)
    inFlight++
    return store.commit(commit).then(
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

const isEmpty = ({ creates, appends, patches, drops, trims, ids, docs }: Commit): boolean =>
  !(appends?.length || ids?.length || patches?.length || creates?.length || drops?.length || trims?.length || docs?.length)

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
