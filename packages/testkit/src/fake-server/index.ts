import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type FakeFaults, noFaults, type SeenAttach } from './faults.ts'
import { createHttpSide, type HttpSide } from './http-side.ts'
import { createFakeLog, type FakeLog } from './log.ts'
import { createSocketSide, type SocketSide } from './socket-side.ts'

export { type FakeFaults, noFaults, type SeenAttach } from './faults.ts'
export { createManualClock, type ManualClock } from './manual-clock.ts'
export { until } from './until.ts'
export { type FakeLog, type FakeSession, stateOf } from './log.ts'

export interface FakeServerOptions {
  readonly token?: string
  readonly epoch?: string
  readonly heartbeatMs?: number
}

/** A server that speaks the contract from memory and can be told to misbehave. */
export interface FakeServer {
  readonly url: string
  readonly log: FakeLog
  readonly faults: FakeFaults
  /** The token that is asked for from now on. */
  token: string | undefined
  /** Every attach so far, oldest first. */
  readonly attaches: readonly SeenAttach[]
  readonly sockets: SocketSide
  readonly http: HttpSide
  /** A heartbeat on every socket, a comment on every stream. */
  heartbeat(): void
  /** Every connection ends without a word; new ones are taken. */
  cutAll(): void
  close(): Promise<void>
}

/** Listens on a free port of loopback. */
export async function startFakeServer(options: FakeServerOptions = {}): Promise<FakeServer> {
  const log = createFakeLog(options.epoch ?? 'Efake0001')
  const faults = noFaults()
  const seen: SeenAttach[] = []
  const state = { token: options.token }
  const ports = { log, faults, seen, heartbeatMs: options.heartbeatMs ?? 10_000, token: () => state.token }
  const sockets = createSocketSide(ports)
  const http = createHttpSide(ports)
  const connections = new Set<Socket>()
  const server = createServer((request, response) => http.handle(request, response))
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  server.on('connection', socket => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const cutAll = (): void => {
    for (const socket of [...connections]) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    faults,
    get token() {
      return state.token
    },
    set token(token) {
      state.token = token
    },
    attaches: seen,
    sockets,
    http,
    heartbeat: () => {
      sockets.heartbeat()
      http.comment()
    },
    cutAll,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        cutAll()
      }),
  }
}
