import { bytesFromText, chunksFromEvents, eachRecord, type Chunk } from '../chunk.ts'

/** First byte of a binary frame: a batch of records; other values are for later versions. */
export const BATCH = 1

/**
 * Splits a binary frame of `holdfast.v1+binary` into the JSON texts of its events.
 * Layout: one byte 0x01, then per event 4 bytes of length (big endian) and its JSON in UTF-8.
 * Throws RangeError on any other layout.
 */
export function textsFromFrame(frame: Uint8Array): string[] {
  if (frame[0] !== BATCH) throw new RangeError(`unknown frame type ${frame[0] ?? 'none'}`)
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const texts: string[] = []
  const body = frame.subarray(1)
  eachRecord(body, (start, end) => {
    texts.push(decoder.decode(body.subarray(start, end)))
    return undefined
  })
  return texts
}

/** The binary frame of a chunk. */
export function frameFromChunk(chunk: Chunk): Uint8Array {
  const frame = new Uint8Array(1 + chunk.body.byteLength)
  frame[0] = BATCH
  frame.set(chunk.body, 1)
  return frame
}

/** A binary frame of event texts, as the server sends it; the twin of `textsFromFrame` for tests and other producers. */
export function frameFromTexts(texts: readonly string[]): Uint8Array {
  const chunk = chunksFromEvents(texts.map(bytesFromText), 1, Number.POSITIVE_INFINITY)[0]
  return chunk ? frameFromChunk(chunk) : new Uint8Array([BATCH])
}
