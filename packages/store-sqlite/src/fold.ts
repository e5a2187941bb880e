import { closeSync } from 'node:fs'
import { join } from 'node:path'
import type { Desk } from './desk.ts'
import { DamagedError } from './errors.ts'
import { removeDurably, writeDurably } from './files.ts'
import type { Result } from './messages.ts'
import { segmentPath } from './paths.ts'
import type { Piece } from './records.ts'
import { chunkSum, readMeta, writeMeta } from './schema.ts'
import { blocksAfter, buildSegment, openSegment, readBlocks, segmentFromRow, segmentSum, SEGMENT_COLUMNS, type Segment } from './segments.ts'
import type { Database } from './database.ts'

/** What moves events from rows into files. */
export interface Folder {
  /** Folds some runs of a log's chunk rows, of about `segmentBytes` each and at least `leastBytes`; false when there was nothing to do. Throws DamagedError, or what the file system throws. */
  foldRuns(sessionId: string, leastBytes: number, compress: boolean): Promise<boolean>
  /** Compresses one segment of a log that is not yet; false when all are. */
  compressOne(sessionId: string): Promise<boolean>
}

export interface FolderOptions {
  readonly db: Database
  readonly desk: Desk
  readonly segmentBytes: number
  /** Runs a task in the next transaction. */
  readonly run: (work: () => Result) => Promise<Result>
  readonly onRemoved: (segments: readonly number[]) => void
  readonly step: (name: string) => void
}

interface Run {
  readonly session: number
  readonly rows: { readonly count: number; readonly bytes: number; readonly firstSeq: number; readonly lastSeq: number } | undefined
  readonly replaced: Segment | undefined
  readonly pieces: readonly Piece[]
}

/** What is folded at once shares its syncs; more would keep commits waiting while the rows are removed. */
const STEP = { runs: 4, rows: 1000 } as const

/** Files are written first and synced, then one transaction swaps the rows for the segment; a crash leaves one or the other, and a file that is swept. */
export function createFolder(options: FolderOptions): Folder {
  const { db, desk, step, run, onRemoved } = options
  const { sql, logs, paths } = desk

  const piecesOf = (segment: Segment, sessionId: string): Piece[] => {
    const file = openSegment(join(paths.dataDir, segmentPath(segment.key)), segment, sessionId)
    try {
      return blocksAfter(segment, 0, Number.POSITIVE_INFINITY).map(block => readBlocks(file, segment, [block], sessionId) as Piece)
    } finally {
      closeSync(file)
    }
  }

  const keyOf = (sessionId: string): number | undefined => sql('SELECT key FROM sessions WHERE id = ?').get(sessionId)?.['key'] as number | undefined

  const chunkRuns = (sessionId: string, session: number, leastBytes: number): Run[] => {
    const runs: Run[] = []
    let pieces: Piece[] = []
    let bytes = 0
    let count = 0
    // A run that the next row would take over the limit is full, whatever is missing to it.
    const take = (isFull: boolean): void => {
      const first = pieces[0]
      const last = pieces.at(-1)
      if (first && last && (isFull || bytes >= leastBytes)) {
        runs.push({ session, pieces, replaced: undefined, rows: { bytes, count: pieces.length, firstSeq: first.firstSeq, lastSeq: last.lastSeq } })
      }
      pieces = []
      bytes = 0
    }
    for (const row of sql('SELECT first_seq, last_seq, crc, body FROM chunks WHERE session = ? ORDER BY first_seq').iterate(session)) {
      const piece = { firstSeq: row['first_seq'] as number, lastSeq: row['last_seq'] as number, body: row['body'] as Uint8Array }
      if (row['crc'] !== chunkSum(session, piece.firstSeq, piece.lastSeq, piece.body)) throw new DamagedError(sessionId, 'a chunk does not fit its checksum')
      if (pieces.length > 0 && bytes + piece.body.byteLength > options.segmentBytes) {
        take(true)
        if (runs.length >= STEP.runs || count >= STEP.rows) return runs
      }
      pieces.push(piece)
      bytes += piece.body.byteLength
      count++
    }
    take(false)
    return runs
  }

  /** True when everything that went into the file is still as it was. */
  const isUnchanged = (work: Run, sessionId: string): boolean => {
    if (logs.find(sessionId)?.key !== work.session) return false
    if (work.rows) {
      const now = sql(
        'SELECT count(*) AS count, sum(length(body)) AS bytes, max(last_seq) AS last FROM chunks WHERE session = ? AND first_seq BETWEEN ? AND ?',
      ).get(work.session, work.rows.firstSeq, work.rows.lastSeq)
      if (now?.['count'] !== work.rows.count || now['bytes'] !== work.rows.bytes || now['last'] !== work.rows.lastSeq) return false
    }
    return !work.replaced || sql('SELECT trimmed FROM segments WHERE key = ?').get(work.replaced.key)?.['trimmed'] === work.replaced.trimmed
  }

  const abandon = (segment: Segment): void => {
    sql(`UPDATE files SET state = 'old' WHERE path = ?`).run(segmentPath(segment.key))
    desk.hasRemains = true
  }

  const swap = (work: Run, segment: Segment, sessionId: string): boolean => {
    const log = logs.find(sessionId)
    if (!log || !isUnchanged(work, sessionId)) return false
    if (work.rows) {
      sql('DELETE FROM chunks WHERE session = ? AND first_seq BETWEEN ? AND ?').run(work.session, work.rows.firstSeq, work.rows.lastSeq)
      log.loose -= work.rows.bytes
      log.folded = Math.max(log.folded, work.rows.lastSeq)
      logs.touch(log, true)
    }
    if (work.replaced) {
      sql('DELETE FROM segments WHERE key = ?').run(work.replaced.key)
      sql(`INSERT INTO files (path, state) VALUES (?, 'old') ON CONFLICT DO UPDATE SET state = 'old'`).run(segmentPath(work.replaced.key))
    }
    sql('DELETE FROM files WHERE path = ?').run(segmentPath(segment.key))
    sql('INSERT INTO segments (key, session, first_seq, last_seq, codec, bytes, stored, trimmed, crc, blocks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      segment.key,
      segment.session,
      segment.firstSeq,
      segment.lastSeq,
      segment.codec,
      segment.bytes,
      segment.stored,
      segment.trimmed,
      segmentSum(segment),
      segment.blocks,
    )
    return true
  }

  const sweep = async (written: readonly string[]): Promise<void> => {
    await removeDurably(paths.dataDir, written).catch(() => {})
    await run(() => {
      for (const path of written) sql('DELETE FROM files WHERE path = ?').run(path)
      return undefined
    })
  }

  const write = async (sessionId: string, runs: readonly Run[], compress: boolean): Promise<boolean> => {
    const begun = await run(() => {
      const key = Number(readMeta(db, 'next_segment') ?? 1)
      writeMeta(db, 'next_segment', String(key + runs.length))
      for (let index = 0; index < runs.length; index++) sql(`INSERT INTO files (path, state) VALUES (?, 'new')`).run(segmentPath(key + index))
      return { value: key }
    })
    if (!begun || 'failure' in begun) return false
    step('fold:begun')
    const first = begun.value as number
    const built: { work: Run; segment: Segment; file: Uint8Array }[] = []
    for (const [index, work] of runs.entries()) {
      built.push({ work, ...buildSegment({ key: first + index, session: work.session, trimmed: work.replaced?.trimmed ?? 0 }, work.pieces, compress) })
      // Compression takes milliseconds: commits get their turn in between.
      await new Promise(resolve => setImmediate(resolve))
    }
    try {
      await writeDurably(built.map(({ segment, file }) => ({ path: join(paths.dataDir, segmentPath(segment.key)), content: file })))
    } catch (error) {
      await sweep(built.map(({ segment }) => segmentPath(segment.key)))
      throw error
    }
    step('fold:file')
    const swapped = await run(() => {
      // In order: rows that stay must not lie below a segment.
      let isIntact = true
      for (const { work, segment } of built) {
        isIntact &&= swap(work, segment, sessionId)
        if (!isIntact) abandon(segment)
      }
      return { value: isIntact ? 1 : 0 }
    })
    step('fold:swapped')
    if (swapped && 'failure' in swapped) {
      // After a failed sync nobody knows whether the rows name these files: the next start does.
      if (swapped.failure.code !== 'fatal') await sweep(built.map(({ segment }) => segmentPath(segment.key)))
      return false
    }
    onRemoved(runs.flatMap(work => (work.replaced ? [work.replaced.key] : [])))
    return swapped?.value === 1
  }

  return {
    async foldRuns(sessionId, leastBytes, compress) {
      const session = keyOf(sessionId)
      if (session === undefined) return false
      const runs = chunkRuns(sessionId, session, leastBytes)
      const [first] = runs
      if (!first?.rows) return false
      const last = sql(`SELECT ${SEGMENT_COLUMNS} FROM segments WHERE session = ? ORDER BY first_seq DESC LIMIT 1`).get(session)
      const before = last && segmentFromRow(last, sessionId)
      // A small segment is taken along, so that a log which falls idle often does not become a heap of small files.
      if (before && before.lastSeq + 1 === first.rows.firstSeq && before.bytes + first.rows.bytes <= options.segmentBytes) {
        runs[0] = { ...first, replaced: before, pieces: [...piecesOf(before, sessionId), ...first.pieces] }
      }
      return write(sessionId, runs, compress)
    },
    async compressOne(sessionId) {
      const session = keyOf(sessionId)
      if (session === undefined) return false
      const row = sql(`SELECT ${SEGMENT_COLUMNS} FROM segments WHERE session = ? AND codec = 0 ORDER BY first_seq LIMIT 1`).get(session)
      if (!row) return false
      const replaced = segmentFromRow(row, sessionId)
      return write(sessionId, [{ session, rows: undefined, replaced, pieces: piecesOf(replaced, sessionId) }], true)
    },
  }
}
