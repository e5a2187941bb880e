/**
 * A run of consecutive events of one log, encoded: per event a record of its length (4 bytes, big endian)
 * and its JSON in UTF-8. The same bytes lie in the store, in the tail in memory and in binary frames.
 */
export interface Chunk {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly body: Uint8Array
}

/** Bytes in front of each event's JSON. */
export const RECORD_HEADER_BYTES = 4

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Chunks of at most `maxBytes` (one event always fits) of events that follow each other from `firstSeq`. */
export function chunksFromEvents(events: readonly Uint8Array[], firstSeq: number, maxBytes: number): Chunk[] {
  const chunks: Chunk[] = []
  for (let start = 0; start < events.length; ) {
    let end = start
    let bytes = 0
    while (end < events.length) {
      const size = RECORD_HEADER_BYTES + (events[end] as Uint8Array).byteLength
      if (end > start && bytes + size > maxBytes) break
      bytes += size
      end++
    }
    chunks.push({ firstSeq: firstSeq + start, lastSeq: firstSeq + end - 1, body: bodyFromEvents(events.slice(start, end), bytes) })
    start = end
  }
  return chunks
}

/** One chunk of chunks that follow each other; at least one. */
export function joinChunks(chunks: readonly Chunk[]): Chunk {
  const first = chunks[0] as Chunk
  if (chunks.length === 1) return first
  const body = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.body.byteLength, 0))
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk.body, at)
    at += chunk.body.byteLength
  }
  return { firstSeq: first.firstSeq, lastSeq: (chunks.at(-1) as Chunk).lastSeq, body }
}

/** Small chunks share buffers of this size: a typed array with memory of its own costs more than what is in it. */
const SLAB_BYTES = 8 * 1024

/** A text longer than this gets memory of its own. */
const SMALL_CHARS = 1024

let slab = new Uint8Array(0)
let slabUsed = 0

/** The chunk of one event, encoded where it will lie. */
export function chunkFromText(text: string, seq: number): Chunk {
  if (text.length > SMALL_CHARS) {
    const event = encoder.encode(text)
    return { firstSeq: seq, lastSeq: seq, body: bodyFromEvents([event], RECORD_HEADER_BYTES + event.byteLength) }
  }
  // UTF-8 has at most three bytes for a UTF-16 unit.
  if (slab.byteLength - slabUsed < RECORD_HEADER_BYTES + text.length * 3) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  const start = slabUsed + RECORD_HEADER_BYTES
  const { written } = encoder.encodeInto(text, slab.subarray(start))
  slab[slabUsed] = 0
  slab[slabUsed + 1] = written >>> 16
  slab[slabUsed + 2] = (written >>> 8) & 0xff
  slab[slabUsed + 3] = written & 0xff
  const body = slab.subarray(slabUsed, start + written)
  slabUsed = start + written
  return { firstSeq: seq, lastSeq: seq, body }
}

/** The records of some events, one after the other. */
function bodyFromEvents(events: readonly Uint8Array[], bytes: number): Uint8Array {
  const body = new Uint8Array(bytes)
  const view = new DataView(body.buffer)
  let at = 0
  for (const event of events) {
    view.setUint32(at, event.byteLength)
    body.set(event, at + RECORD_HEADER_BYTES)
    at += RECORD_HEADER_BYTES + event.byteLength
  }
  return body
}

/** Walks the records of a body: calls `visit(start, end)` with the bounds of each event's JSON until it returns false. Throws RangeError on a torn body. */
export function eachRecord(body: Uint8Array, visit: (start: number, end: number, index: number) => boolean | undefined): void {
  let at = 0
  for (let index = 0; at < body.byteLength; index++) {
    if (at + RECORD_HEADER_BYTES > body.byteLength) throw new RangeError('a record is cut off')
    const length = (((body[at] as number) << 24) | ((body[at + 1] as number) << 16) | ((body[at + 2] as number) << 8) | (body[at + 3] as number)) >>> 0
    const start = at + RECORD_HEADER_BYTES
    const end = start + length
    if (end > body.byteLength) throw new RangeError('a record is cut off')
    if (visit(start, end, index) === false) return
    at = end
  }
}

/**
 * The part of a chunk after `after`, up to `lastSeq` and at most `maxBytes` of body (one event always fits);
 * the same object where that is all of it, undefined where nothing is left.
 */
export function sliceChunk(chunk: Chunk, after: number, lastSeq: number, maxBytes: number): Chunk | undefined {
  const from = Math.max(after + 1, chunk.firstSeq)
  const to = Math.min(lastSeq, chunk.lastSeq)
  if (from > to) return undefined
  if (from === chunk.firstSeq && to === chunk.lastSeq && chunk.body.byteLength <= maxBytes) return chunk
  let begin = 0
  let stop = 0
  let last = from - 1
  eachRecord(chunk.body, (start, end, index) => {
    const seq = chunk.firstSeq + index
    if (seq < from) return undefined
    if (seq === from) begin = start - RECORD_HEADER_BYTES
    if (seq > to || (seq > from && end - begin > maxBytes)) return false
    stop = end
    last = seq
    return undefined
  })
  return { firstSeq: from, lastSeq: last, body: chunk.body.subarray(begin, stop) }
}

/** The JSON texts of a chunk's events. */
export function textsFromChunk(chunk: Chunk): string[] {
  const texts: string[] = []
  eachRecord(chunk.body, (start, end) => {
    texts.push(decoder.decode(chunk.body.subarray(start, end)))
    return undefined
  })
  return texts
}

/** UTF-8 of a text. */
export const bytesFromText = (text: string): Uint8Array => encoder.encode(text)
