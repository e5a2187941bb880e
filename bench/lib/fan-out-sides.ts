import { itemOf } from './events.ts'
import { connectHttp } from './http-client.ts'
import type { Server } from './processes.ts'
import type { GroupOptions } from './reader-group.ts'
import { nowUs } from './reader-group.ts'
import type { Group, Readers } from './readers.ts'
import { createWindowed } from './windowed.ts'
import { authorization, createRuns, JSON_BODY, openSocketWriter } from './writers.ts'
import { connectWs } from './ws-client.ts'

/** Readers of one log and its writer. */
export interface FanOut {
  /** Events delivered a second, over all readers: from the first append until the last reader has the last event, which takes about `ms`. */
  rate(ms: number): Promise<number>
  close(): Promise<void>
}

export interface Shape {
  readonly kind: 'ws' | 'sse'
  readonly readers: number
  readonly inFlight: number
}

interface Writer {
  write(count: number): Promise<unknown>
  close(): void
}

const BYTES = 200

/** Events that are written for one figure at least; and turns of all that may be in flight. */
const LEAST_EVENTS = 10
const LEAST_TURNS = 4

function fanOutOf(group: Group, writer: Writer, { readers, inFlight }: Omit<Shape, 'kind'>): FanOut {
  let written = 0
  let perMs = 0
  return {
    async rate(ms) {
      // The round before, at first the one that does not count, tells how many that is.
      const events = Math.max(LEAST_EVENTS, LEAST_TURNS * inFlight, Math.round(perMs * ms))
      written += events
      const reached = group.reached(written)
      const begun = nowUs()
      const [at] = await Promise.all([reached, writer.write(events)])
      perMs = (events * 1000) / (at - begun)
      return readers * perMs * 1000
    },
    async close() {
      writer.close()
      await group.close()
    },
  }
}

/** How readers attach to a session of ours, from its start. */
export const ownReaders = (server: Server, sessionId: string, kind: 'ws' | 'sse', stamp?: string): Omit<GroupOptions, 'count'> => ({
  kind,
  url: kind === 'ws' ? `${server.url}/ws?session_id=${sessionId}` : `${server.url}/sessions/${sessionId}/events`,
  headers: authorization(server),
  ready: '"protocol.caught_up"',
  marks: { number: ',"seq":', ...(stamp === undefined ? {} : { stamp }) },
})

let sessions = 0

/** Holdfast; appends come over a WebSocket. */
export async function openHoldfastFanOut(server: Server, processes: Readers, shape: Shape): Promise<FanOut> {
  const { kind, readers, inFlight } = shape
  const sessionId = `fan-out-${++sessions}`
  await createRuns(server, [sessionId])
  const group = await processes.open({ count: readers, ...ownReaders(server, sessionId, kind) })
  return fanOutOf(group, await openSocketWriter({ server, sessionOf: () => sessionId, bytes: BYTES, inFlight }), shape)
}

/** The bare twin: the same messages, one frame for all readers, an ack after the broadcast. */
export async function openBareFanOut(server: Server, processes: Readers, shape: Shape): Promise<FanOut> {
  const { kind, readers, inFlight } = shape
  const group = await processes.open({ count: readers, kind, url: `${server.url}/${kind === 'ws' ? 'read' : 'sse'}`, marks: { number: '"n":' } })
  const windowed = createWindowed(inFlight, numbers => client.send(...numbers.map(n => itemOf(BYTES, n))))
  const client = await connectWs({
    url: `${server.url}/write`,
    onFrame: () => windowed.acked(),
    onClose: () => windowed.fail(new Error('the connection was closed')),
  })
  return fanOutOf(group, { write: count => windowed.write(count), close: () => client.close() }, shape)
}

/** `@durable-streams/server`: SSE readers, and as many keep-alive connections as posts in flight. */
export async function openPeerFanOut(server: Server, processes: Readers, shape: Shape): Promise<FanOut> {
  const { readers, inFlight } = shape
  const path = `/bench/fan-out-${++sessions}`
  const clients = await Promise.all(Array.from({ length: inFlight }, () => connectHttp(server.url)))
  await clients[0]?.request('PUT', path, undefined, JSON_BODY)
  const group = await processes.open({
    count: readers,
    kind: 'sse',
    url: `${server.url}${path}?offset=now&live=sse`,
    ready: '"upToDate":true',
    marks: { number: '"n":' },
  })
  let sent = 0
  const write = async (count: number): Promise<void> => {
    const goal = sent + count
    const post = async (client: (typeof clients)[number]): Promise<void> => {
      while (sent < goal) {
        const { status, body } = await client.request('POST', path, itemOf(BYTES, ++sent), JSON_BODY)
        if (status !== 200 && status !== 204) throw new Error(`POST ${path}: ${status} ${body.toString()}`)
      }
    }
    await Promise.all(clients.map(post))
  }
  const close = (): void => {
    for (const client of clients) client.close()
  }
  return fanOutOf(group, { write, close }, shape)
}
