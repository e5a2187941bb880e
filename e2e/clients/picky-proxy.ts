import { createServer, type IncomingMessage, request as ask } from 'node:http'
import net from 'node:net'

/** A proxy that lets some transports through and others not, as those between users and servers do. */
export interface PickyProxy {
  readonly url: string
  /** False: an upgrade is answered 502. */
  upgrades: boolean
  /** False: an event stream is answered with a page of HTML. */
  streams: boolean
  /** False: nothing is let through, connections end at once. */
  open: boolean
  /** What was asked so far: `GET /ws`, …; the query is left out. */
  readonly asked: string[]
  /** Ends every connection. */
  cut(): void
  close(): Promise<void>
}

export async function createPickyProxy(targetPort: number): Promise<PickyProxy> {
  const sockets = new Set<net.Socket>()
  const keep = (socket: net.Socket): void => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const note = (request: IncomingMessage): void => void asked.push(`${request.method} ${request.url?.split('?')[0]}`)
  const asked: string[] = []
  const server = createServer((request, response) => {
    note(request)
    if (!state.open) return void request.socket.destroy()
    if (!state.streams && request.headers.accept?.includes('text/event-stream')) {
      // With the header that lets the page see it; else it would only look like a broken connection.
      response.writeHead(200, { 'content-type': 'text/html', 'access-control-allow-origin': request.headers.origin ?? '*' })
      return void response.end('<html>')
    }
    const { method, url: path, headers } = request
    const forward = ask({ host: '127.0.0.1', port: targetPort, method, path, headers, agent: false }, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
      answer.on('error', () => request.socket.destroy())
      answer.on('aborted', () => request.socket.destroy())
    })
    forward.on('error', () => request.socket.destroy())
    response.on('close', () => forward.destroy())
    request.pipe(forward)
  })
  server.on('connection', keep)
  server.on('upgrade', (request, near: net.Socket, head) => {
    note(request)
    if (!state.open) return near.destroy()
    if (!state.upgrades) return near.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    const far = net.connect(targetPort, '127.0.0.1')
    keep(far)
    const lines = request.rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${request.rawHeaders[index + 1]}`] : []))
    far.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    far.write(head)
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const socket of [...sockets]) socket.destroy()
  }
  const state = {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    upgrades: true,
    streams: true,
    open: true,
    asked,
    cut,
    close: () => {
      cut()
      return new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
  return state
}
