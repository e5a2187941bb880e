import { appendFrame } from './events.ts'
import { ownReaders } from './fan-out-sides.ts'
import type { Server } from './processes.ts'
import { type Latencies, nowUs } from './reader-group.ts'
import type { Readers } from './readers.ts'
import { connectWs, type WsClient, type WsClientOptions } from './ws-client.ts'

/** Readers of one log whose writer keeps a pace, whatever becomes of its appends. */
export interface Paced {
  /** Writes for `ms`; from an append until a reader had the event, over all readers. Throws where one of them is missing. */
  run(ms: number): Promise<Latencies>
  close(): Promise<void>
}

const PER_SECOND = 20
const BYTES = 200

/** An event that says when it was sent, by the clock that all processes share. */
function stampedItem(n: number): string {
  const head = `{"event_type":"message","n":${n},"t":${nowUs()},"content":"`
  return `${head}${'x'.repeat(Math.max(0, BYTES - head.length - 2))}"}`
}

interface PacedOptions {
  readonly readers: number
  readonly group: Awaited<ReturnType<Readers['open']>>
  /** The number that the readers' first event has. */
  readonly first: number
  readonly write: (n: number) => void
  readonly line: Line
}

/** The writer's own connection. */
interface Line {
  /** Rejects when the connection is lost, or says no. */
  readonly broken: Promise<never>
  close(): void
}

function pacedOf({ readers, group, first, write, line }: PacedOptions): Paced {
  let written = 0
  return {
    async run(ms) {
      const events = Math.round((ms * PER_SECOND) / 1000)
      const reached = group.reached(first - 1 + written + events)
      const begun = performance.now()
      for (let i = 0; i < events; i++) {
        write(++written)
        // Due by the clock, so that no delay adds up.
        await new Promise(resolve => setTimeout(resolve, Math.max(0, begun + ((i + 1) * 1000) / PER_SECOND - performance.now())))
      }
      await Promise.race([reached, line.broken])
      const latencies = await group.latencies()
      if (latencies.count !== events * readers) throw new Error(`${latencies.count} of ${events * readers} deliveries were counted`)
      return latencies
    },
    async close() {
      line.close()
      await group.close()
    },
  }
}

/** The writer's connection; `onText` looks at what comes on it. */
async function openLine(options: Omit<WsClientOptions, 'onFrame' | 'onClose'>, onText: (text: string, client: WsClient, fail: (why: string) => void) => void) {
  let isClosed = false
  let fail: (why: string) => void = () => undefined
  const broken = new Promise<never>((_, reject) => {
    fail = why => reject(new Error(why))
  })
  // It is awaited only while something is under way.
  broken.catch(() => undefined)
  const client: WsClient = await connectWs({
    ...options,
    onFrame: (opcode, payload) => void (opcode === 1 && onText(payload.toString(), client, fail)),
    onClose: () => isClosed || fail("the writer's connection was closed"),
  })
  const close = (): void => {
    isClosed = true
    client.close()
  }
  return { client, line: { broken, close } satisfies Line }
}

/** Holdfast, readers and writer over WebSocket; the readers attach at `head`. */
export async function openHoldfastPaced(server: Server, processes: Readers, sessionId: string, readers: number, head = 0): Promise<Paced> {
  const own = ownReaders(server, sessionId, 'ws', '"t":')
  const group = await processes.open({ count: readers, first: head + 1, ...own, url: `${own.url}&mode=live` })
  const { client, line } = await openLine({ url: `${server.url}/ws`, token: server.token }, (text, _, fail) => text.includes('"protocol.error"') && fail(text))
  const write = (n: number): void => client.send(appendFrame(sessionId, `p-${head + n}`, stampedItem(n)))
  return pacedOf({ readers, group, first: head + 1, write, line })
}

/** `socket.io`: the same raw sockets, which speak its protocol (Engine.IO 4, a text message `42[name,…]` for an event). */
export async function openSocketIoPaced(server: Server, processes: Readers, readers: number): Promise<Paced> {
  const url = `${server.url}/socket.io/?EIO=4&transport=websocket`
  const group = await processes.open({ count: readers, kind: 'ws', url, greeting: '40', ready: '40{"sid"', marks: { number: '"n":', stamp: '"t":' } })
  let joined: () => void = () => undefined
  const isJoined = new Promise<void>(resolve => {
    joined = resolve
  })
  const { client, line } = await openLine({ url }, (text, own) => {
    if (text === '2') own.send('3')
    else if (text.startsWith('40{')) joined()
  })
  client.send('40')
  await Promise.race([isJoined, line.broken])
  return pacedOf({ readers, group, first: 1, write: n => client.send(`42["write",${stampedItem(n)}]`), line })
}
