import { type Chunk, eachRecord } from '@holdfast/protocol'

/** `{"events":[…],…}` in the making: the stored bytes of events, put between commas as they come (decision 1). */
export interface PageBody {
  /** Copies a chunk's events; the chunk is not needed any more then. */
  add(chunk: Chunk): void
  /** The whole page, with these fields behind the events; valid until `release`. */
  finish(rest: object): Uint8Array
  /** The page was sent: its memory serves the next one. */
  release(): void
}

const FIRST_BYTES = 16 * 1024
/** What a usual page has; larger ones are left to the collector. */
const SPARE_BYTES = 2 * 1024 * 1024
const MOST_SPARE = 4

const spare: Buffer[] = []
const BEGIN = '{"events":['
const COMMA = 44

export function createPageBody(): PageBody {
  let buffer = spare.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
  let used = buffer.write(BEGIN, 'latin1')
  let isReleased = false

  const reserve = (bytes: number): void => {
    if (used + bytes <= buffer.byteLength) return
    const larger = Buffer.allocUnsafeSlow(Math.max(used + bytes, buffer.byteLength * 2))
    larger.set(buffer.subarray(0, used))
    buffer = larger
  }
  return {
    add(chunk) {
      // Commas take less than the records' headers did.
      reserve(chunk.body.byteLength)
      eachRecord(chunk.body, (start, end) => {
        if (used > BEGIN.length) buffer[used++] = COMMA
        buffer.set(chunk.body.subarray(start, end), used)
        used += end - start
        return undefined
      })
    },
    finish(rest) {
      const tail = `],${JSON.stringify(rest).slice(1)}`
      reserve(Buffer.byteLength(tail))
      used += buffer.write(tail, used)
      return buffer.subarray(0, used)
    },
    release() {
      if (!isReleased && buffer.byteLength <= SPARE_BYTES && spare.length < MOST_SPARE) spare.push(buffer)
      isReleased = true
    },
  }
}
