import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { StreamId } from './frames.ts'
import { readSegments, segmentName, type Segment } from './spool-files.ts'

/** A program's output on disk, from the offset that was acked to the end, in segment files that go once all of them was acked. */
export interface Spool {
  /** Acked up to here. */
  readonly start: number
  readonly end: number
  /** Adds to the end; fewer bytes than given where the disk takes no more. */
  append(bytes: Uint8Array): number
  /** Up to `maxBytes` from an offset in [start, end] on; at least one byte before the end. */
  read(offset: number, maxBytes: number): Uint8Array
  /** Everything before `offset` is stored elsewhere; an offset out of range counts as the nearest in it. */
  ack(offset: number): void
  /** On disk when this returns. */
  sync(): void
  /** Nothing of it is left in the folder. */
  remove(): void
}

export interface SpoolOptions {
  readonly folder: string
  readonly stream: StreamId
  readonly segmentBytes: number
  /** Writes at the end of an open file, as `fs.writeSync` does; a test may have the disk full. */
  readonly write?: (file: number, bytes: Uint8Array) => number
}

/** An empty spool in a folder that has none of this stream. */
export function createSpool({ folder, stream, segmentBytes, write = writeSync }: SpoolOptions): Spool {
  const segments: Segment[] = []
  let file: number | undefined
  let start = 0
  let end = 0

  const room = (): Segment => {
    const last = segments.at(-1)
    if (last && file !== undefined && last.bytes < segmentBytes) return last
    const path = join(folder, segmentName(stream, end))
    const next = openSync(path, 'a', 0o600)
    if (file !== undefined) closeSync(file)
    file = next
    const segment: Segment = { start: end, path, bytes: 0 }
    segments.push(segment)
    dropAcked()
    return segment
  }

  const dropAcked = (): void => {
    for (let first = segments[0]; first && segments.length > 1 && first.start + first.bytes <= start; first = segments[0]) {
      unlinkSync(first.path)
      segments.shift()
    }
  }

  return {
    get start() {
      return start
    },
    get end() {
      return end
    },
    append(bytes) {
      let stored = 0
      try {
        while (stored < bytes.length) {
          const segment = room()
          const count = write(file as number, bytes.subarray(stored, stored + segmentBytes - segment.bytes))
          if (count === 0) return stored
          segment.bytes += count
          end += count
          stored += count
        }
      } catch {
        // Full, or failing: the caller keeps the rest and tries again.
      }
      return stored
    },
    read: (offset, maxBytes) => readSegments(segments, offset, maxBytes),
    ack(offset) {
      start = Math.max(start, Math.min(offset, end))
      dropAcked()
    },
    sync() {
      for (const { path } of segments) {
        const segment = openSync(path, 'r')
        try {
          fsyncSync(segment)
        } finally {
          closeSync(segment)
        }
      }
    },
    remove() {
      if (file !== undefined) closeSync(file)
      file = undefined
      for (const { path } of segments.splice(0)) unlinkSync(path)
    },
  }
}
