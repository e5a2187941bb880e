// The peer as a process: socket-io.mjs PEERS_FOLDER. What a client emits as `write` goes to all; connection state recovery keeps it in memory.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { Server } = createRequire(join(process.argv[2], 'package.json'))('socket.io')
const server = createServer()
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false, httpCompression: false, connectionStateRecovery: {} })
io.on('connection', socket => {
  socket.on('write', event => io.emit('event', event))
})
server.listen(0, '127.0.0.1', 4096, () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}`, pid: process.pid })))
