import { cachedSql, type Database, type Sql } from './database.ts'
import { DamagedError } from './errors.ts'
import type { Log, Logs } from './logs.ts'
import { readMeta, versionOf } from './schema.ts'
import { sumOf } from './checksum.ts'
import type { Ids, IdEntry } from './ids.ts'

/**
 * What plain appends change is written as one row per group commit, and filed into the tables later, many groups at once:
 * a commit then dirties one page instead of one per index and session. Every row that is there is not filed yet.
 */
export interface Journal {
  /** Notes an append that was applied in memory; `log.pending` ends with it. */
  append(log: Log): void
  /** Notes ids that were applied in memory. */
  id(entry: IdEntry): void
  /** A new group begins. */
  begin(): void
  /** Writes the group's row. */
  write(commit: number): void
  /** All that was noted is in the tables: inside their transaction. */
  empty(): void
  readonly groupBytes: number
}

type AppendHead = readonly [session: number, firstSeq: number, lastSeq: number, activityAt: number, bytes: number]

interface Head {
  readonly appends: readonly AppendHead[]
  readonly ids: readonly IdEntry[]
}

export function createJournal(sql: Sql): Journal {
  let appends: AppendHead[] = []
  let ids: IdEntry[] = []
  let bodies: Uint8Array[] = []
  let bytes = 0
  return {
    begin() {
      appends = []
      ids = []
      bodies = []
      bytes = 0
    },
    append(log) {
      const piece = log.pending.at(-1)
      if (!piece) return
      appends.push([log.key, piece.firstSeq, piece.lastSeq, log.activityAt, piece.body.byteLength])
      bodies.push(piece.body)
      bytes += piece.body.byteLength
    },
    id: entry => void ids.push(entry),
    write(commit) {
      const body = encodeGroup({ appends, ids }, bodies, bytes)
      sql('INSERT INTO journal (key, crc, body) VALUES (?, ?, ?)').run(commit, journalSum(commit, body), body)
    },
    empty: () => void sql('DELETE FROM journal').run(),
    get groupBytes() {
      return bytes
    },
  }
}

const journalSum = (commit: number, body: Uint8Array): number => sumOf(['journal', commit], body)

/** Length of the head (4 bytes, big endian), the head as JSON, the bodies one after the other. */
function encodeGroup(head: Head, bodies: readonly Uint8Array[], bytes: number): Uint8Array {
  const text = Buffer.from(JSON.stringify(head))
  const body = Buffer.allocUnsafe(4 + text.byteLength + bytes)
  body.writeUInt32BE(text.byteLength, 0)
  body.set(text, 4)
  let at = 4 + text.byteLength
  for (const piece of bodies) {
    body.set(piece, at)
    at += piece.byteLength
  }
  return body
}

/** The schema from which on there is a journal; older databases are looked at as they are. */
const SINCE_SCHEMA = 3

/** The number of the newest commit that a database has. */
export function commitsOf(db: Database): number {
  const filed = Number(readMeta(db, 'commits') ?? 0)
  if (versionOf(db) < SINCE_SCHEMA) return filed
  return Math.max(filed, Number(db.prepare('SELECT max(key) AS key FROM journal').get()?.['key'] ?? 0))
}

/** One row of the journal, read back; `undefined` where its checksum does not fit. */
function* groupsOf(sql: Sql): Generator<{ commit: number; head: Head; bodies: Uint8Array } | undefined> {
  for (const row of sql('SELECT key, crc, body FROM journal ORDER BY key').all()) {
    const commit = row['key'] as number
    const body = row['body'] as Uint8Array
    if (row['crc'] !== journalSum(commit, body)) {
      yield undefined
      continue
    }
    const length = new DataView(body.buffer, body.byteOffset).getUint32(0)
    yield { commit, head: JSON.parse(Buffer.from(body.subarray(4, 4 + length)).toString()) as Head, bodies: body.subarray(4 + length) }
  }
}

/** How many events and bytes wait to be filed, and how many rows do not fit their checksum. */
export function surveyJournal(db: Database): { events: number; bytes: number; damaged: number } {
  const found = { events: 0, bytes: 0, damaged: 0 }
  if (versionOf(db) < SINCE_SCHEMA) return found
  for (const group of groupsOf(cachedSql(db))) {
    if (!group) found.damaged++
    for (const [, firstSeq, lastSeq, , bytes] of group?.head.appends ?? []) {
      found.events += lastSeq - firstSeq + 1
      found.bytes += bytes
    }
  }
  return found
}

/**
 * Brings what the journal holds back into memory, as if it had just been applied: at a start, and after a transaction was taken back.
 * What does not follow its log's head, because a row in between is damaged,
 * or belongs to a session whose row is damaged, is left out and told to `onDamage`.
 */
export function replayJournal(sql: Sql, logs: Logs, ids: Ids, onDamage: (error: DamagedError) => void): void {
  for (const group of groupsOf(sql)) {
    if (!group) continue
    let at = 0
    for (const [session, firstSeq, lastSeq, activityAt, bytes] of group.head.appends) {
      const body = group.bodies.subarray(at, at + bytes)
      at += bytes
      try {
        const log = logs.findByKey(session)
        if (!log) continue
        if (firstSeq !== log.head + 1) throw new DamagedError(log.id, `event ${log.head + 1} is missing`)
        logs.append(log, { firstSeq, lastSeq, body }, activityAt)
      } catch (error) {
        if (!(error instanceof DamagedError)) throw error
        onDamage(error)
      }
    }
    for (const entry of group.head.ids) ids.add(entry)
  }
}
