import net from 'node:net'
import { until } from './until.ts'

export interface RawClient {
  readonly socket: net.Socket
  /** All bytes that came, as latin1. */
  readonly received: string
  write(data: string | Uint8Array): void
  readonly isClosed: boolean
  /** Waits until what came fits. */
  next(what: string, fits: (received: string) => boolean): Promise<string>
  close(): void
}

/** A bare TCP connection, for what no client library would send. */
export function openRaw(port: number, data?: string | Uint8Array): RawClient {
  const socket = net.connect(port, '127.0.0.1')
  let received = ''
  let isClosed = false
  socket.on('data', chunk => {
    received += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    isClosed = true
  })
  if (data !== undefined) socket.write(data)
  return {
    socket,
    get received() {
      return received
    },
    get isClosed() {
      return isClosed
    },
    write: more => void socket.write(more),
    next: async (what, fits) => {
      await until(`${what}; there was ${JSON.stringify(received.slice(0, 300))}`, () => fits(received))
      return received
    },
    close: () => socket.destroy(),
  }
}

/** The JSON body of the last HTTP answer in what came. */
export const lastBody = (received: string): { error: { code: string } } => JSON.parse(received.slice(received.lastIndexOf('\r\n\r\n') + 4))
