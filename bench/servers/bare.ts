// Bare `ws` on bare node:http, as an experienced author would write it without a log: bare.ts
// /echo sends every message back. /write takes messages and acks each with {"n":…}; what came in one turn of the event loop goes to all of
// /read (WebSocket) and /sse in one write each, of bytes that are built once.
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

const readers = new Set<Socket>()
const streams = new Set<Socket>()

const server = createServer((request, response) => {
  if (request.url !== '/sse' || !response.socket) return response.writeHead(404).end()
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.flushHeaders()
  join(streams, response.socket)
})
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket, request) => {
  request.socket.setNoDelay(true)
  if (request.url === '/echo') socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  if (request.url === '/read') join(readers, request.socket)
  if (request.url !== '/write') return
  let count = 0
  socket.on('message', data => {
    if (turn.length === 0) setImmediate(broadcast)
    turn.push({ data: data as Buffer, n: ++count, socket, raw: request.socket })
  })
})

function join(set: Set<Socket>, socket: Socket): void {
  set.add(socket)
  socket.on('close', () => set.delete(socket))
}

interface Message {
  readonly data: Buffer
  readonly n: number
  readonly socket: WebSocket
  readonly raw: Socket
}

let turn: Message[] = []
let sent = 0

function broadcast(): void {
  const messages = turn
  turn = []
  if (readers.size > 0) {
    const frames = Buffer.concat(messages.flatMap(({ data }) => [frameHeader(data.length), data]))
    for (const raw of readers) raw.write(frames)
  }
  if (streams.size > 0) {
    const records = messages.map(({ data }) => `id: ${++sent}\ndata: ${data.toString()}\n\n`).join('')
    const chunk = Buffer.from(`${Buffer.byteLength(records).toString(16)}\r\n${records}\r\n`)
    for (const raw of streams) raw.write(chunk)
  }
  for (const { raw } of messages) raw.cork()
  for (const { socket, n } of messages) socket.send(`{"n":${n}}`)
  for (const { raw } of messages) raw.uncork()
}

/** Of an unmasked text frame below 64 KiB. */
const frameHeader = (length: number): Buffer => (length < 126 ? Buffer.from([0x81, length]) : Buffer.from([0x81, 126, length >> 8, length & 0xff]))

server.listen(0, '127.0.0.1', 4096, () => console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid })))
