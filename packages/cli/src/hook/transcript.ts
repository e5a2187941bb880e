import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parseLossless } from '@holdfast/protocol/wire'

/** One whole line of a transcript, and where the next one starts. */
export interface TranscriptLine {
  /** Parsed JSON; undefined where the line is none. */
  readonly value: unknown
  /** Bytes from the file's start to the end of this line, its newline included. */
  readonly end: number
}

/** Bytes read at once; a longer line makes the piece grow. */
const PIECE_BYTES = 1024 * 1024

/**
 * The whole lines of a file that start at or after `from` and end at or before `to` (its size where absent).
 * A last line without a newline is left for later; a file that is shorter than `from` was written anew and is read from its start.
 * A file that is not there has no lines. Stops after `maxBytes` of lines, one line always fitting.
 */
export function readLines(path: string, from: number, to?: number, maxBytes = 8 * PIECE_BYTES): { lines: TranscriptLine[]; more: boolean } {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return { lines: [], more: false }
  }
  try {
    const size = fstatSync(file).size
    const start = from > size ? 0 : from
    return linesOf(file, start, Math.min(to ?? size, size), maxBytes)
  } finally {
    closeSync(file)
  }
}

function linesOf(file: number, start: number, stop: number, maxBytes: number): { lines: TranscriptLine[]; more: boolean } {
  const lines: TranscriptLine[] = []
  let rest = Buffer.alloc(0)
  for (let at = start; at < stop; ) {
    if (lines.length > 0 && (lines.at(-1)?.end ?? 0) - start >= maxBytes) return { lines, more: true }
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, stop - at))
    const read = readSync(file, piece, 0, piece.length, at)
    if (read === 0) break
    const data = Buffer.concat([rest, piece.subarray(0, read)])
    const base = at - rest.length
    at += read
    let begin = 0
    for (let newline = data.indexOf(10); newline >= 0; newline = data.indexOf(10, begin)) {
      lines.push({ value: parse(data.toString('utf8', begin, newline)), end: base + newline + 1 })
      begin = newline + 1
    }
    rest = data.subarray(begin)
  }
  return { lines, more: false }
}

function parse(text: string): unknown {
  try {
    return parseLossless(text)
  } catch {
    return undefined
  }
}
