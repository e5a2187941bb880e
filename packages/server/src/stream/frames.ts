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

/** One binary frame with the chunk's records; an event that would not fit `maxBytes` with its record goes as a text frame. Without a copy where the chunk has room for a header. */
function binaryFrame(chunk: Chunk, maxBytes: number): Buffer {
  const { body } = chunk
  const length = 1 + body.byteLength
  if (length > maxBytes && chunk.firstSeq === chunk.lastSeq) return frame(TEXT, body.subarray(RECORD_HEADER_BYTES))
  const header = headerBytes(length) + 1
  const hasRoom = chunk.room !== undefined && chunk.room >= header
  const target = hasRoom ? Buffer.from(body.buffer, body.byteOffset - header, header + body.byteLength) : Buffer.allocUnsafe(headerBytes(length) + length)
  const at = putHeader(target, 0, BINARY, length)
  target[at] = BATCH
  if (!hasRoom) target.set(body, at + 1)
  return target
}

/** SSE records of a chunk (`id` in front, one `data` line each) as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1), which goes to the socket as it is. */
function sseRecords(chunk: Chunk, idPrefix: string, take: (bytes: number) => Buffer): Buffer {
  const events = chunk.lastSeq - chunk.firstSeq + 1
  const headBytes = ID.length + idPrefix.length + String(chunk.lastSeq).length + DATA.length
  const target = take(SIZE_ROOM + chunk.body.byteLength + events * (headBytes + 2 - RECORD_HEADER_BYTES) + 2)
  let at = SIZE_ROOM
  eachRecord(chunk.body, (start, end, index) => {
    at += target.write(`${ID}${idPrefix}${chunk.firstSeq + index}${DATA}`, at, 'latin1')
    target.set(chunk.body.subarray(start, end), at)
    at += end - start
    target[at++] = 10
    target[at++] = 10
    return undefined
  })
  const size = `${(at - SIZE_ROOM).toString(16)}\r\n`
  target.write(size, SIZE_ROOM - size.length, 'latin1')
  target[at++] = 13
  target[at++] = 10
  return target.subarray(SIZE_ROOM - size.length, at)
}

/** Eight hex digits and a line break. */
const SIZE_ROOM = 10
const newBuffer = (bytes: number): Buffer => Buffer.allocUnsafe(bytes)

/** The records without their chunk's size, for HTTP/1.0. */
export const withoutChunkSize = (bytes: Buffer): Buffer => bytes.subarray(bytes.indexOf(10) + 1, -2)

const ID = 'id: '
const DATA = '\ndata: '

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
export const sseFrames = (chunk: Chunk, idPrefix: string): Buffer => once(chunk, `sse ${idPrefix}`, () => sseRecords(chunk, idPrefix, newBuffer))

/** Frames of what one reader alone replays: built in memory that goes round, which `release` gives back once the system has them. */
export interface OwnFrames {
  readonly bytes: Buffer
  release(): void
}

const OWN_BYTES = 128 * 1024
const MOST_FREE = 32
const free: Buffer[] = []

export function ownSseFrames(chunk: Chunk, idPrefix: string): OwnFrames {
  let taken: Buffer | undefined
  const bytes = sseRecords(chunk, idPrefix, size => {
    if (size > OWN_BYTES) return newBuffer(size)
    taken = free.pop() ?? Buffer.allocUnsafeSlow(OWN_BYTES)
    return taken
  })
  return {
    bytes,
    release() {
      if (taken && free.length < MOST_FREE) free.push(taken)
      taken = undefined
    },
  }
}
