import { appendFrame, itemOf } from './events.ts'
import { connectHttp } from './http-client.ts'
import type { Journal } from './journal.ts'
import type { Server } from './processes.ts'
import { connectWs, type WsClient } from './ws-client.ts'

/** Creates runs named by these ids; `parallel` posts at a time. */
export async function createRuns(server: Server, ids: readonly string[], parallel = 16): Promise<void> {
  const waiting = [...ids]
  const worker = async (): Promise<void> => {
    const client = await connectHttp(server.url, authorization(server))
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const { status, body } = await client.request('POST', '/sessions', JSON.stringify({ session_id: id, session_name: id }), JSON_BODY)
      if (status !== 201) throw new Error(`POST /sessions: ${status} ${body.toString()}`)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: Math.min(parallel, ids.length) }, worker))
}

export const JSON_BODY = { 'content-type': 'application/json' }
export const authorization = (server: Server): Record<string, string> => (server.token === '' ? {} : { authorization: `Bearer ${server.token}` })

export interface SocketWriterOptions {
  readonly server: Server
  /** Where the n-th event goes. */
  readonly sessionOf: (n: number) => string
  readonly bytes: number
  readonly inFlight: number
  /** The n-th event as JSON; `itemOf` by default. */
  readonly item?: (bytes: number, n: number) => string
  /** Told of every append and of every ack, for those who check afterwards. */
  readonly journal?: Pick<Journal, 'sent' | 'answered'>
}

/** A WebSocket that keeps `inFlight` appends on their way, one event each, every one with an id of its own. */
export interface SocketWriter {
  /** Resolves when `count` more were acked; rejects on an error or a lost connection. */
  write(count: number): Promise<void>
  readonly acked: number
  close(): void
}

let writers = 0

export async function openSocketWriter({ server, sessionOf, bytes, inFlight, item = itemOf, journal }: SocketWriterOptions): Promise<SocketWriter> {
  const name = `w${++writers}`
  let sent = 0
  let acked = 0
  let goal = 0
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  let client: WsClient | undefined
  // What this turn acked is answered by as many new appends in one write.
  let free = inFlight
  const fill = (): void => {
    const frames: string[] = []
    while (free > 0 && sent < goal) {
      free--
      const n = ++sent
      journal?.sent(n, 1)
      frames.push(appendFrame(sessionOf(n), `${name}-${n}`, item(bytes, n)))
    }
    if (frames.length > 0) client?.send(...frames)
  }
  let isFilling = false
  client = await connectWs({
    url: `${server.url.replace('http', 'ws')}/ws`,
    token: server.token,
    onFrame(opcode, payload) {
      if (opcode !== 1) return
      // The type stands first in every message.
      if (!payload.subarray(0, ACK.length).equals(ACK)) {
        if (payload.includes('protocol.error')) settle?.reject(new Error(payload.toString()))
        return
      }
      journal?.answered(payload)
      acked++
      free++
      if (acked >= goal) return settle?.resolve()
      if (isFilling) return
      isFilling = true
      queueMicrotask(() => {
        isFilling = false
        fill()
      })
    },
    onClose: () => settle?.reject(new Error('the connection was closed')),
  })
  return {
    write(count) {
      goal += count
      return new Promise((resolve, reject) => {
        settle = { resolve, reject }
        fill()
      })
    },
    get acked() {
      return acked
    },
    close() {
      settle = undefined
      client?.close()
    },
  }
}

const ACK = Buffer.from('{"type":"protocol.ack"')

/** Events a second that `act` makes of `count`. */
export async function rateOf(count: number, act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await act()
  return (count * 1000) / (performance.now() - begun)
}
