import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { StreamId } from './frames.ts'

/** One file of a spool: raw output from an absolute offset on. */
export interface Segment {
  readonly start: number
  readonly path: string
  bytes: number
}

/** `spool.<stream>.<offset of its first byte>`, so that names alone say what a folder has. */
export const segmentName = (stream: StreamId, start: number): string => `spool.${stream}.${String(start).padStart(16, '0')}`

/** The segments that a folder has of a stream, ascending, none where there are none; after a hole nothing counts. */
export function findSegments(folder: string, stream: StreamId): Segment[] {
  const prefix = `spool.${stream}.`
  const found: Segment[] = []
  for (const name of namesIn(folder).sort()) {
    if (!name.startsWith(prefix) || !/^\d{16}$/.test(name.slice(prefix.length))) continue
    const start = Number(name.slice(prefix.length))
    const last = found.at(-1)
    if (last && last.start + last.bytes !== start) break
    const path = join(folder, name)
    found.push({ start, path, bytes: statSync(path).size })
  }
  return found
}

/** Where these segments end; 0 where there are none. */
export function endOf(segments: readonly Segment[]): number {
  const last = segments.at(-1)
  return last ? last.start + last.bytes : 0
}

/** Up to `maxBytes` from `offset` on, of one segment; none beyond the end. Throws RangeError below the first segment. */
export function readSegments(segments: readonly Segment[], offset: number, maxBytes: number): Buffer {
  const first = segments[0]
  if (first && offset < first.start) throw new RangeError(`offset ${offset} was dropped; the spool starts at ${first.start}`)
  const segment = segments.findLast(({ start }) => start <= offset)
  const count = segment ? Math.min(maxBytes, segment.start + segment.bytes - offset) : 0
  if (!segment || count <= 0) return Buffer.alloc(0)
  const file = openSync(segment.path, 'r')
  try {
    const bytes = Buffer.allocUnsafe(count)
    let have = 0
    for (let got = -1; have < count && got !== 0; have += got) got = readSync(file, bytes, have, count - have, offset - segment.start + have)
    return bytes.subarray(0, have)
  } finally {
    closeSync(file)
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return []
    throw error
  }
}
