import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/**
 * The cheapest client that is still one: a raw TCP socket, masked text frames out, frames in handed over as they lie in the
 * read buffer. The same one reads from Holdfast, from its twins and from peers that speak WebSocket, so that no side pays for a library.
 */
export interface WsClient {
  readonly socket: Socket
  /** Text frames, all in one write. */
  send(...texts: readonly string[]): void
  close(): void
}

export interface WsClientOptions {
  readonly url: string
  readonly protocol?: string
  readonly token?: string
  /** A whole frame; `payload` is only valid during the call. Opcode 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly onFrame: (opcode: number, payload: Buffer) => void
  readonly onClose?: () => void
}

/** Resolves once the upgrade was answered with 101; rejects with the answer otherwise. */
export function connectWs({ url, protocol, token, onFrame, onClose }: WsClientOptions): Promise<WsClient> {
  const { hostname, port, pathname, search } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let kept: Buffer | undefined
    let isOpen = false
    const client: WsClient = {
      socket,
      send(...texts) {
        socket.write(texts.length === 1 ? maskedFrame(texts[0] as string) : Buffer.concat(texts.map(maskedFrame)))
      },
      close: () => socket.destroy(),
    }
    socket.on('error', error => (isOpen ? undefined : reject(error)))
    socket.on('close', () => {
      if (isOpen) onClose?.()
      else reject(new Error(`${url}: closed before the upgrade`))
    })
    socket.write(
      [
        `GET ${pathname}${search} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
        ...(token === undefined || token === '' ? [] : [`Authorization: Bearer ${token}`]),
        '',
        '',
      ].join('\r\n'),
    )
    const onData = (data: Buffer): void => {
      const bytes = kept === undefined ? data : Buffer.concat([kept, data])
      kept = undefined
      if (!isOpen) {
        const end = bytes.indexOf('\r\n\r\n')
        if (end < 0) {
          kept = bytes
          return
        }
        if (!bytes.subarray(0, 12).equals(SWITCHING)) {
          reject(new Error(`${url}: ${bytes.subarray(0, 300).toString()}`))
          socket.destroy()
          return
        }
        isOpen = true
        kept = bytes.subarray(end + 4)
        resolve(client)
        // What came along is handed over once the caller has the client.
        setImmediate(() => onData(Buffer.alloc(0)))
        return
      }
      const rest = eachFrame(bytes, (opcode, payload) => {
        if (opcode === 9) socket.write(PONG)
        onFrame(opcode, payload)
      })
      if (rest < bytes.length) kept = bytes.subarray(rest)
    }
    socket.on('data', onData)
  })
}

const SWITCHING = Buffer.from('HTTP/1.1 101')
/** An empty pong, masked with zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** Calls back for each whole frame; returns where the first one that is not whole begins. */
function eachFrame(bytes: Buffer, onFrame: (opcode: number, payload: Buffer) => void): number {
  let at = 0
  while (at + 2 <= bytes.length) {
    const opcode = (bytes[at] as number) & 0x0f
    let length = (bytes[at + 1] as number) & 0x7f
    let start = at + 2
    if (length === 126) {
      if (at + 4 > bytes.length) break
      length = bytes.readUInt16BE(at + 2)
      start = at + 4
    } else if (length === 127) {
      if (at + 10 > bytes.length) break
      length = bytes.readUInt32BE(at + 6)
      start = at + 10
    }
    if (start + length > bytes.length) break
    onFrame(opcode, bytes.subarray(start, start + length))
    at = start + length
  }
  return at
}

/** A masked text frame; the mask is zero, which RFC 6455 allows and which leaves the text as it is. */
export function maskedFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? 6 : length < 65_536 ? 8 : 14
  const frame = Buffer.alloc(header + length)
  frame[0] = 0x81
  if (length < 126) frame[1] = 0x80 | length
  else if (length < 65_536) {
    frame[1] = 0x80 | 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 0x80 | 127
    frame.writeUInt32BE(length, 6)
  }
  frame.write(text, header)
  return frame
}
