import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError, type Clock, type IdKey, type IdRow, type Logger, type Store } from '@holdfast/core'
import type { Chunk } from '@holdfast/protocol'
import { contentOf, takeIn } from './blobs.ts'
import { systemClock } from './clock.ts'
import { faultOf, outdatedSqlite } from './database.ts'
import { isDigest } from './encode.ts'
import { DamagedError, OpenError } from './errors.ts'
import { holdLock } from './lock.ts'
import type { PlayedFault } from './messages.ts'
import { blobPath, pathsOf, type Paths } from './paths.ts'
import { createReader, type Reader } from './reader.ts'
import { createIdFilter, MOST_IDS_TO_FILL } from './id-filter.ts'
import { createOverlay, nameOf, type Overlay } from './overlay.ts'
import { createWakes } from './wakes.ts'
import { startWritingThread, type WritingThread } from './writing-thread.ts'

export interface SqliteStoreOptions {
  /** Made where it is not there. */
  readonly dataDir: string
  readonly durability?: 'full' | 'relaxed'
  readonly logger?: Logger
  readonly clock?: Clock
  /** A session idle for this long is folded and compressed. */
  readonly coldAfterMs?: number
  /** About how large a segment file is before compression. */
  readonly segmentBytes?: number
  /** How large the database may get, in pages of 4 KiB; for tests of a full disk. */
  readonly maxPageCount?: number
  /** Gives the identity of a new history; the default is random. */
  readonly newEpoch?: () => string
  /** For tests. */
  readonly fault?: PlayedFault
}

export interface SqliteStore extends Store {
  /** Moves events from rows into segment files now: of all logs, or of those that are idle. */
  fold(which?: 'all' | 'cold'): Promise<void>
  /** Erases now what was dropped; false while a reader keeps the write-ahead log from being emptied. */
  erase(): Promise<boolean>
}

const COLD_AFTER_MS = 10 * 60 * 1000
const SEGMENT_BYTES = 256 * 1024
/** How often idle sessions are looked for. */
const TICK_MS = { least: 1000, most: 30 * 1000 } as const

/** An epoch that no other history has. */
export const randomEpoch = (): string => `e${randomBytes(10).toString('hex')}`

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Opens the embedded store of a data folder, for this process alone. Rejects with OpenError. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const outdated = outdatedSqlite()
  if (outdated) throw new OpenError('unsupported', `SQLite ${outdated} can corrupt its files: use Node 24.21 or later, which has 3.51.3 or later.`)
  const { logger = silent, clock = systemClock, durability = 'full', coldAfterMs = COLD_AFTER_MS } = options
  const paths = pathsOf(options.dataDir)
  mkdirSync(paths.dataDir, { recursive: true, mode: 0o700 })
  const unlock = holdLock(paths.lock)
  const wakes = createWakes()
  const overlay = createOverlay()
  let reader: Reader | undefined
  try {
    sweepIncoming(paths)
    const thread = await startWritingThread(
      {
        dataDir: paths.dataDir,
        durability,
        coldAfterMs,
        segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
        maxPageCount: options.maxPageCount ?? null,
        newEpoch: (options.newEpoch ?? randomEpoch)(),
        fault: options.fault ?? null,
      },
      { logger, onHeads: wakes.ring, onRemoved: segments => reader?.forget(segments), onShortened: id => reader?.forgetLog(id), overlay },
    )
    const onDamage = quarantining(thread, logger)
    reader = createReader(paths, onDamage)
    return storeOf({ paths, durability, clock, coldAfterMs, thread, reader, overlay, wakes, unlock, onDamage })
  } catch (error) {
    unlock()
    throw error
  }
}

function sweepIncoming(paths: Paths): void {
  mkdirSync(paths.incoming, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(paths.incoming)) rmSync(join(paths.incoming, name), { force: true })
}

const quarantining =
  (thread: WritingThread, logger: Logger) =>
  (error: DamagedError): void => {
    if (error.sessionId === '' || thread.quarantined.has(error.sessionId)) return
    thread.quarantined.add(error.sessionId)
    logger.error('a log is damaged and quarantined', { session_id: error.sessionId, reason: error.message })
    thread.put({ op: 'quarantine', id: error.sessionId, reason: error.message }).catch(() => {})
  }

interface Parts {
  readonly paths: Paths
  readonly durability: 'full' | 'relaxed'
  readonly clock: Clock
  readonly coldAfterMs: number
  readonly thread: WritingThread
  readonly reader: Reader
  readonly overlay: Overlay
  readonly wakes: ReturnType<typeof createWakes>
  readonly unlock: () => void
  readonly onDamage: (error: DamagedError) => void
}

function storeOf({ paths, durability, clock, coldAfterMs, thread, reader, overlay, wakes, unlock, onDamage }: Parts): SqliteStore {
  let closing: Promise<void> | undefined
  let stopTicks = (): void => {}
  const tickLater = (): void => {
    stopTicks = clock.after(Math.max(TICK_MS.least, Math.min(TICK_MS.most, coldAfterMs)), () => {
      thread.tick(clock.wallMs())
      tickLater()
    })
  }
  tickLater()

  /** The one place where errors of reads become StoreErrors. */
  const look = async <T>(sessionId: string, read: () => T): Promise<T> => {
    if (closing) throw new StoreError('closed', 'the store is closed')
    if (thread.quarantined.has(sessionId)) throw new StoreError('damaged', `the log of ${sessionId} is quarantined`, { sessionId })
    try {
      return read()
    } catch (error) {
      throw translate(sessionId, error, onDamage)
    }
  }

  let filing: Promise<unknown> | undefined
  /** Rows lag behind the journal: whoever needs the order of all of them waits until they don't; on a full disk they are taken as they are. */
  const filed = async (): Promise<void> => {
    if (overlay.isEmpty || closing) return
    const over = (): void => {
      filing = undefined
    }
    filing ??= thread.ask({ type: 'file' }).then(over, over)
    await filing
  }
  /** The tables end at what is not filed yet: also for who asks from below the floor. */
  const beyondRows = (id: string, after: number, maxBytes: number): Chunk | undefined => {
    const filedHead = overlay.filedHead(id)
    return filedHead === undefined ? undefined : overlay.read(id, Math.max(after, filedHead), maxBytes)
  }
  const filter = createIdFilter()
  /** Every id that is or will be stored for a session; undefined where they are too many. */
  const idNames = (sessionId: string): string[] | undefined => {
    const stored = reader.idNames(sessionId, MOST_IDS_TO_FILL)
    const coming = [...overlay.commits, ...thread.commitsInFlight()].flatMap(commit => commit.ids ?? []).filter(id => id.sessionId === sessionId)
    return stored && [...stored, ...coming.map(nameOf)]
  }
  // Ids of creations belong to no session: there are few, and no filter for them.
  const mayHaveId = (key: IdKey): boolean => key.sessionId === '' || filter.mayHave(key.sessionId, nameOf(key), () => idNames(key.sessionId))
  const findId = (key: IdKey): IdRow | undefined => {
    return mayHaveId(key) ? (overlay.findId(key) ?? reader.ids([key])[0]) : undefined
  }

  return {
    epoch: thread.epoch,
    durability,
    commit(commit) {
      let isFresh = commit.ids !== undefined
      for (const id of commit.ids ?? []) {
        isFresh &&= !mayHaveId(id)
        filter.add(id.sessionId, nameOf(id))
      }
      return thread.commit(commit, isFresh)
    },
    getSession: id =>
      look('', () => {
        const row = reader.session(id)
        return row && overlay.grown(row)
      }),
    async listSessions(query) {
      await filed()
      return look('', () => reader.list(query).map(overlay.grown))
    },
    countSessions: owner => look('', () => reader.count(owner)),
    findIds: keys => look('', () => keys.map(findId)),
    mayHaveId,
    expireIds: before => thread.ask({ type: 'expire', before }),
    read: (id, after, maxBytes) => look(id, () => overlay.read(id, after, maxBytes) ?? reader.read(id, after, maxBytes) ?? beyondRows(id, after, maxBytes)),
    wake: wakes.listen,
    async putSnapshot(id, seq, state) {
      await thread.put({ op: 'snapshot', id, seq, state })
    },
    getSnapshot: (id, atOrBefore) => look(id, () => reader.snapshot(id, atOrBefore)),
    async putBlob(id, sha256, content, maxBytes) {
      if (!isDigest(sha256)) throw new TypeError('the name of a blob is its SHA-256 in 64 lowercase hex digits')
      const row = await look(id, () => reader.session(id))
      if (row?.status !== 'live') throw new StoreError('stale', `there is no live session ${id}`, { sessionId: id })
      const incoming = await takeIn(paths, sha256, content, maxBytes).catch((error: unknown) => {
        throw faultOf(error) === 'full' ? new StoreError('full', 'no room for the blob', { sessionId: id, cause: error }) : error
      })
      try {
        if (await look(id, () => reader.blob(id, sha256))) return 'exists'
        const session = Number(await thread.put({ op: 'blob-begin', id, sha256 }))
        const path = join(paths.dataDir, blobPath(session, sha256))
        await incoming.place(path)
        return await thread.put({ op: 'blob', id, session, sha256, bytes: incoming.bytes }).then(
          stored => (stored === 1 ? ('stored' as const) : ('exists' as const)),
          (error: unknown) => {
            // Dropped meanwhile: what was just placed must not outlive the session.
            if (error instanceof StoreError && error.code === 'stale') rmSync(path, { force: true })
            throw error
          },
        )
      } finally {
        await incoming.discard()
      }
    },
    async getBlob(id, sha256) {
      const blob = await look(id, () => reader.blob(id, sha256))
      if (!blob) return undefined
      const path = join(paths.dataDir, blobPath(blob.session, sha256))
      return { bytes: blob.bytes, open: () => translated(contentOf(path, sha256, id), id) }
    },
    getDoc: (collection, id) => look('', () => reader.doc(collection, id)),
    listDocs: collection => look('', () => reader.docs(collection)),
    async acquireLease(name, holder, ttlMs) {
      return Number(await thread.put({ op: 'lease', name, holder, expiresAt: Math.trunc(clock.wallMs() + ttlMs) }))
    },
    async stats() {
      await filed()
      return look('', () => ({
        sessions: reader.meta('sessions'),
        logBytes: reader.meta('log_bytes'),
        commits: reader.meta('commits'),
        quarantined: [...thread.quarantined].sort(),
      }))
    },
    async fold(which = 'all') {
      await thread.ask({ type: 'fold', now: clock.wallMs(), all: which === 'all' })
    },
    async erase() {
      return (await thread.ask({ type: 'erase' })) === 1
    },
    close() {
      closing ??= (async () => {
        stopTicks()
        wakes.close()
        reader.close()
        await thread.close()
        unlock()
      })()
      return closing
    },
  }
}

async function* translated(content: AsyncGenerator<Uint8Array>, sessionId: string): AsyncGenerator<Uint8Array> {
  try {
    yield* content
  } catch (error) {
    throw translate(sessionId, error, () => {})
  }
}

/** A read that failed: `damaged` when what is stored does not fit, `full` when the process lacks something that it may have later. */
function translate(sessionId: string, error: unknown, onDamage: (error: DamagedError) => void): StoreError {
  const code = (error as { code?: unknown }).code
  if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') return new StoreError('full', 'too many open files', { cause: error })
  const isDamage = error instanceof DamagedError || error instanceof RangeError || error instanceof SyntaxError || faultOf(error) === 'damaged'
  if (!isDamage) return new StoreError('fatal', `a read failed: ${(error as Error).message}`, { cause: error })
  const damage = error instanceof DamagedError ? error : new DamagedError(sessionId, (error as Error).message)
  onDamage(damage)
  return new StoreError('damaged', damage.message, { cause: error, ...(damage.sessionId === '' ? {} : { sessionId: damage.sessionId }) })
}
