import { check, createHistory, type History, hashText, type Violation } from '@holdfast/testkit/oracle'
import { createSeededRandom, type SeededRandom } from '@holdfast/testkit/sim'
import { type CuttingProxy, createCuttingProxy } from './cutting-proxy.ts'
import { killInCommit } from './kill-point.ts'
import { freePort, type ServerProcess, startServer, tempDir, until } from './process.ts'
import { type Producer, startProducer } from './producers.ts'
import { type LoopReader, type StoredEvent, startReader, TRANSPORTS } from './readers.ts'

export interface StressOptions {
  readonly seed: number
  readonly sessions: number
  readonly kills: number
  /** Of the connections through the proxy, this share is cut at a random byte. */
  readonly cutShare: number
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The n-th item of a producer; the default is some words. */
  readonly item?: (random: SeededRandom, n: number) => Record<string, unknown>
  readonly maxBatch?: number
  /** Items per producer; without it they go on until the kills are done. */
  readonly total?: number
  readonly onProgress?: (done: number) => void
}

export interface StressResult {
  readonly violations: readonly Violation[]
  readonly inputs: number
  readonly events: number
  readonly kills: number
  /** Of the kills, those that hit while a thread was writing or syncing a file. */
  readonly killsInCommit: number
  readonly cuts: number
  readonly connects: number
  /** A kill changes no epoch, so there is one, and no reader is ever told to start over. */
  readonly epochs: number
  readonly resets: number
}

/** An item's key: the id that its producer gave it. */
export const keyOfRunEvent = (event: StoredEvent): string | undefined => (event.payload as { id?: string } | null)?.id

const words = (random: SeededRandom, n: number): Record<string, unknown> => ({
  event_type: 'message',
  role: n % 2 === 0 ? 'user' : 'assistant',
  content: [{ type: 'text', text: `n${n} é😀 "\\ ${'x'.repeat(Math.floor(2 ** (random.fraction() * 12)))}` }],
})

/**
 * The oracle of docs/testing.md run on real processes: producers over HTTP and WebSocket that retry, readers over every
 * transport, a proxy that cuts at random bytes, and a server that is killed with -9 over and over; judged at the end.
 */
export async function stress(options: StressOptions): Promise<StressResult> {
  const random = createSeededRandom(options.seed)
  const history = createHistory()
  const dataDir = tempDir()
  const port = await freePort()
  const start = (): Promise<ServerProcess> =>
    startServer({
      dataDir,
      port,
      args: options.args ?? [],
      env: { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '1000000', HOLDFAST_LOG_LEVEL: 'error', ...options.env },
    })
  let server = await start()
  const proxy = await createCuttingProxy({ targetPort: port, random: createSeededRandom(options.seed + 1), cutShare: options.cutShare, maxBytes: 300_000 })
  const sessions = Array.from({ length: options.sessions }, (_, index) => `s${index}`)
  for (const session of sessions) await createRun(server.url, session)
  const readers = sessions.flatMap(session =>
    TRANSPORTS.map(transport => startReader({ history, name: `${session}-${transport}`, session, transport, baseUrl: proxy.url, keyOf: keyOfRunEvent })),
  )
  const producers = sessions.flatMap((session, index) =>
    (['http', 'ws'] as const).map((over, side) => {
      const own = createSeededRandom(options.seed + 100 + index * 2 + side)
      const item = options.item ?? words
      return startProducer({
        history,
        random: own,
        name: `${session}-${over}`,
        session,
        over,
        baseUrl: proxy.url,
        item: n => item(own, n),
        maxBatch: options.maxBatch ?? 4,
        ...(options.total === undefined ? {} : { total: options.total }),
      })
    }),
  )
  let killsInCommit = 0
  for (let kill = 0; kill < options.kills; kill++) {
    await new Promise(resolve => setTimeout(resolve, 30 + random.int(400)))
    for (const reader of readers) if (random.chance(0.1)) reader.cut()
    if (kill % 4 !== 0 && (await killInCommit(server.pid, 1000))) killsInCommit++
    await server.kill()
    server = await start()
    options.onProgress?.(kill + 1)
  }
  let unfinished: Producer[] = producers
  for (const producer of producers)
    void producer.finish().then(() => {
      unfinished = unfinished.filter(other => other !== producer)
    })
  await until('the producers', () => unfinished.length === 0, 60_000).catch(() => {
    throw new Error(`producers hang: ${unfinished.map(producer => producer.waitsFor).join('; ')}; server: ${server.stderr().slice(-1000)}`)
  })
  const events = await settle(server, proxy, history, sessions, readers)
  await server.stop()
  await proxy.close()
  const hellos = history.readers.flatMap(reader => reader.hellos)
  return {
    violations: check(history),
    inputs: history.inputs.size,
    events,
    kills: options.kills,
    killsInCommit,
    cuts: proxy.cuts,
    connects: readers.reduce((sum, reader) => sum + reader.connects, 0),
    epochs: new Set(hellos.map(hello => hello.epoch)).size,
    resets: hellos.filter(hello => hello.resume === 'reset').length,
  }
}

/** Lets every reader reach the head undisturbed, then reads each log once more from its start. Returns how many events there are. */
async function settle(
  server: ServerProcess,
  proxy: CuttingProxy,
  history: History,
  sessions: readonly string[],
  readers: readonly LoopReader[],
): Promise<number> {
  proxy.calm()
  let events = 0
  for (const session of sessions) {
    const head = await readWhole(server.url, session, history)
    events += head
    for (const reader of readers.filter(candidate => candidate.name.startsWith(`${session}-`)))
      await until(`${reader.name} at ${head} (it is at ${reader.seq})`, () => reader.seq >= head, 60_000)
  }
  await Promise.all(readers.map(reader => reader.stop()))
  return events
}

export async function createRun(url: string, session: string): Promise<void> {
  const response = await fetch(new URL('/sessions', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ session_id: session, session_name: session }),
  })
  if (!response.ok) throw new Error(`creating ${session}: ${response.status} ${await response.text()}`)
}

/** Reads a log page by page from its start, as the one that the others are judged by. Returns its head. */
export async function readWhole(url: string, session: string, history: History): Promise<number> {
  const reader = history.reader(`${session}-final`, session)
  reader.attach(0)
  let after = 0
  for (;;) {
    const response = await fetch(new URL(`/sessions/${session}/events?after=${after}&limit=1000`, url))
    const page = (await response.json()) as {
      events: StoredEvent[]
      epoch: string
      head_seq: number
      floor_seq: number
      next_after: number
      has_more: boolean
      resume: 'new' | 'ok'
    }
    if (after === 0) {
      reader.hello({ epoch: page.epoch, resume: page.resume, head: page.head_seq, floor: page.floor_seq })
      history.final({ session, epoch: page.epoch, floor: page.floor_seq, head: page.head_seq })
    }
    for (const event of page.events) {
      const key = keyOfRunEvent(event)
      reader.apply(event.header.seq, hashText(JSON.stringify(event)), key === undefined ? undefined : { key, body: hashText(JSON.stringify(event.payload)) })
    }
    after = page.next_after
    if (!page.has_more) return page.head_seq
  }
}
