import { eachRecord, sliceChunk, type Chunk } from '@holdfast/protocol'
import { StoreError, type Append, type Commit, type Doc, type IdKey, type IdRow, type SessionRow } from './ports.ts'

interface MemoryLog {
  row: SessionRow
  chunks: Chunk[]
  readonly snapshots: Map<number, string>
  readonly blobs: Map<string, Uint8Array>
  readonly ids: Map<string, IdRow>
}

/** What a memory store holds: hand it to another one to play a restart. */
export interface MemoryDisk {
  readonly logs: Map<string, MemoryLog>
  /** Ids of creations, which belong to no session. */
  readonly ids: Map<string, IdRow>
  readonly docs: Map<string, Map<string, string>>
  readonly fences: Map<string, number>
  commits: number
}

export const createMemoryDisk = (): MemoryDisk => ({ logs: new Map(), ids: new Map(), docs: new Map(), fences: new Map(), commits: 0 })

const idText = (key: IdKey): string => `${key.sender}\n${key.id}`

export const findId = (disk: MemoryDisk, key: IdKey): IdRow | undefined =>
  (key.sessionId === '' ? disk.ids : disk.logs.get(key.sessionId)?.ids)?.get(idText(key))

/** Throws StoreError, and then nothing of the commit is applied. */
export function applyCommit(disk: MemoryDisk, commit: Commit): Map<string, number> {
  checkCommit(disk, commit)
  for (const row of commit.creates ?? []) {
    disk.logs.set(row.id, { row: { ...row, floor: row.head, bytes: 0 }, chunks: [], snapshots: new Map(), blobs: new Map(), ids: new Map() })
  }
  const heads = new Map<string, number>()
  for (const append of commit.appends ?? []) {
    const log = logOf(disk, append.sessionId)
    log.chunks.push({ firstSeq: append.firstSeq, lastSeq: append.lastSeq, body: append.body })
    log.row = { ...log.row, head: append.lastSeq, activityAt: append.activityAt, bytes: log.row.bytes + append.body.byteLength }
    heads.set(append.sessionId, append.lastSeq)
  }
  for (const { sessionId, ...patch } of commit.patches ?? []) {
    const log = logOf(disk, sessionId)
    log.row = { ...log.row, ...patch }
  }
  for (const trim of commit.trims ?? []) trimLog(logOf(disk, trim.sessionId), trim.floor)
  for (const id of commit.ids ?? []) (id.sessionId === '' ? disk.ids : logOf(disk, id.sessionId).ids).set(idText(id), id)
  for (const doc of commit.docs ?? []) setDoc(disk, doc)
  for (const drop of commit.drops ?? []) {
    const log = logOf(disk, drop.sessionId)
    log.row = { ...log.row, status: drop.status, record: drop.record }
    if (drop.keepLog) continue
    trimLog(log, log.row.head)
    log.snapshots.clear()
    log.blobs.clear()
    log.ids.clear()
  }
  disk.commits++
  return heads
}

function checkCommit(disk: MemoryDisk, commit: Commit): void {
  if (commit.fence < (disk.fences.get('store') ?? 0)) throw new StoreError('fenced', 'another holder took the store over')
  const heads = new Map<string, number>()
  for (const row of commit.creates ?? []) {
    if (disk.logs.has(row.id) || heads.has(row.id)) throw new StoreError('exists', `session ${row.id} exists`, { sessionId: row.id })
    heads.set(row.id, row.head)
  }
  for (const append of commit.appends ?? []) {
    const row = disk.logs.get(append.sessionId)?.row
    const head = heads.get(append.sessionId) ?? (row?.status === 'live' ? row.head : undefined)
    if (head === undefined || append.firstSeq !== head + 1 || !isWhole(append))
      throw new StoreError('stale', `an append does not follow the head of ${append.sessionId}`, { sessionId: append.sessionId })
    heads.set(append.sessionId, append.lastSeq)
  }
  const known = (sessionId: string): void => {
    if (!disk.logs.has(sessionId) && !heads.has(sessionId)) throw new StoreError('stale', `there is no session ${sessionId}`, { sessionId })
  }
  for (const part of [...(commit.patches ?? []), ...(commit.drops ?? []), ...(commit.trims ?? [])]) known(part.sessionId)
  const ids = new Set<string>()
  for (const id of commit.ids ?? []) {
    if (id.sessionId !== '') known(id.sessionId)
    const text = `${id.sessionId}\n${idText(id)}`
    if (ids.has(text) || findId(disk, id)) throw new StoreError('exists', `id ${id.id} exists`, { sessionId: id.sessionId })
    ids.add(text)
  }
}

/** True when a body holds as many whole records as its seqs say. */
export function isWhole(append: Append): boolean {
  let count = 0
  try {
    eachRecord(append.body, () => {
      count++
      return undefined
    })
  } catch {
    return false
  }
  return count > 0 && count === append.lastSeq - append.firstSeq + 1
}

export function logOf(disk: MemoryDisk, sessionId: string): MemoryLog {
  const log = disk.logs.get(sessionId)
  if (!log) throw new StoreError('stale', `there is no session ${sessionId}`, { sessionId })
  return log
}

function trimLog(log: MemoryLog, wanted: number): void {
  const floor = Math.max(log.row.floor, Math.min(wanted, log.row.head))
  const chunks: Chunk[] = []
  for (const chunk of log.chunks) {
    const kept = sliceChunk(chunk, floor, chunk.lastSeq, Number.POSITIVE_INFINITY)
    if (kept) chunks.push(kept)
  }
  log.chunks = chunks
  log.row = { ...log.row, floor, bytes: chunks.reduce((sum, chunk) => sum + chunk.body.byteLength, 0) }
  pruneSnapshots(log)
}

/** Kept: the newest four, and the oldest that the kept log follows on. */
export function pruneSnapshots(log: MemoryLog): void {
  const seqs = [...log.snapshots.keys()].sort((a, b) => a - b)
  const base = seqs.find(seq => seq >= log.row.floor)
  const newest = seqs.slice(-4)
  for (const seq of seqs) if (seq !== base && (!newest.includes(seq) || (seq < log.row.floor && seq !== seqs.at(-1)))) log.snapshots.delete(seq)
}

function setDoc(disk: MemoryDisk, doc: Doc): void {
  const docs = disk.docs.get(doc.collection) ?? new Map<string, string>()
  if (doc.value === null) docs.delete(doc.id)
  else docs.set(doc.id, doc.value)
  disk.docs.set(doc.collection, docs)
}

/** Whole events after `after`, joined over neighbouring chunks, at most `maxBytes` (one event always fits). */
export function readLog(log: MemoryLog, after: number, maxBytes: number): Chunk | undefined {
  const from = Math.max(after, log.row.floor)
  const pieces: Chunk[] = []
  let bytes = 0
  for (let index = firstAfter(log.chunks, from); index < log.chunks.length; index++) {
    const chunk = log.chunks[index] as Chunk
    const piece = sliceChunk(chunk, from, chunk.lastSeq, maxBytes - bytes)
    if (!piece || (pieces.length > 0 && bytes + piece.body.byteLength > maxBytes)) break
    pieces.push(piece)
    bytes += piece.body.byteLength
    if (piece.lastSeq < chunk.lastSeq) break
  }
  const first = pieces[0]
  if (!first || pieces.length === 1) return first
  const body = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    body.set(piece.body, at)
    at += piece.body.byteLength
  }
  return { firstSeq: first.firstSeq, lastSeq: (pieces.at(-1) as Chunk).lastSeq, body }
}

function firstAfter(chunks: readonly Chunk[], after: number): number {
  let low = 0
  let high = chunks.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((chunks[middle] as Chunk).lastSeq <= after) low = middle + 1
    else high = middle
  }
  return low
}
