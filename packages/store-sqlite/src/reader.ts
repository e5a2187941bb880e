import { closeSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import type { IdKey, IdRow, ListQuery, RowStatus, SessionRecord, SessionRow } from '@holdfast/core'
import { FRAME_ROOM_BYTES, joinChunks, sliceChunk, type Chunk } from '@holdfast/protocol'
import { cachedSql, openDatabase, type Row, type Sql, type Value } from './database.ts'
import { DamagedError } from './errors.ts'
import { logFromRow, type Log } from './logs.ts'
import { nameOf } from './overlay.ts'
import { createReadBuffers, type ReadBuffers } from './read-buffers.ts'
import { segmentPath, type Paths } from './paths.ts'
import { chunkSum, docSum, idSum, recordSum, SESSION_COLUMNS, sessionFits, snapshotSum } from './schema.ts'
import { blocksAfter, openSegment, readBlocks, segmentFromRow, SEGMENT_COLUMNS, type Segment } from './segments.ts'

/** Reads of the committed state, on a connection of their own; synchronous and short. All throw DamagedError. */
export interface Reader {
  session(id: string): SessionRow | undefined
  /** Rows that do not fit their checksum are left out and told to `onDamage`. */
  list(query: ListQuery): SessionRow[]
  count(owner: string): number
  ids(keys: readonly IdKey[]): (IdRow | undefined)[]
  /** The names (`nameOf`) of all ids of a session; undefined where they are more than `most`. */
  idNames(sessionId: string, most: number): string[] | undefined
  read(id: string, after: number, maxBytes: number): Chunk | undefined
  snapshot(id: string, atOrBefore: number): { seq: number; state: string } | undefined
  blob(id: string, sha256: string): { readonly session: number; readonly bytes: number } | undefined
  doc(collection: string, id: string): string | undefined
  docs(collection: string): { id: string; value: string }[]
  meta(key: string): number
  /** The files of these segments are gone. */
  forget(segments: readonly number[]): void
  /** This log was trimmed or dropped. */
  forgetLog(id: string): void
  close(): void
}

/** Logs whose last segment is remembered. */
const RECENT = 256

/** Open segment files; a descriptor each. */
const OPEN_FILES = 128

/** A busy writer replaces segments under a reader; more often than this in a row means that something else is wrong. */
const ATTEMPTS = 10

export function createReader(paths: Paths, onDamage: (error: DamagedError) => void): Reader {
  const db = openDatabase(paths.database, { readOnly: true, waitMs: 5000 })
  db.exec('PRAGMA query_only = ON; PRAGMA cache_size = -4096')
  const sql = cachedSql(db)
  const files = createFiles(paths)
  const buffers = createReadBuffers()
  /** The segment that each log was read from last: a replay goes on there, and segments do not change. */
  const recent = new Map<string, { readonly segment: Segment; readonly floor: number }>()

  const logOf = (id: string): Log | undefined => {
    const row = sql(`SELECT ${SESSION_COLUMNS}, crc FROM sessions WHERE id = ?`).get(id)
    if (!row) return undefined
    if (!sessionFits(row)) throw new DamagedError(id, 'the row of the session does not fit its checksum')
    return logFromRow(row)
  }

  const readOnce = (id: string, after: number, maxBytes: number): Chunk | undefined => {
    const log = logOf(id)
    if (!log) return undefined
    const from = Math.max(after, log.floor)
    if (from >= log.head) return undefined
    const segment = from < log.folded ? segmentAt(sql, log, from) : undefined
    if (segment) {
      recent.delete(id)
      recent.set(id, { segment, floor: log.floor })
      if (recent.size > RECENT) recent.delete(recent.keys().next().value as string)
    }
    const chunk = segment ? readSegment(files, buffers, segment, id, from, maxBytes) : from < log.folded ? undefined : readChunks(sql, log, from, maxBytes)
    if (chunk?.firstSeq !== from + 1) throw new DamagedError(id, `event ${from + 1} is missing`)
    return chunk
  }

  return {
    session(id) {
      const row = sql(`SELECT ${SESSION_COLUMNS}, crc, record_crc, record FROM sessions WHERE id = ?`).get(id)
      return row && sessionFromRow(row)
    },
    list(query) {
      const rows: SessionRow[] = []
      // Rows that are left out must not end a page early.
      let before = query.before
      for (;;) {
        const limit = query.limit - rows.length
        const [text, values] = listSql({ ...query, ...(before ? { before } : {}) }, limit)
        const found = sql(text).all(...values)
        for (const row of found) {
          try {
            rows.push(sessionFromRow(row))
          } catch (error) {
            if (!(error instanceof DamagedError)) throw error
            onDamage(error)
          }
        }
        const last = found.at(-1)
        if (found.length < limit || rows.length >= query.limit || !last) return rows
        before = { activityAt: last['activity_at'] as number, id: last['id'] as string }
      }
    },
    count: owner => Number(sql('SELECT sessions FROM owners WHERE owner = ?').get(owner)?.['sessions'] ?? 0),
    ids(keys) {
      const sessions = new Map<string, number | undefined>([['', 0]])
      return keys.map(key => {
        if (!sessions.has(key.sessionId))
          sessions.set(key.sessionId, sql('SELECT key FROM sessions WHERE id = ?').get(key.sessionId)?.['key'] as number | undefined)
        const session = sessions.get(key.sessionId)
        const row = session === undefined ? undefined : sql('SELECT * FROM ids WHERE session = ? AND sender = ? AND id = ?').get(session, key.sender, key.id)
        return row && idFromRow(key, row)
      })
    },
    idNames(sessionId, most) {
      const rows = sql('SELECT i.sender, i.id FROM sessions s JOIN ids i ON i.session = s.key WHERE s.id = ? LIMIT ?').all(sessionId, most + 1)
      return rows.length > most ? undefined : rows.map(row => nameOf({ sessionId, sender: row['sender'] as string, id: row['id'] as string }))
    },
    read(id, after, maxBytes) {
      const known = recent.get(id)
      const start = Math.max(after, known?.floor ?? 0)
      if (known && start + 1 >= known.segment.firstSeq && start < known.segment.lastSeq) {
        try {
          return readSegment(files, buffers, known.segment, id, start, maxBytes)
        } catch (error) {
          recent.delete(id)
          if (!(error instanceof DamagedError)) throw error
        }
      }
      for (let attempt = 1; ; attempt++) {
        sql('BEGIN').run()
        try {
          return readOnce(id, after, maxBytes)
        } catch (error) {
          // The file may have been replaced between the row and the open: then the next look finds another row.
          if (!(error instanceof DamagedError) || !files.isGone(error) || attempt >= ATTEMPTS) throw error
        } finally {
          sql('COMMIT').run()
        }
      }
    },
    snapshot(id, atOrBefore) {
      const row = sql(
        `SELECT n.session, n.seq, n.codec, n.crc, n.state FROM sessions s JOIN snapshots n ON n.session = s.key
         WHERE s.id = ? AND n.seq <= ? ORDER BY n.seq DESC LIMIT 1`,
      ).get(id, atOrBefore)
      if (!row) return undefined
      const state = row['state'] as Uint8Array
      const seq = row['seq'] as number
      if (row['crc'] !== snapshotSum(row['session'] as number, seq, row['codec'] as number, state))
        throw new DamagedError(id, 'a snapshot does not fit its checksum')
      return { seq, state: Buffer.from(row['codec'] === 1 ? zstdDecompressSync(state) : state).toString('utf8') }
    },
    blob(id, sha256) {
      const row = sql('SELECT b.session, b.bytes FROM sessions s JOIN blobs b ON b.session = s.key WHERE s.id = ? AND b.sha256 = ?').get(id, sha256)
      return row && { session: row['session'] as number, bytes: row['bytes'] as number }
    },
    doc(collection, id) {
      const row = sql('SELECT id, value, crc FROM docs WHERE collection = ? AND id = ?').get(collection, id)
      return row && docFromRow(collection, row).value
    },
    docs: collection =>
      sql('SELECT id, value, crc FROM docs WHERE collection = ? ORDER BY id')
        .all(collection)
        .map(row => docFromRow(collection, row)),
    meta: key => Number(sql('SELECT value FROM meta WHERE key = ?').get(key)?.['value'] ?? 0),
    forget(segments) {
      files.forget(segments)
      for (const [id, { segment }] of recent) if (segments.includes(segment.key)) recent.delete(id)
    },
    forgetLog: id => void recent.delete(id),
    close() {
      files.close()
      db.close()
    },
  }
}

function readChunks(sql: Sql, log: Log, from: number, maxBytes: number): Chunk | undefined {
  const pieces: Chunk[] = []
  let bytes = 0
  const rows = sql(
    `SELECT first_seq, last_seq, crc, body FROM chunks WHERE session = ?1 AND first_seq >= coalesce(
       (SELECT max(first_seq) FROM chunks WHERE session = ?1 AND first_seq <= ?2), ?2) ORDER BY first_seq`,
  )
  for (const row of rows.iterate(log.key, from + 1)) {
    const chunk = { firstSeq: row['first_seq'] as number, lastSeq: row['last_seq'] as number, body: row['body'] as Uint8Array }
    if (row['crc'] !== chunkSum(log.key, chunk.firstSeq, chunk.lastSeq, chunk.body)) throw new DamagedError(log.id, 'a chunk does not fit its checksum')
    const piece = sliceChunk(chunk, from, chunk.lastSeq, maxBytes - bytes)
    if (!piece || (pieces.length > 0 && (bytes + piece.body.byteLength > maxBytes || piece.firstSeq !== (pieces.at(-1) as Chunk).lastSeq + 1))) break
    pieces.push(piece)
    bytes += piece.body.byteLength
    if (piece.lastSeq < chunk.lastSeq || bytes >= maxBytes) break
  }
  return pieces.length === 0 ? undefined : joinChunks(pieces)
}

function segmentAt(sql: Sql, log: Log, from: number): Segment | undefined {
  const row = sql(`SELECT ${SEGMENT_COLUMNS} FROM segments WHERE session = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1`).get(log.key, from + 1)
  return row && segmentFromRow(row, log.id)
}

/** Whole blocks, where they fit, come in a buffer that can be given back. */
function readSegment(files: Files, buffers: ReadBuffers, segment: Segment, id: string, from: number, maxBytes: number): Chunk | undefined {
  let release: (() => void) | undefined
  let own: Uint8Array | undefined
  const take = (bytes: number): Uint8Array => {
    const taken = buffers.take(bytes)
    release = taken.release
    own = taken.body
    return taken.body
  }
  const piece = readBlocks(files.open(segment, id), segment, blocksAfter(segment, from, maxBytes), id, take)
  if (!piece) return undefined
  const chunk = sliceChunk(piece, from, piece.lastSeq, maxBytes)
  if (chunk === piece && piece.body === own && release) return { ...piece, room: FRAME_ROOM_BYTES, release }
  if (piece.body !== own) release?.()
  return chunk
}

interface Files {
  open(segment: Segment, sessionId: string): number
  isGone(error: DamagedError): boolean
  forget(segments: readonly number[]): void
  close(): void
}

/** Descriptors of the segments read last. */
function createFiles(paths: Paths): Files {
  const open = new Map<number, number>()
  const missing = new WeakSet<DamagedError>()
  const drop = (key: number): void => {
    const file = open.get(key)
    if (file === undefined) return
    open.delete(key)
    closeSync(file)
  }
  return {
    open(segment, sessionId) {
      const known = open.get(segment.key)
      if (known !== undefined) {
        open.delete(segment.key)
        open.set(segment.key, known)
        return known
      }
      try {
        const file = openSegment(join(paths.dataDir, segmentPath(segment.key)), segment, sessionId)
        open.set(segment.key, file)
        const oldest = open.size > OPEN_FILES ? open.keys().next().value : undefined
        if (oldest !== undefined) drop(oldest)
        return file
      } catch (error) {
        if (error instanceof DamagedError) missing.add(error)
        throw error
      }
    },
    isGone: error => missing.has(error),
    forget(segments) {
      for (const key of segments) drop(key)
    },
    close() {
      for (const key of [...open.keys()]) drop(key)
    },
  }
}

function sessionFromRow(row: Row): SessionRow {
  const id = row['id'] as string
  const record = row['record'] as string
  if (!sessionFits(row) || row['record_crc'] !== recordSum(id, record)) throw new DamagedError(id, 'the row of the session does not fit its checksum')
  const log = logFromRow(row)
  return {
    id,
    kind: log.kind,
    owner: log.owner,
    status: log.status as RowStatus,
    life: log.life,
    createdAt: log.createdAt,
    activityAt: log.activityAt,
    head: log.head,
    floor: log.floor,
    bytes: log.bytes,
    record: JSON.parse(record) as SessionRecord,
  }
}

function idFromRow(key: IdKey, row: Row): IdRow {
  if (row['crc'] !== idSum(row)) throw new DamagedError(key.sessionId, `the row of id ${key.id} does not fit its checksum`)
  return {
    sessionId: key.sessionId,
    sender: key.sender,
    id: key.id,
    digest: row['digest'] as string,
    firstSeq: row['first_seq'] as number,
    lastSeq: row['last_seq'] as number,
    at: row['at'] as number,
    answer: row['answer'] as string,
  }
}

function docFromRow(collection: string, row: Row): { id: string; value: string } {
  const doc = { id: row['id'] as string, value: row['value'] as string }
  if (row['crc'] !== docSum(collection, doc.id, doc.value)) throw new DamagedError('', `the row of ${collection} ${doc.id} does not fit its checksum`)
  return doc
}

function listSql(query: ListQuery, limit: number): [string, Value[]] {
  const where = [`status = 'live'`]
  const values: Value[] = []
  const only = (column: string, value: string | undefined): void => {
    if (value === undefined) return
    where.push(`${column} = ?`)
    values.push(value)
  }
  only('owner', query.owner)
  if (query.kind === undefined) where.push(`kind <> 'feed'`)
  only('kind', query.kind)
  only('life', query.life)
  only('parent', query.parent)
  if (query.before) {
    where.push('(activity_at, id) < (?, ?)')
    values.push(query.before.activityAt, query.before.id)
  }
  values.push(Math.min(limit, Number.MAX_SAFE_INTEGER))
  const index = query.parent !== undefined ? 'sessions_parent' : query.owner !== undefined ? 'sessions_owner' : 'sessions_list'
  return [
    `SELECT ${SESSION_COLUMNS}, crc, record_crc, record FROM sessions INDEXED BY ${index} WHERE ${where.join(' AND ')} ORDER BY activity_at DESC, id DESC LIMIT ?`,
    values,
  ]
}
