/** The version that `hello` names. A client that knows another one may only kill. */
export const HOLDER_PROTOCOL = 1

/** No frame is longer, its length field left out; a longer one closes the connection. */
export const MAX_FRAME_BYTES = 1 << 20

/** 0 is the terminal, or stdout in pipe mode; 1 is stderr in pipe mode. */
export type StreamId = 0 | 1

/** What a client says to a holder. */
export type ClientFrame =
  | { readonly type: 'read-from'; readonly stream: StreamId; readonly offset: number; readonly windowBytes: number }
  | { readonly type: 'ack'; readonly stream: StreamId; readonly offset: number }
  | { readonly type: 'input'; readonly request: number; readonly client: string; readonly id: string; readonly bytes: Uint8Array }
  | { readonly type: 'input-end'; readonly request: number }
  | { readonly type: 'resize'; readonly request: number; readonly cols: number; readonly rows: number }
  | { readonly type: 'signal'; readonly request: number; readonly name: string }
  | { readonly type: 'ping'; readonly request: number }
  | { readonly type: 'kill' }

/** How a request ended; `done` for what was carried out, an input when its last byte was written. */
export type RequestResult = 'done' | 'duplicate' | 'ended' | 'full' | 'invalid'

/** What a holder says to a client. `hello` and `exit` carry JSON, so that fields can be added. */
export type HolderFrame =
  | { readonly type: 'hello'; readonly hello: unknown }
  | { readonly type: 'output'; readonly stream: StreamId; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'exit'; readonly exit: unknown }
  | { readonly type: 'done'; readonly request: number; readonly result: RequestResult }
  | { readonly type: 'resized'; readonly request: number; readonly offset: number }
  | { readonly type: 'closing'; readonly reason: string }

// The numbers are the protocol: they are never given another meaning.
const CLIENT = { 'read-from': 0x01, ack: 0x02, input: 0x03, 'input-end': 0x04, resize: 0x05, signal: 0x06, ping: 0x07, kill: 0x4b } as const
const HOLDER = { hello: 0x81, output: 0x82, exit: 0x83, done: 0x84, resized: 0x85, closing: 0x86 } as const
const RESULTS: readonly RequestResult[] = ['done', 'duplicate', 'ended', 'full', 'invalid']

/** The whole frame that kills; every version of the protocol understands it, on any connection, at any time. */
export const KILL_FRAME: Uint8Array = Uint8Array.of(1, 0, 0, 0, CLIENT.kill)

/** A length field, a type, and room for `bytes` of payload. */
function frameOf(type: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(5 + bytes)
  frame.writeUInt32LE(1 + bytes, 0)
  frame[4] = type
  return frame
}

function textFrame(type: number, text: string): Buffer {
  const payload = Buffer.from(text)
  const frame = frameOf(type, payload.length)
  payload.copy(frame, 5)
  return frame
}

function requestFrame(type: number, request: number, rest = 0): Buffer {
  const frame = frameOf(type, 4 + rest)
  frame.writeUInt32LE(request, 5)
  return frame
}

/** A client's frame as bytes. Client and input ids have at most 255 bytes each. */
export function bytesFromClientFrame(frame: ClientFrame): Uint8Array {
  switch (frame.type) {
    case 'read-from': {
      const out = frameOf(CLIENT['read-from'], 13)
      out[5] = frame.stream
      out.writeBigUInt64LE(BigInt(frame.offset), 6)
      out.writeUInt32LE(frame.windowBytes, 14)
      return out
    }
    case 'ack': {
      const out = frameOf(CLIENT.ack, 9)
      out[5] = frame.stream
      out.writeBigUInt64LE(BigInt(frame.offset), 6)
      return out
    }
    case 'input': {
      const client = Buffer.from(frame.client)
      const id = Buffer.from(frame.id)
      if (client.length > 255 || id.length > 255) throw new RangeError('client and input ids have at most 255 bytes')
      const head = Buffer.concat([Buffer.of(client.length), client, Buffer.of(id.length), id])
      const out = requestFrame(CLIENT.input, frame.request, head.length + frame.bytes.length)
      head.copy(out, 9)
      out.set(frame.bytes, 9 + head.length)
      return out
    }
    case 'resize': {
      const out = requestFrame(CLIENT.resize, frame.request, 4)
      out.writeUInt16LE(frame.cols, 9)
      out.writeUInt16LE(frame.rows, 11)
      return out
    }
    case 'signal': {
      const out = requestFrame(CLIENT.signal, frame.request, Buffer.byteLength(frame.name))
      out.write(frame.name, 9)
      return out
    }
    case 'input-end':
    case 'ping':
      return requestFrame(CLIENT[frame.type], frame.request)
    case 'kill':
      return KILL_FRAME
  }
}

/** A client's frame from its type and payload; undefined for a type of a later version; throws RangeError where the payload is too short. */
export function clientFrameFrom(body: Buffer): ClientFrame | undefined {
  switch (body[0]) {
    case CLIENT.kill:
      return { type: 'kill' }
    case CLIENT['read-from']:
      return { type: 'read-from', stream: streamOf(body), offset: offsetAt(body, 2), windowBytes: body.readUInt32LE(10) }
    case CLIENT.ack:
      return { type: 'ack', stream: streamOf(body), offset: offsetAt(body, 2) }
    case CLIENT.input: {
      const request = body.readUInt32LE(1)
      const clientEnd = 6 + body.readUInt8(5)
      const idEnd = clientEnd + 1 + body.readUInt8(clientEnd)
      if (idEnd > body.length) throw new RangeError('an input is cut short')
      return {
        type: 'input',
        request,
        client: body.toString('utf8', 6, clientEnd),
        id: body.toString('utf8', clientEnd + 1, idEnd),
        bytes: body.subarray(idEnd),
      }
    }
    case CLIENT['input-end']:
      return { type: 'input-end', request: body.readUInt32LE(1) }
    case CLIENT.resize:
      return { type: 'resize', request: body.readUInt32LE(1), cols: body.readUInt16LE(5), rows: body.readUInt16LE(7) }
    case CLIENT.signal:
      return { type: 'signal', request: body.readUInt32LE(1), name: body.toString('utf8', 5) }
    case CLIENT.ping:
      return { type: 'ping', request: body.readUInt32LE(1) }
    default:
      return undefined
  }
}

/** A holder's frame as bytes; of an output only the head, its bytes follow. */
export function bytesFromHolderFrame(frame: HolderFrame): Uint8Array {
  switch (frame.type) {
    case 'hello':
      return textFrame(HOLDER.hello, JSON.stringify(frame.hello))
    case 'exit':
      return textFrame(HOLDER.exit, JSON.stringify(frame.exit))
    case 'closing':
      return textFrame(HOLDER.closing, frame.reason)
    case 'output': {
      const head = frameOf(HOLDER.output, 9)
      head.writeUInt32LE(10 + frame.bytes.length, 0)
      head[5] = frame.stream
      head.writeBigUInt64LE(BigInt(frame.offset), 6)
      return head
    }
    case 'done': {
      const out = requestFrame(HOLDER.done, frame.request, 1)
      out[9] = RESULTS.indexOf(frame.result)
      return out
    }
    case 'resized': {
      const out = requestFrame(HOLDER.resized, frame.request, 8)
      out.writeBigUInt64LE(BigInt(frame.offset), 9)
      return out
    }
  }
}

/** A holder's frame from its type and payload; undefined for a type of a later version; throws where the payload is not what the type says. */
export function holderFrameFrom(body: Buffer): HolderFrame | undefined {
  switch (body[0]) {
    case HOLDER.output:
      return { type: 'output', stream: streamOf(body), offset: offsetAt(body, 2), bytes: body.subarray(10) }
    case HOLDER.hello:
      return { type: 'hello', hello: JSON.parse(body.toString('utf8', 1)) }
    case HOLDER.exit:
      return { type: 'exit', exit: JSON.parse(body.toString('utf8', 1)) }
    case HOLDER.done:
      return { type: 'done', request: body.readUInt32LE(1), result: RESULTS[body.readUInt8(5)] ?? 'invalid' }
    case HOLDER.resized:
      return { type: 'resized', request: body.readUInt32LE(1), offset: offsetAt(body, 5) }
    case HOLDER.closing:
      return { type: 'closing', reason: body.toString('utf8', 1) }
    default:
      return undefined
  }
}

function streamOf(body: Buffer): StreamId {
  const stream = body.readUInt8(1)
  if (stream !== 0 && stream !== 1) throw new RangeError('no such stream')
  return stream
}

function offsetAt(body: Buffer, at: number): number {
  const offset = Number(body.readBigUInt64LE(at))
  if (!Number.isSafeInteger(offset)) throw new RangeError('an offset is beyond 2^53')
  return offset
}
