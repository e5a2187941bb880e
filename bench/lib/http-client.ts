import { connect, type Socket } from 'node:net'

/** One keep-alive connection with one request at a time, on a raw socket: what a client costs is then nobody's figure. */
export interface HttpClient {
  /** Rejects where the connection breaks. `body` is the answer's, whole. */
  request(method: string, path: string, body?: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>
  close(): void
}

export interface HttpAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: string
  readonly body: Buffer
}

const BLANK = Buffer.from('\r\n\r\n')

/** `always` are headers of every request. */
export async function connectHttp(url: string, always: Readonly<Record<string, string>> = {}): Promise<HttpClient> {
  const { hostname, port } = new URL(url)
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect({ host: hostname, port: Number(port), noDelay: true }, () => resolve(opening))
    opening.once('error', reject)
  })
  const fixed = Object.entries({ host: `${hostname}:${port}`, ...always })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  let waiting: { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void } | undefined
  let pieces: Buffer[] = []
  let held = 0
  let wanted = 0
  let head: { status: number; headers: string; chunked: boolean; start: number } | undefined

  const settle = (bytes: Buffer): void => {
    const answer = head as NonNullable<typeof head>
    const { resolve } = waiting as NonNullable<typeof waiting>
    const body = answer.chunked ? dechunked(bytes.subarray(answer.start)) : bytes.subarray(answer.start)
    waiting = undefined
    head = undefined
    pieces = []
    held = 0
    wanted = 0
    resolve({ status: answer.status, headers: answer.headers, body })
  }
  socket.on('data', data => {
    pieces.push(data)
    held += data.length
    if (wanted > 0 && held < wanted) return
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
    if (pieces.length > 1) pieces = [bytes]
    if (!head) {
      const end = bytes.indexOf(BLANK)
      if (end < 0) return
      const headers = bytes.toString('latin1', 0, end).toLowerCase()
      const length = /content-length: (\d+)/.exec(headers)
      head = { status: Number(headers.slice(9, 12)), headers, chunked: length === null && headers.includes('transfer-encoding: chunked'), start: end + 4 }
      wanted = head.chunked ? 0 : end + 4 + Number(length?.[1] ?? 0)
    }
    if (head.chunked ? bytes.subarray(-5).equals(LAST_CHUNK) : held >= wanted) settle(bytes)
  })
  const broken = (error?: Error): void => {
    waiting?.reject(error ?? new Error('the connection was closed'))
    waiting = undefined
  }
  socket.on('error', broken)
  socket.on('close', () => broken())
  return {
    request(method, path, body, headers) {
      if (waiting) throw new Error('one request at a time')
      if (socket.destroyed) return Promise.reject(new Error('the connection was closed'))
      const more =
        headers === undefined
          ? ''
          : Object.entries(headers)
              .map(([name, value]) => `${name}: ${value}\r\n`)
              .join('')
      const length = body === undefined ? (method === 'GET' ? '' : 'content-length: 0\r\n') : `content-length: ${Buffer.byteLength(body)}\r\n`
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        const start = `${method} ${path} HTTP/1.1\r\n${fixed}${more}${length}\r\n`
        if (typeof body === 'string') socket.write(start + body)
        else {
          socket.cork()
          socket.write(start)
          if (body !== undefined) socket.write(body)
          socket.uncork()
        }
      })
    },
    close: () => socket.destroy(),
  }
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n')

function dechunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (!(size > 0)) break
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
  return Buffer.concat(parts)
}
