/** Bytes of length, big endian, in front of each event's JSON (`Chunk` of the protocol; workers load no other package). */
const HEADER_BYTES = 4

/** Where the record after the one at `at` begins. Throws RangeError on a torn body. */
export function nextRecord(body: Uint8Array, at: number): number {
  const end = at + HEADER_BYTES + readLength(body, at)
  if (at + HEADER_BYTES > body.byteLength || end > body.byteLength) throw new RangeError('a record is cut off')
  return end
}

const readLength = (body: Uint8Array, at: number): number =>
  (((body[at] ?? 0) << 24) | ((body[at + 1] ?? 0) << 16) | ((body[at + 2] ?? 0) << 8) | (body[at + 3] ?? 0)) >>> 0

/** The offset behind the first `count` records. Throws RangeError on a torn body. */
export function skipRecords(body: Uint8Array, count: number): number {
  let at = 0
  for (let index = 0; index < count; index++) at = nextRecord(body, at)
  return at
}

/** How many whole records a body holds. Throws RangeError on a torn body. */
export function countRecords(body: Uint8Array): number {
  let count = 0
  for (let at = 0; at < body.byteLength; count++) at = nextRecord(body, at)
  return count
}

/** Events of one log that follow each other. */
export interface Piece {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly body: Uint8Array
}

/** Joins and cuts pieces that follow each other into pieces of at most `maxBytes`, apart from events that are larger by themselves. */
export function repack(pieces: readonly Piece[], maxBytes: number): Piece[] {
  const packed: Piece[] = []
  let parts: Piece[] = []
  let bytes = 0
  const flush = (): void => {
    const first = parts[0]
    const last = parts.at(-1)
    if (first && last) packed.push({ firstSeq: first.firstSeq, lastSeq: last.lastSeq, body: parts.length === 1 ? first.body : joinBodies(parts, bytes) })
    parts = []
    bytes = 0
  }
  for (const whole of pieces) {
    for (const piece of whole.body.byteLength > maxBytes ? cut(whole, maxBytes) : [whole]) {
      if (bytes + piece.body.byteLength > maxBytes) flush()
      parts.push(piece)
      bytes += piece.body.byteLength
    }
  }
  flush()
  return packed
}

function joinBodies(parts: readonly Piece[], bytes: number): Uint8Array {
  const body = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    body.set(part.body, at)
    at += part.body.byteLength
  }
  return body
}

function cut(piece: Piece, maxBytes: number): Piece[] {
  const cuts: Piece[] = []
  let start = 0
  let firstSeq = piece.firstSeq
  let at = 0
  let seq = piece.firstSeq
  const take = (end: number): void => {
    cuts.push({ firstSeq, lastSeq: seq - 1, body: piece.body.subarray(start, end) })
    start = end
    firstSeq = seq
  }
  while (at < piece.body.byteLength) {
    const next = nextRecord(piece.body, at)
    if (next - start > maxBytes && at > start) take(at)
    at = next
    seq++
  }
  take(at)
  return cuts
}
