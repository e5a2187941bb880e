import { BATCH, type Chunk, eachRecord, RECORD_HEADER_BYTES } from '@holdfast/protocol'

const TEXT = 1
const BINARY = 2
const FIN = 0x80

/** Bytes of a WebSocket frame's header from the server (RFC 6455, section 5.2). */
const headerBytes = (length: number): number => (length < 126 ? 2 : length < 65536 ? 4 : 10)

function putHeader(target: Buffer, at: number, opcode: number, length: number): number {
  target[at] = FIN | opcode
  if (length < 126) {
    target[at + 1] = length
    return at + 2
  }
  if (length < 65536) {
    target[at + 1] = 126
    target.writeUInt16BE(length, at + 2)
    return at + 4
  }
  target[at + 1] = 127
  target.writeUInt32BE(0, at + 2)
  target.writeUInt32BE(length, at + 6)
  return at + 10
}

function frame(opcode: number, payload: Uint8Array): Buffer {
  const target = Buffer.allocUnsafe(headerBytes(payload.byteLength) + payload.byteLength)
  target.set(payload, putHeader(target, 0, opcode, payload.byteLength))
  return target
}

/** One text frame. */
export const textFrame = (text: string): Buffer => frame(TEXT, Buffer.from(text))

/** A frame per event, one after the other: what a `holdfast.v1+json` socket gets of a chunk. */
function textFrames(chunk: Chunk): Buffer {
  let bytes = 0
  eachRecord(chunk.body, (start, end) => {
    bytes += headerBytes(end - start) + end - start
    return undefined
  })
  const target = Buffer.allocUnsafe(bytes)
  let at = 0
  eachRecord(chunk.body, (start, end) => {
    at = putHeader(target, at, TEXT, end - start)
    target.set(chunk.body.subarray(start, end), at)
    at += end - start
    return undefined
  })
  return target
}

/** One binary frame with the chunk's records; an event that would not fit `maxBytes` with its record goes as a text frame. */
function binaryFrame(chunk: Chunk, maxBytes: number): Buffer {
  const length = 1 + chunk.body.byteLength
  if (length > maxBytes && chunk.firstSeq === chunk.lastSeq) return frame(TEXT, chunk.body.subarray(RECORD_HEADER_BYTES))
  const target = Buffer.allocUnsafe(headerBytes(length) + length)
  const at = putHeader(target, 0, BINARY, length)
  target[at] = BATCH
  target.set(chunk.body, at + 1)
  return target
}

/** SSE records of a chunk (`id` in front, one `data` line each), as one piece of text in bytes. */
function sseRecords(chunk: Chunk, idPrefix: string): Buffer {
  const heads: Buffer[] = []
  let bytes = 0
  eachRecord(chunk.body, (start, end, index) => {
    const head = Buffer.from(`id: ${idPrefix}${chunk.firstSeq + index}\ndata: `)
    heads.push(head)
    bytes += head.length + end - start + 2
    return undefined
  })
  const target = Buffer.allocUnsafe(bytes)
  let at = 0
  eachRecord(chunk.body, (start, end, index) => {
    const head = heads[index] as Buffer
    target.set(head, at)
    target.set(chunk.body.subarray(start, end), at + head.length)
    at += head.length + end - start
    target[at++] = 10
    target[at++] = 10
    return undefined
  })
  return target
}

/** Frames are built once per chunk and format and shared by every socket (decision 1); they go when the chunk goes. */
const shared = new WeakMap<Chunk, Map<string, Buffer>>()

function once(chunk: Chunk, format: string, build: () => Buffer): Buffer {
  let frames = shared.get(chunk)
  if (!frames) {
    frames = new Map()
    shared.set(chunk, frames)
  }
  let built = frames.get(format)
  if (!built) {
    built = build()
    frames.set(format, built)
  }
  return built
}

export const jsonFrames = (chunk: Chunk): Buffer => once(chunk, 'json', () => textFrames(chunk))

export const binaryFrames = (chunk: Chunk, maxBytes: number): Buffer => once(chunk, 'binary', () => binaryFrame(chunk, maxBytes))

/** `idPrefix` is `<epoch>.`, with `<session id>@` in front where several sessions share a stream. */
export const sseFrames = (chunk: Chunk, idPrefix: string): Buffer => once(chunk, `sse ${idPrefix}`, () => sseRecords(chunk, idPrefix))
