// Bare `ws` on bare node:http, as a product would write it without a log: bare.ts
// /echo sends every message back; /write broadcasts what it gets to all of /read, one prebuilt frame for all, and acks with {"n":…}.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket, request) => {
  ;(request.socket as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  if (request.url === '/echo') socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid })))
