/**
 * A run of consecutive events of one log, encoded: per event a record of its length (4 bytes, big endian)
 * and its JSON in UTF-8. The same bytes lie in the store, in the tail in memory and in binary frames.
 */
export interface Chunk {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly body: Uint8Array
  /** Bytes in front of the body, in the same buffer, that belong to this chunk alone: a frame's header fits there. */
  readonly room?: number
  /** Gives the buffer back to whom it came from, for another read; only the chunk's one reader may call it, after which nothing of it may be looked at. */
  readonly release?: () => void
}

/** Room for the header of a WebSocket frame and the byte that says what is in it. */
export const FRAME_ROOM_BYTES = 16

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
/** Chunks up to this size go into a slab. */
const SMALL_BYTES = 2 * 1024

let slab = new Uint8Array(0)
let slabUsed = 0
/** Where chunks are encoded before their size is known. */
let scratch = new Uint8Array(0)

function takeSlab(bytes: number): Uint8Array {
  if (slab.byteLength - slabUsed < bytes) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  slabUsed += bytes
  return slab.subarray(slabUsed - bytes, slabUsed)
}

/**
 * Chunks of at most `maxBytes` (one event always fits) of events that follow each other from `firstSeq`, from their JSON.
 * `check` is told the size of each record, and may throw before anything is kept.
 */
export function chunksFromTexts(texts: readonly string[], firstSeq: number, maxBytes: number, check: (bytes: number, index: number) => void): Chunk[] {
  let chunks: Chunk[] = []
  let begin = 0
  let used = 0
  const take = (end: number): void => {
    if (end === begin) return
    const body = used <= SMALL_BYTES ? takeSlab(used) : new Uint8Array(used)
    body.set(scratch.subarray(0, used))
    const chunk = { firstSeq: firstSeq + begin, lastSeq: firstSeq + end - 1, body }
    if (chunks.length > 0) chunks.push(chunk)
    else chunks = [chunk]
    begin = end
    used = 0
  }
  for (let index = 0; index < texts.length; index++) {
    const text = texts[index] as string
    // UTF-8 has at most three bytes for a UTF-16 unit.
    const most = RECORD_HEADER_BYTES + text.length * 3
    if (used + most > scratch.byteLength) {
      const larger = new Uint8Array(Math.max(used + most, maxBytes * 2))
      larger.set(scratch.subarray(0, used))
      scratch = larger
    }
    const { written } = encoder.encodeInto(text, scratch.subarray(used + RECORD_HEADER_BYTES, used + most))
    const bytes = RECORD_HEADER_BYTES + written
    check(bytes, index)
    if (used > 0 && used + bytes > maxBytes) {
      const at = used
      take(index)
      scratch.copyWithin(0, at, at + bytes)
    }
    putLength(scratch, used, written)
    used += bytes
  }
  take(texts.length)
  if (scratch.byteLength > maxBytes * 2) scratch = new Uint8Array(0)
  return chunks
}

function putLength(target: Uint8Array, at: number, length: number): void {
  target[at] = length >>> 24
  target[at + 1] = (length >>> 16) & 0xff
  target[at + 2] = (length >>> 8) & 0xff
  target[at + 3] = length & 0xff
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
