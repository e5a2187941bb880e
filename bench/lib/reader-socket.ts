import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { createFrameScanner, createTextScanner, type Marks, type Scan } from './event-scanner.ts'
import { maskedFrame } from './ws-client.ts'

/** How readers attach: the same for all of a group, on whatever server. */
export interface ReaderOptions {
  /** `http://…` with path and query, also of a WebSocket. */
  readonly url: string
  readonly kind: 'ws' | 'sse'
  readonly headers?: Readonly<Record<string, string>>
  /** A message that is sent once the WebSocket is open. */
  readonly greeting?: string
  /** Text that says that the reader is attached; without it the answer's head does. */
  readonly ready?: string
  readonly marks: Marks
  /** Nothing more is read once it is attached. */
  readonly stalls?: boolean
}

export interface ReaderHooks {
  onReady(): void
  onEvent(number: number, stamp: number): void
  /** The connection broke, or could not be made. */
  onClose(why: string): void
}

/** Room in front of what is read, for what was left of the read before: larger than any frame. */
const ROOM = 512 * 1024
/** One buffer for all sockets of this process: what was read is looked at before the next read. */
const shared = Buffer.allocUnsafe(ROOM + 64 * 1024)
/** An empty pong, masked with zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** A reader that costs next to nothing: a raw socket that counts events where they lie. */
export interface ReaderSocket {
  /** As a browser does by itself; it also finds out whether there is somebody still. */
  pong(): void
  close(): void
}

export function openReader({ url, kind, headers = {}, greeting, ready, marks, stalls = false }: ReaderOptions, hooks: ReaderHooks): ReaderSocket {
  const { hostname, port, pathname, search } = new URL(url)
  let state: 'head' | 'attaching' | 'attached' = 'head'
  let kept: Buffer | undefined
  let why = 'closed'
  const attached = (): void => {
    if (state === 'attached') return
    state = 'attached'
    hooks.onReady()
  }
  const scan: Scan = (kind === 'ws' ? createFrameScanner : createTextScanner)(marks, {
    onEvent: hooks.onEvent,
    onOther(opcode, payload) {
      if (opcode === 9) socket.write(PONG)
      else if (opcode === 8) why = `closed with ${payload.length < 2 ? 'no code' : payload.readUInt16BE(0)} ${payload.subarray(2).toString()}`
      // Engine.IO's own ping.
      else if (payload.length === 1 && payload[0] === 0x32) socket.write(maskedFrame('3'))
      else if (state === 'attaching' && ready !== undefined && payload.includes(ready)) attached()
    },
  })

  const passHead = (bytes: Buffer, from: number, end: number): number => {
    const head = bytes.subarray(from, end)
    const length = head.indexOf('\r\n\r\n')
    if (length < 0) return from
    const status = head.toString('latin1', 9, 12)
    if (status !== (kind === 'ws' ? '101' : '200')) {
      why = head.subarray(0, 300).toString()
      socket.destroy()
      return end
    }
    state = 'attaching'
    if (greeting !== undefined) socket.write(maskedFrame(greeting))
    if (ready === undefined) attached()
    return from + length + 4
  }

  const socket: Socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer: shared.subarray(ROOM),
      callback(length) {
        const start = ROOM - (kept?.length ?? 0)
        const end = ROOM + length
        kept?.copy(shared, start)
        kept = undefined
        let at = start
        if (state === 'head') at = passHead(shared, at, end)
        if (state !== 'head') {
          if (kind === 'sse' && state === 'attaching' && ready !== undefined && shared.subarray(at, end).includes(ready)) attached()
          at = scan(shared, at, end)
        }
        if (at < end) kept = Buffer.from(shared.subarray(at, end))
        return !(stalls && state === 'attached')
      },
    },
  })
  socket.on('error', error => {
    why = error.message
  })
  socket.on('close', () => hooks.onClose(why))
  const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64') }
  const sent = { Host: `${hostname}:${port}`, ...(kind === 'ws' ? upgrade : { Accept: 'text/event-stream' }), ...headers }
  const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`)
  return {
    pong: () => void (socket.destroyed || socket.write(PONG)),
    close() {
      socket.removeAllListeners('close')
      socket.destroy()
    },
  }
}
