import { closeSync } from 'node:fs'
import { join } from 'node:path'
import type { Desk } from './desk.ts'
import { pruneSnapshots } from './snapshots.ts'
import { DamagedError } from './errors.ts'
import type { Log } from './logs.ts'
import { segmentPath } from './paths.ts'
import { skipRecords } from './records.ts'
import { chunkSum } from './schema.ts'
import { blocksAfter, openSegment, readBlocks, segmentFromRow, segmentSum, SEGMENT_COLUMNS, type Segment } from './segments.ts'

/** Takes events up to `wanted` out of a log: whole rows and segments go, a chunk row that is cut is rewritten, a segment that is cut is sliced when read. */
export function trimLog(desk: Desk, log: Log, wanted: number): void {
  const floor = Math.min(wanted, log.head)
  if (floor <= log.floor) return
  desk.logs.flushPending(log)
  const chunkBytes = trimChunks(desk, log, floor)
  const removed = chunkBytes + trimSegments(desk, log, floor)
  log.loose -= chunkBytes
  log.floor = floor
  log.bytes -= removed
  desk.logs.totals.logBytes -= removed
  desk.logs.touch(log, true)
  pruneSnapshots(desk.sql, log)
}

function trimChunks({ sql }: Desk, log: Log, floor: number): number {
  let removed = 0
  for (const row of sql('SELECT key, first_seq, last_seq, length(body) AS bytes FROM chunks WHERE session = ? AND first_seq <= ?').all(log.key, floor)) {
    const key = row['key'] as number
    const firstSeq = row['first_seq'] as number
    const lastSeq = row['last_seq'] as number
    if (lastSeq <= floor) {
      sql('DELETE FROM chunks WHERE key = ?').run(key)
      removed += row['bytes'] as number
      continue
    }
    const stored = sql('SELECT crc, body FROM chunks WHERE key = ?').get(key)
    const body = stored?.['body'] as Uint8Array
    if (stored?.['crc'] !== chunkSum(log.key, firstSeq, lastSeq, body)) throw new DamagedError(log.id, 'a chunk does not fit its checksum')
    const cut = skipRecords(body, floor - firstSeq + 1)
    const kept = body.subarray(cut)
    sql('UPDATE chunks SET first_seq = ?, crc = ?, body = ? WHERE key = ?').run(floor + 1, chunkSum(log.key, floor + 1, lastSeq, kept), kept, key)
    removed += cut
  }
  return removed
}

function trimSegments(desk: Desk, log: Log, floor: number): number {
  const { sql, paths } = desk
  let removed = 0
  for (const row of sql(`SELECT ${SEGMENT_COLUMNS} FROM segments WHERE session = ? AND first_seq <= ?`).all(log.key, floor)) {
    const segment = segmentFromRow(row, log.id)
    if (segment.lastSeq <= floor) {
      sql('DELETE FROM segments WHERE key = ?').run(segment.key)
      sql(`INSERT INTO files (path, state) VALUES (?, 'old') ON CONFLICT DO UPDATE SET state = 'old'`).run(segmentPath(segment.key))
      desk.hasRemains = true
      removed += segment.bytes - segment.trimmed
      continue
    }
    const trimmed = bytesUpTo(segment, floor, join(paths.dataDir, segmentPath(segment.key)), log.id)
    removed += trimmed - segment.trimmed
    sql('UPDATE segments SET trimmed = ?, crc = ? WHERE key = ?').run(trimmed, segmentSum({ ...segment, trimmed }), segment.key)
  }
  return removed
}

function bytesUpTo(segment: Segment, floor: number, path: string, sessionId: string): number {
  const all = blocksAfter(segment, 0, Number.POSITIVE_INFINITY)
  const cut = all.find(block => block.lastSeq > floor)
  const before = all.filter(block => block.lastSeq <= floor).reduce((sum, block) => sum + block.bytes, 0)
  if (!cut || cut.firstSeq > floor) return before
  const file = openSegment(path, segment, sessionId)
  try {
    const piece = readBlocks(file, segment, [cut], sessionId)
    return before + (piece ? skipRecords(piece.body, floor - cut.firstSeq + 1) : 0)
  } finally {
    closeSync(file)
  }
}
