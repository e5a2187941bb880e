import { openSync, readSync } from 'node:fs'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { sumOf } from './checksum.ts'
import type { Row } from './database.ts'
import { DamagedError } from './errors.ts'
import { repack, type Piece } from './records.ts'

/** As stored in a segment's row; `raw` has been tried and did not get smaller by compression. */
export const CODEC = { none: 0, zstd: 1, raw: 2 } as const

/** The unit that is read and checked at once. */
export const BLOCK_BYTES = 64 * 1024

/** One entry of the block index: first seq in the segment, bytes as read, bytes as stored, CRC-32 of the stored bytes; 4 bytes each. */
const ENTRY_BYTES = 16

/** Below this share of the original a compressed segment is worth its decompression. */
const WORTH = 0.9

/** A segment: an immutable file of blocks, and the row that says what is in it. */
export interface Segment {
  readonly key: number
  readonly session: number
  readonly firstSeq: number
  readonly lastSeq: number
  readonly codec: number
  /** Of the body as it is read. */
  readonly bytes: number
  /** Of the file. */
  readonly stored: number
  /** Bytes of the body that are at or below the floor. */
  readonly trimmed: number
  readonly blocks: Uint8Array
}

export interface Block {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly offset: number
  readonly bytes: number
  readonly stored: number
  readonly crc: number
}

export const segmentSum = (segment: Segment): number =>
  sumOf([segment.key, segment.session, segment.firstSeq, segment.lastSeq, segment.codec, segment.bytes, segment.stored, segment.trimmed], segment.blocks)

/** Cuts a run of events into blocks; compresses them where asked and where that pays. */
export function buildSegment(
  place: { key: number; session: number; trimmed: number },
  pieces: readonly Piece[],
  compress: boolean,
): { segment: Segment; file: Uint8Array } {
  const packed = repack(pieces, BLOCK_BYTES)
  const bytes = packed.reduce((sum, piece) => sum + piece.body.byteLength, 0)
  let codec: number = CODEC.none
  let parts = packed.map(piece => piece.body)
  if (compress) {
    const small = parts.map(part => zstdCompressSync(part))
    const pays = small.reduce((sum, part) => sum + part.byteLength, 0) < bytes * WORTH
    codec = pays ? CODEC.zstd : CODEC.raw
    if (pays) parts = small
  }
  const firstSeq = packed[0]?.firstSeq ?? 0
  const lastSeq = packed.at(-1)?.lastSeq ?? 0
  const blocks = Buffer.alloc(packed.length * ENTRY_BYTES)
  packed.forEach((piece, index) => {
    const part = parts[index] as Uint8Array
    blocks.writeUInt32BE(piece.firstSeq - firstSeq, index * ENTRY_BYTES)
    blocks.writeUInt32BE(piece.body.byteLength, index * ENTRY_BYTES + 4)
    blocks.writeUInt32BE(part.byteLength, index * ENTRY_BYTES + 8)
    blocks.writeUInt32BE(blockSum(place.session, piece.firstSeq, piece.lastSeq, codec, part), index * ENTRY_BYTES + 12)
  })
  const file = Buffer.concat(parts)
  return { segment: { ...place, firstSeq, lastSeq, codec, bytes, stored: file.byteLength, blocks }, file }
}

const blockSum = (session: number, firstSeq: number, lastSeq: number, codec: number, stored: Uint8Array): number =>
  sumOf([session, firstSeq, lastSeq, codec], stored)

/** The columns of `segments`, for SELECT. */
export const SEGMENT_COLUMNS = 'key, session, first_seq, last_seq, codec, bytes, stored, trimmed, crc, blocks'

/** Throws DamagedError when the checksum does not fit. */
export function segmentFromRow(row: Row, sessionId: string): Segment {
  const segment: Segment = {
    key: row['key'] as number,
    session: row['session'] as number,
    firstSeq: row['first_seq'] as number,
    lastSeq: row['last_seq'] as number,
    codec: row['codec'] as number,
    bytes: row['bytes'] as number,
    stored: row['stored'] as number,
    trimmed: row['trimmed'] as number,
    blocks: row['blocks'] as Uint8Array,
  }
  if (row['crc'] !== segmentSum(segment)) throw new DamagedError(sessionId, `the row of segment ${segment.key} does not fit its checksum`)
  return segment
}

/** The blocks of a segment that hold events after `after`, the first whatever its size, the others while all of them fit into `maxBytes`. */
export function blocksAfter(segment: Segment, after: number, maxBytes: number): Block[] {
  const view = new DataView(segment.blocks.buffer, segment.blocks.byteOffset, segment.blocks.byteLength)
  const count = segment.blocks.byteLength / ENTRY_BYTES
  const chosen: Block[] = []
  let offset = 0
  let total = 0
  for (let index = 0; index < count; index++) {
    const at = index * ENTRY_BYTES
    const stored = view.getUint32(at + 8)
    const lastSeq = index + 1 < count ? segment.firstSeq + view.getUint32(at + ENTRY_BYTES) - 1 : segment.lastSeq
    if (lastSeq > after) {
      const bytes = view.getUint32(at + 4)
      total += bytes
      if (chosen.length > 0 && total > maxBytes) break
      chosen.push({ firstSeq: segment.firstSeq + view.getUint32(at), lastSeq, offset, bytes, stored, crc: view.getUint32(at + 12) })
    }
    offset += stored
  }
  return chosen
}

/** Throws DamagedError where a segment has no file. */
export function openSegment(path: string, segment: Segment, sessionId: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
    throw new DamagedError(sessionId, `the file of segment ${segment.key} is missing`)
  }
}

/** Memory for so many bytes. */
export type TakeBuffer = (bytes: number) => Uint8Array

const newBuffer: TakeBuffer = bytes => Buffer.allocUnsafeSlow(bytes)

/** Reads neighbouring blocks from the file and checks them. Throws DamagedError, or what the file system throws. */
export function readBlocks(file: number, segment: Segment, blocks: readonly Block[], sessionId: string, take: TakeBuffer = newBuffer): Piece | undefined {
  const first = blocks[0]
  const last = blocks.at(-1)
  if (!first || !last) return undefined
  const size = last.offset + last.stored - first.offset
  const stored = take(size)
  for (let at = 0; at < size; ) {
    const got = readSync(file, stored, at, size - at, first.offset + at)
    if (got === 0) throw new DamagedError(sessionId, `the file of segment ${segment.key} is cut off`)
    at += got
  }
  const parts: Uint8Array[] = []
  for (const block of blocks) {
    const part = stored.subarray(block.offset - first.offset, block.offset - first.offset + block.stored)
    if (blockSum(segment.session, block.firstSeq, block.lastSeq, segment.codec, part) !== block.crc) {
      throw new DamagedError(sessionId, `a block of segment ${segment.key} does not fit its checksum`)
    }
    if (segment.codec === CODEC.zstd) parts.push(zstdDecompressSync(part, { maxOutputLength: Math.max(1, block.bytes) }))
  }
  const body = segment.codec !== CODEC.zstd ? stored : parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
  return { firstSeq: first.firstSeq, lastSeq: last.lastSeq, body }
}
