import { connect, type Socket } from 'node:net'

/** Read into one buffer over and over: no side pays for allocation in the client. */
const READ_BYTES = 256 * 1024

interface ByteReader {
  readonly socket: Socket
  close(): void
}

/** `onBytes` gets what was read; it is only valid during the call. `onEnd` is told of an error or the connection's end, unless it was closed here. */
function openBytes(url: string, onBytes: (bytes: Buffer) => void, onEnd: (error: Error) => void): Promise<ByteReader> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let isClosed = false
    const ended = (error?: Error): void => {
      if (isClosed) return
      isClosed = true
      const cause = error ?? new Error(`${url}: the connection was closed`)
      reject(cause)
      onEnd(cause)
    }
    const close = (): void => {
      isClosed = true
      socket.destroy()
    }
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback(length, bytes) {
          if (isClosed) return false
          try {
            onBytes((bytes as Buffer).subarray(0, length))
          } catch (error) {
            ended(error as Error)
            socket.destroy()
          }
          return true
        },
      },
    })
    socket.once('connect', () => resolve({ socket, close }))
    socket.once('error', ended)
    socket.once('close', () => ended())
  })
}

/** Writes `request` and reads until `feed` says that it is done. Resolves with the bytes that came; rejects where `feed` throws or the connection ends before. */
export async function readUntil(url: string, request: string | Buffer, feed: (bytes: Buffer) => boolean): Promise<number> {
  let count = 0
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  const done = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  done.catch(() => undefined)
  const reader = await openBytes(
    url,
    bytes => {
      count += bytes.length
      if (feed(bytes)) settle?.resolve()
    },
    error => settle?.reject(error),
  )
  reader.socket.write(request)
  try {
    await done
  } finally {
    reader.close()
  }
  return count
}

/** One keep-alive connection whose answers' bodies are handed on as they come, without framing. */
export interface BodyReader {
  /** Resolves with the status when the body is whole, or once `feed` returned true (the connection is then of no more use). */
  get(path: string, feed: (bytes: Buffer) => boolean, headers?: Readonly<Record<string, string>>): Promise<number>
  close(): void
}

export async function openBodies(url: string, always: Readonly<Record<string, string>> = {}): Promise<BodyReader> {
  let pending: { feed: (bytes: Buffer) => boolean; resolve: (status: number) => void; reject: (error: Error) => void } | undefined
  let text = ''
  let status = 0
  let state: 'head' | 'size' | 'data' | 'gap' | 'idle' = 'idle'
  let isChunked = false
  let left = 0

  const finish = (): void => {
    const done = pending
    pending = undefined
    state = 'idle'
    done?.resolve(status)
  }
  const onBytes = (bytes: Buffer): void => {
    let at = 0
    while (at < bytes.length && pending) {
      if (state === 'data') {
        const end = Math.min(bytes.length, at + left)
        const isDone = pending.feed(bytes.subarray(at, end))
        left -= end - at
        at = end
        if (isDone || (left === 0 && !isChunked)) return finish()
        if (left === 0) state = 'gap'
      } else if (state === 'gap') {
        // The line end behind a chunk.
        if (bytes[at++] === 10) state = 'size'
      } else {
        // Lines; the head as a whole, else a chunk's size.
        const end = bytes.indexOf(10, at)
        text += bytes.toString('latin1', at, end < 0 ? bytes.length : end + 1)
        at = end < 0 ? bytes.length : end + 1
        if (end < 0) return
        if (state === 'size') {
          left = Number.parseInt(text, 16)
          text = ''
          if (Number.isNaN(left)) throw new Error('a chunk without a size')
          if (left === 0) return finish()
          state = 'data'
        } else if (text === '\r\n') {
          // What ended the last answer's chunks.
          text = ''
        } else if (text.endsWith('\r\n\r\n')) {
          status = Number(text.slice(9, 12))
          isChunked = /transfer-encoding: chunked/i.test(text)
          left = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
          text = ''
          if (!isChunked && left === 0) return finish()
          state = isChunked ? 'size' : 'data'
        }
      }
    }
  }
  const reader = await openBytes(url, onBytes, error => {
    pending?.reject(error)
    pending = undefined
  })
  const { host } = new URL(url)
  return {
    get(path, feed, headers = {}) {
      if (pending) throw new Error('one request at a time')
      const lines = Object.entries({ host, ...always, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
      return new Promise((resolve, reject) => {
        pending = { feed, resolve, reject }
        state = 'head'
        reader.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
      })
    },
    close: reader.close,
  }
}
