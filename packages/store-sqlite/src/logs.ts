import type { Row, Sql } from './database.ts'
import { DamagedError } from './errors.ts'
import type { CreateItem } from './messages.ts'
import { repack, type Piece } from './records.ts'
import { chunkSum, recordSum, SESSION_COLUMNS, sessionFits } from './schema.ts'
import { sumOf } from './checksum.ts'

/** The largest body of one chunk row, apart from single events: what one turn of a reader takes. */
const CHUNK_BYTES = 64 * 1024

/** A session's row as it is in the middle of a transaction, without its record. */
export interface Log {
  readonly id: string
  key: number
  readonly kind: string
  readonly owner: string
  status: string
  life: string
  parent: string | null
  readonly createdAt: number
  activityAt: number
  head: number
  floor: number
  bytes: number
  /** Bytes in chunk rows. */
  loose: number
  /** The newest seq in segments. */
  folded: number
  /** Appended in this transaction, not yet rows. */
  pending: Piece[]
}

export interface Totals {
  commits: number
  sessions: number
  logBytes: number
}

/** The sessions that transactions touch: kept in memory over those that only append, until `flush` writes what they changed. */
export interface Logs {
  readonly totals: Totals
  /** Throws DamagedError. */
  find(id: string): Log | undefined
  /** Throws DamagedError. */
  findByKey(key: number): Log | undefined
  add(create: CreateItem): Log
  /** Adds events that follow the head, to be rows when the log is flushed. */
  append(log: Log, piece: Piece, activityAt: number): void
  /** Has the row written at the end; `status`, `life`, `parent`, `floor` and `folded` only where `whole` is said. */
  touch(log: Log, whole?: boolean): void
  setRecord(log: Log, record: string): void
  /** Counts a live session in or out. */
  count(log: Log, by: 1 | -1): void
  flushPending(log: Log): void
  /** Gives back the logs with at least `foldBytes` in chunk rows. */
  flush(foldBytes: number): Log[]
  /** The transaction was committed with everything flushed, and these are the totals. */
  filed(totals: Totals): void
  /** The transaction was committed, and what was appended waits in the journal. */
  kept(totals: Totals): void
  /** The transaction was taken back: memory is to be filled from the database again. */
  forget(totals: Totals): void
}

/** Rows that are remembered from one transaction to the next; the writer is the only one who changes them. */
const REMEMBERED = 4096

export function createLogs(sql: Sql, totals: Totals): Logs {
  const logs = new Map<string, Log>()
  const touched = new Map<Log, boolean>()
  let current = { ...totals }

  const take = (row: Row | undefined): Log | undefined => {
    if (!row) return undefined
    const id = row['id'] as string
    const known = logs.get(id)
    if (known) return known
    if (!sessionFits(row)) throw new DamagedError(id, 'the row of the session does not fit its checksum')
    const log = logFromRow(row)
    logs.set(id, log)
    return log
  }

  const self: Logs = {
    get totals() {
      return current
    },
    find(id) {
      return logs.get(id) ?? take(sql(`SELECT ${SESSION_COLUMNS}, crc FROM sessions WHERE id = ?`).get(id))
    },
    findByKey: key => take(sql(`SELECT ${SESSION_COLUMNS}, crc FROM sessions WHERE key = ?`).get(key)),
    append(log, piece, activityAt) {
      log.pending.push(piece)
      log.head = piece.lastSeq
      log.activityAt = activityAt
      log.bytes += piece.body.byteLength
      self.touch(log)
    },
    add(create) {
      const { changes: _, lastInsertRowid } = sql(
        `INSERT INTO sessions (id, kind, owner, status, life, parent, created_at, activity_at, head, floor, bytes, loose, folded, crc, record_crc, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, 0, ?, ?)`,
      ).run(
        create.id,
        create.kind,
        create.owner,
        create.status,
        create.life,
        create.parent,
        create.createdAt,
        create.activityAt,
        create.head,
        create.head,
        create.head,
        recordSum(create.id, create.record),
        create.record,
      )
      const log: Log = { ...create, key: Number(lastInsertRowid), floor: create.head, bytes: 0, loose: 0, folded: create.head, pending: [] }
      logs.set(create.id, log)
      self.touch(log, true)
      if (log.status === 'live') self.count(log, 1)
      return log
    },
    touch(log, whole = false) {
      touched.set(log, whole || (touched.get(log) ?? false))
    },
    setRecord(log, record) {
      sql('UPDATE sessions SET record = ?, record_crc = ? WHERE key = ?').run(record, recordSum(log.id, record), log.key)
    },
    count(log, by) {
      if (log.kind === 'feed') return
      current.sessions += by
      sql('INSERT INTO owners (owner, sessions) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET sessions = sessions + excluded.sessions').run(log.owner, by)
    },
    flushPending(log) {
      for (const { firstSeq, lastSeq, body } of repack(log.pending, CHUNK_BYTES)) {
        sql('INSERT INTO chunks (session, first_seq, last_seq, crc, body) VALUES (?, ?, ?, ?, ?)').run(
          log.key,
          firstSeq,
          lastSeq,
          chunkSum(log.key, firstSeq, lastSeq, body),
          body,
        )
        log.loose += body.byteLength
      }
      log.pending = []
    },
    flush(foldBytes) {
      const foldable: Log[] = []
      for (const [log, whole] of touched) {
        if (log.pending.length > 0) self.flushPending(log)
        if (whole) writeRow(sql, log)
        else writeGrowth(sql, log)
        if (log.loose >= foldBytes) foldable.push(log)
      }
      return foldable
    },
    filed(totals) {
      touched.clear()
      if (logs.size > REMEMBERED) logs.clear()
      current = { ...totals }
    },
    kept(totals) {
      current = { ...totals }
    },
    forget(totals) {
      touched.clear()
      logs.clear()
      current = { ...totals }
    },
  }
  return self
}

/** What an append changes, and no more: other columns would have their indexes written too. */
function writeGrowth(sql: Sql, log: Log): void {
  sql('UPDATE sessions SET activity_at = ?, head = ?, bytes = ?, loose = ?, crc = ? WHERE key = ?').run(
    log.activityAt,
    log.head,
    log.bytes,
    log.loose,
    logSum(log),
    log.key,
  )
}

function writeRow(sql: Sql, log: Log): void {
  sql(
    'UPDATE sessions SET status = ?, life = ?, parent = ?, activity_at = ?, head = ?, floor = ?, bytes = ?, loose = ?, folded = ?, crc = ? WHERE key = ?',
  ).run(log.status, log.life, log.parent, log.activityAt, log.head, log.floor, log.bytes, log.loose, log.folded, logSum(log), log.key)
}

/** In the order of SESSION_COLUMNS. */
export const logSum = (log: Omit<Log, 'pending'>): number =>
  sumOf([
    log.key,
    log.id,
    log.kind,
    log.owner,
    log.status,
    log.life,
    log.parent,
    log.createdAt,
    log.activityAt,
    log.head,
    log.floor,
    log.bytes,
    log.loose,
    log.folded,
  ])

/** Of a row with SESSION_COLUMNS. */
export const logFromRow = (row: Row): Log => ({
  id: row['id'] as string,
  key: row['key'] as number,
  kind: row['kind'] as string,
  owner: row['owner'] as string,
  status: row['status'] as string,
  life: row['life'] as string,
  parent: row['parent'] as string | null,
  createdAt: row['created_at'] as number,
  activityAt: row['activity_at'] as number,
  head: row['head'] as number,
  floor: row['floor'] as number,
  bytes: row['bytes'] as number,
  loose: row['loose'] as number,
  folded: row['folded'] as number,
  pending: [],
})
