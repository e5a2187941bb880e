// The machine's limit for reading: answers a line `N` with N bytes in writes of 256 KB, nothing else: tcp-source.ts
import { type AddressInfo, createServer } from 'node:net'

const WRITE = Buffer.alloc(256 * 1024, 'x')

const server = createServer({ noDelay: true }, socket => {
  let left = 0
  const fill = (): void => {
    while (left > 0) {
      const piece = left >= WRITE.length ? WRITE : WRITE.subarray(0, left)
      left -= piece.length
      if (!socket.write(piece)) return
    }
  }
  socket.on('drain', fill)
  socket.on('error', () => undefined)
  socket.on('data', data => {
    left += Number(data.toString())
    fill()
  })
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid })))
