import { applyCommit, createMemoryDisk, findId, logOf, pruneSnapshots, readLog, type MemoryDisk } from './memory-disk.ts'
import { StoreError, type Commit, type ListQuery, type SessionRow, type Store } from './ports.ts'

/** All of it optional; the hooks are the faults of tests and simulations. */
export interface MemoryStoreOptions {
  readonly epoch?: string
  readonly durability?: 'full' | 'relaxed'
  /** What an earlier store left, to play a restart. */
  readonly disk?: MemoryDisk
  /** Lowercase hex digest; without it a blob's name is believed. */
  readonly sha256?: (bytes: Uint8Array) => string
  /** Runs a wake once the commit's callers have gone on; the default waits some microtasks. */
  readonly defer?: (run: () => void) => void
  /** May throw a StoreError (nothing is stored then) or take its time; later commits wait. */
  readonly beforeCommit?: (commit: Commit) => Promise<void> | void
  /** Runs when a commit is stored and its caller does not know yet: a throw here is a lost answer. */
  readonly afterCommit?: (commit: Commit) => Promise<void> | void
  /** May throw a StoreError (`damaged`) or take its time. */
  readonly beforeRead?: (sessionId: string, after: number) => Promise<void> | void
  /** Runs between the look into the log and the answer. */
  readonly afterRead?: (sessionId: string, after: number) => Promise<void> | void
  /** True loses the hint. */
  readonly dropWake?: (sessionId: string, head: number) => boolean
}

export interface MemoryStore extends Store {
  readonly disk: MemoryDisk
  /** As a killed process: what waits is neither stored nor answered, and nothing is taken any more. */
  kill(): void
}

/** Microtasks that a wake waits for: more than any chain of awaits between a commit and its caller has. */
const WAKE_HOPS = 16

/** A store in memory with the same promises as the others, apart from surviving the process; throws and delays as its options say. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const disk = options.disk ?? createMemoryDisk()
  const listeners = new Map<string, Set<(head: number) => void>>()
  const defer = options.defer ?? hops
  let last: Promise<unknown> = Promise.resolve()
  let closed = false
  let killed = false

  const open = async (): Promise<void> => {
    await undefined
    if (closed) throw new StoreError('closed', 'the store is closed')
  }

  const wakeAll = (heads: ReadonlyMap<string, number>): void => {
    if (heads.size === 0 || killed) return
    defer(() => {
      if (killed) return
      for (const [id, head] of heads) {
        if (options.dropWake?.(id, head)) continue
        for (const listener of [...(listeners.get(id) ?? [])]) listener(head)
      }
    })
  }

  const run = async (commit: Commit, heads: Map<string, number>): Promise<void> => {
    await options.beforeCommit?.(commit)
    if (killed) await new Promise(() => {})
    for (const [id, head] of applyCommit(disk, commit)) heads.set(id, head)
    await options.afterCommit?.(commit)
    if (killed) await new Promise(() => {})
  }

  return {
    disk,
    epoch: options.epoch ?? 'memory',
    durability: options.durability ?? 'full',
    kill() {
      killed = true
      closed = true
    },
    commit(commit) {
      if (closed) return Promise.reject(new StoreError('closed', 'the store is closed'))
      const heads = new Map<string, number>()
      const done = last.then(() => run(commit, heads))
      last = done.catch(() => {})
      void last.then(() => wakeAll(heads))
      return done
    },
    async getSession(id) {
      await open()
      return disk.logs.get(id)?.row
    },
    async listSessions(query) {
      await open()
      return listRows(disk, query)
    },
    async countSessions(owner) {
      await open()
      return listRows(disk, { owner, limit: Number.POSITIVE_INFINITY }).length
    },
    async findIds(keys) {
      await open()
      return keys.map(key => findId(disk, key))
    },
    async expireIds(before) {
      await open()
      return expire(disk, before)
    },
    async read(id, after, maxBytes) {
      await open()
      await options.beforeRead?.(id, after)
      const log = disk.logs.get(id)
      const chunk = log && readLog(log, after, maxBytes)
      await options.afterRead?.(id, after)
      return chunk
    },
    wake(id, listener) {
      const set = listeners.get(id) ?? new Set()
      // Each call counts for itself, also with a function that listens already.
      const own = (head: number): void => listener(head)
      listeners.set(id, set.add(own))
      return () => {
        set.delete(own)
        if (set.size === 0 && listeners.get(id) === set) listeners.delete(id)
      }
    },
    async putSnapshot(id, seq, state) {
      await open()
      const log = logOf(disk, id)
      if (log.row.status !== 'live' || seq > log.row.head) throw new StoreError('stale', `there is no event ${seq} in ${id}`, { sessionId: id })
      log.snapshots.set(seq, state)
      pruneSnapshots(log)
    },
    async getSnapshot(id, atOrBefore) {
      await open()
      const snapshots = disk.logs.get(id)?.snapshots ?? new Map<number, string>()
      const seq = Math.max(...[...snapshots.keys()].filter(key => key <= atOrBefore))
      const state = snapshots.get(seq)
      return state === undefined ? undefined : { seq, state }
    },
    async putBlob(id, sha256, content, maxBytes) {
      await open()
      if (logOf(disk, id).row.status !== 'live') throw new StoreError('stale', `${id} is not live`, { sessionId: id })
      const bytes = await gather(content, maxBytes)
      if (options.sha256 && options.sha256(bytes) !== sha256) throw new TypeError('the content does not have this SHA-256')
      await open()
      const log = logOf(disk, id)
      if (log.row.status !== 'live') throw new StoreError('stale', `${id} is not live`, { sessionId: id })
      if (log.blobs.has(sha256)) return 'exists'
      log.blobs.set(sha256, bytes)
      return 'stored'
    },
    async getBlob(id, sha256) {
      await open()
      const bytes = disk.logs.get(id)?.blobs.get(sha256)
      if (!bytes) return undefined
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes
      }
      return { bytes: bytes.byteLength, open: pieces }
    },
    async getDoc(collection, id) {
      await open()
      return disk.docs.get(collection)?.get(id)
    },
    async listDocs(collection) {
      await open()
      return [...(disk.docs.get(collection) ?? [])].map(([id, value]) => ({ id, value })).sort((a, b) => (a.id < b.id ? -1 : 1))
    },
    async acquireLease(name) {
      await open()
      const fence = (disk.fences.get(name) ?? 0) + 1
      disk.fences.set(name, fence)
      return fence
    },
    async stats() {
      await open()
      const rows = listRows(disk, { limit: Number.POSITIVE_INFINITY })
      let logBytes = 0
      for (const log of disk.logs.values()) logBytes += log.row.bytes
      return { sessions: rows.length, logBytes, commits: disk.commits, quarantined: [] }
    },
    async close() {
      closed = true
      if (!killed) await last
      listeners.clear()
    },
  }
}

const hops = (run: () => void): void => {
  let left = WAKE_HOPS
  const hop = (): void => {
    if (left-- > 0) void Promise.resolve().then(hop)
    else run()
  }
  hop()
}

/** Newest activity first, then greater ids. */
const newerFirst = (a: { activityAt: number; id: string }, b: { activityAt: number; id: string }): number =>
  b.activityAt - a.activityAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

function listRows(disk: MemoryDisk, query: ListQuery): SessionRow[] {
  const rows: SessionRow[] = []
  for (const { row } of disk.logs.values()) {
    if (row.status !== 'live') continue
    if (query.owner !== undefined && row.owner !== query.owner) continue
    if (query.kind === undefined ? row.kind === 'feed' : row.kind !== query.kind) continue
    if (query.life !== undefined && row.life !== query.life) continue
    if (query.parent !== undefined && row.record.parent_session_id !== query.parent) continue
    if (query.before !== undefined && newerFirst(query.before, row) >= 0) continue
    rows.push(row)
  }
  return rows.sort(newerFirst).slice(0, query.limit)
}

/** Ids whose events are kept stay, whatever their age. */
function expire(disk: MemoryDisk, before: number): number {
  let count = 0
  for (const [key, row] of disk.ids) {
    if (row.at < before && disk.ids.delete(key)) count++
  }
  for (const log of disk.logs.values()) {
    for (const [key, row] of log.ids) {
      if (row.at < before && log.row.floor > 0 && row.lastSeq <= log.row.floor && log.ids.delete(key)) count++
    }
  }
  return count
}

async function gather(content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of content) {
    size += part.byteLength
    if (size > maxBytes) throw new RangeError(`the blob is over ${maxBytes} bytes`)
    parts.push(part.slice())
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.byteLength
  }
  return bytes
}
