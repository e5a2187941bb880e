import { closeSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { countRecords, type Piece } from './records.ts'
import { contentOf } from './blobs.ts'
import { cachedSql, faultOf, openDatabase, type Row, type Sql } from './database.ts'
import { DamagedError, OpenError } from './errors.ts'
import { isPutBack, readGuard } from './guard.ts'
import { commitsOf, surveyJournal } from './journal.ts'
import { isHeld } from './lock.ts'
import { logFromRow, type Log } from './logs.ts'
import { blobPath, pathsOf, segmentPath, type Paths } from './paths.ts'
import { chunkSum, docSum, idSum, MIGRATIONS, readMeta, recordSum, SESSION_COLUMNS, sessionFits, snapshotSum, versionOf } from './schema.ts'
import { blocksAfter, openSegment, readBlocks, segmentFromRow, SEGMENT_COLUMNS } from './segments.ts'

/** What `checkStore` found. */
export interface StoreReport {
  readonly epoch: string
  readonly schema: number
  readonly sessions: number
  readonly events: number
  readonly bytes: number
  readonly segments: number
  readonly blobs: number
  /** True while some process has the folder open. */
  readonly inUse: boolean
  /** `behind` is usual after a kill; `ahead`: the database is older than it once was, the next start gives it a new epoch. */
  readonly guard: 'fits' | 'behind' | 'ahead' | 'missing'
  /** Logs that are quarantined already. */
  readonly quarantined: readonly string[]
  /** What is wrong, by session where it belongs to one ('' otherwise). */
  readonly problems: readonly { readonly sessionId: string; readonly problem: string }[]
  /** Files that no row names; the next start after a crash removes them, others are harmless. */
  readonly strays: readonly string[]
}

/** A server may replace a session's files while they are read: then the session is read again. */
const ATTEMPTS = 5

/** Reads everything in a data folder and verifies it; changes nothing, and may run beside a server. Throws OpenError where there is no database that can be read. */
export async function checkStore(
  dataDir: string,
  onProgress: (progress: { readonly sessions: number; readonly total: number }) => void = () => {},
): Promise<StoreReport> {
  const paths = pathsOf(dataDir)
  if (!existsSync(paths.database)) throw new OpenError('damaged', `There is no holdfast.db in ${dataDir}.`)
  const inUse = existsSync(paths.lock) && isHeld(paths.lock)
  const db = openDatabase(paths.database, { readOnly: true, waitMs: 10_000 })
  try {
    const schema = versionOf(db)
    if (schema > MIGRATIONS.length) throw new OpenError('unsupported', `The database has schema ${schema}, this program knows ${MIGRATIONS.length}.`)
    const sql = cachedSql(db)
    const found = { events: 0, bytes: 0, segments: 0, blobs: 0 }
    const problems: { sessionId: string; problem: string }[] = []
    const total = Number(sql('SELECT count(*) AS count FROM sessions').get()?.['count'] ?? 0)
    for (const row of sql('PRAGMA quick_check(20)').all()) {
      if (row['quick_check'] !== 'ok') problems.push({ sessionId: '', problem: `SQLite: ${String(row['quick_check'])}` })
    }
    let sessions = 0
    for (let key = 0; ; ) {
      const next = sql('SELECT key, id FROM sessions WHERE key > ? ORDER BY key LIMIT 1').get(key)
      if (!next) break
      key = next['key'] as number
      const id = next['id'] as string
      try {
        const log = await checkSession(sql, paths, id)
        found.events += log.events
        found.bytes += log.bytes
        found.segments += log.segments
        found.blobs += log.blobs
      } catch (error) {
        if (!(error instanceof DamagedError) && !(error instanceof RangeError) && faultOf(error) !== 'damaged') throw error
        problems.push({ sessionId: id, problem: (error as Error).message })
      }
      onProgress({ sessions: ++sessions, total })
      // Others get their turn, and a read transaction never spans two sessions.
      await new Promise(resolve => setImmediate(resolve))
    }
    problems.push(...checkDocs(sql))
    const waiting = surveyJournal(db)
    found.events += waiting.events
    found.bytes += waiting.bytes
    if (waiting.damaged > 0) problems.push({ sessionId: '', problem: `${waiting.damaged} rows of the journal do not fit their checksums` })
    const quarantined = sql('SELECT session FROM quarantine ORDER BY session')
      .all()
      .map(row => row['session'] as string)
    const epoch = readMeta(db, 'epoch') ?? ''
    const guard = guardState({ epoch, commits: commitsOf(db) }, paths.guard)
    return { epoch, schema, sessions, ...found, inUse, guard, quarantined, problems, strays: inUse ? [] : straysOf(sql, paths) }
  } finally {
    db.close()
  }
}

function guardState(database: { epoch: string; commits: number }, path: string): StoreReport['guard'] {
  const guard = readGuard(path)
  if (!guard) return 'missing'
  if (isPutBack(database, guard)) return 'ahead'
  return guard.commits === database.commits ? 'fits' : 'behind'
}

interface Found {
  readonly events: number
  readonly bytes: number
  readonly segments: number
  readonly blobs: number
}

async function checkSession(sql: Sql, paths: Paths, id: string): Promise<Found> {
  for (let attempt = 1; ; attempt++) {
    try {
      const found = inTransaction(sql, () => checkLog(sql, paths, id))
      if (!found) return { events: 0, bytes: 0, segments: 0, blobs: 0 }
      for (const sha256 of found.blobs) for await (const _ of contentOf(join(paths.dataDir, blobPath(found.key, sha256)), sha256, id));
      return { ...found, blobs: found.blobs.length }
    } catch (error) {
      if (!(error instanceof DamagedError) || attempt >= ATTEMPTS) throw error
    }
  }
}

function inTransaction<T>(sql: Sql, work: () => T): T {
  sql('BEGIN').run()
  try {
    return work()
  } finally {
    sql('COMMIT').run()
  }
}

function checkLog(sql: Sql, paths: Paths, id: string): (Omit<Found, 'blobs'> & { key: number; blobs: string[] }) | undefined {
  const row = sql(`SELECT ${SESSION_COLUMNS}, crc, record_crc, record FROM sessions WHERE id = ?`).get(id)
  if (!row) return undefined
  if (!sessionFits(row) || row['record_crc'] !== recordSum(id, row['record'] as string))
    throw new DamagedError(id, 'the row of the session does not fit its checksum')
  const log = logFromRow(row)
  const seen = { next: log.floor + 1, bytes: 0, events: 0 }
  const segments = checkSegments(sql, paths, log, seen)
  for (const chunk of sql('SELECT first_seq, last_seq, crc, body FROM chunks WHERE session = ? ORDER BY first_seq').iterate(log.key)) {
    const piece = { firstSeq: chunk['first_seq'] as number, lastSeq: chunk['last_seq'] as number, body: chunk['body'] as Uint8Array }
    if (chunk['crc'] !== chunkSum(log.key, piece.firstSeq, piece.lastSeq, piece.body))
      throw new DamagedError(id, `the chunk from event ${piece.firstSeq} does not fit its checksum`)
    follow(log, seen, piece)
  }
  if (seen.next !== log.head + 1) throw new DamagedError(id, `events end at ${seen.next - 1}, the head is ${log.head}`)
  if (seen.bytes !== log.bytes) throw new DamagedError(id, `there are ${seen.bytes} bytes of events, the row says ${log.bytes}`)
  checkIds(sql, log)
  for (const snapshot of sql('SELECT seq, codec, crc, state FROM snapshots WHERE session = ?').iterate(log.key)) {
    const fits = snapshot['crc'] === snapshotSum(log.key, snapshot['seq'] as number, snapshot['codec'] as number, snapshot['state'] as Uint8Array)
    if (!fits) throw new DamagedError(id, `the snapshot at ${String(snapshot['seq'])} does not fit its checksum`)
  }
  const blobs = sql('SELECT sha256 FROM blobs WHERE session = ?')
    .all(log.key)
    .map(blob => blob['sha256'] as string)
  return { key: log.key, events: seen.events, bytes: seen.bytes, segments, blobs }
}

function checkSegments(sql: Sql, paths: Paths, log: Log, seen: Seen): number {
  let count = 0
  for (const row of sql(`SELECT ${SEGMENT_COLUMNS} FROM segments WHERE session = ? ORDER BY first_seq`).iterate(log.key)) {
    const segment = segmentFromRow(row, log.id)
    const file = openSegment(join(paths.dataDir, segmentPath(segment.key)), segment, log.id)
    try {
      for (const block of blocksAfter(segment, 0, Number.POSITIVE_INFINITY)) follow(log, seen, readBlocks(file, segment, [block], log.id) as Piece)
    } finally {
      closeSync(file)
    }
    seen.bytes -= segment.trimmed
    count++
  }
  return count
}

interface Seen {
  next: number
  bytes: number
  events: number
}

/** Seqs are dense from floor + 1; a segment may begin below that, with what is trimmed. */
function follow(log: Log, seen: Seen, piece: Piece): void {
  const count = countRecords(piece.body)
  if (count !== piece.lastSeq - piece.firstSeq + 1) throw new DamagedError(log.id, `seqs and records from event ${piece.firstSeq} do not fit together`)
  const isFirst = seen.events === 0 && seen.next === log.floor + 1
  const fits = piece.firstSeq === seen.next || (isFirst && piece.firstSeq <= seen.next)
  if (!fits) throw new DamagedError(log.id, `event ${seen.next} is missing`)
  seen.bytes += piece.body.byteLength
  seen.events += Math.max(0, piece.lastSeq - Math.max(piece.firstSeq, log.floor + 1) + 1)
  seen.next = Math.max(seen.next, piece.lastSeq + 1)
}

function checkIds(sql: Sql, log: Log): void {
  for (const row of sql('SELECT * FROM ids WHERE session = ?').iterate(log.key)) {
    if (row['crc'] !== idSum(row)) throw new DamagedError(log.id, `the row of id ${String(row['id'])} does not fit its checksum`)
  }
}

function checkDocs(sql: Sql): { sessionId: string; problem: string }[] {
  const fits = (row: Row): boolean => row['crc'] === docSum(row['collection'] as string, row['id'] as string, row['value'] as string)
  return sql('SELECT collection, id, value, crc FROM docs')
    .all()
    .filter(row => !fits(row))
    .map(row => ({ sessionId: '', problem: `the row of ${String(row['collection'])} ${String(row['id'])} does not fit its checksum` }))
}

function straysOf(sql: Sql, paths: Paths): string[] {
  const strays: string[] = []
  const list = (path: string): string[] => (existsSync(path) ? readdirSync(path) : [])
  for (const folder of list(paths.segments)) {
    for (const name of list(join(paths.segments, folder))) {
      const isNamed = sql('SELECT 1 FROM segments WHERE key = ?').get(Number.parseInt(name, 10))
      if (!isNamed) strays.push(join('segments', folder, name))
    }
  }
  for (const folder of list(paths.blobs)) {
    if (!/^\d+$/.test(folder)) continue
    for (const name of list(join(paths.blobs, folder))) {
      if (!sql('SELECT 1 FROM blobs WHERE session = ? AND sha256 = ?').get(Number(folder), name)) strays.push(join('blobs', folder, name))
    }
  }
  return strays
}
