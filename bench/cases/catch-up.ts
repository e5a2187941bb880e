import { join } from 'node:path'
import { createClient } from '@holdfast/client'
import type { Case, Context, Target } from '../lib/case.ts'
import { type ReadLog, readEvents, readPages, readPeerEvents, readPeerPages, readSocket, readTcp } from '../lib/catch-up-reads.ts'
import { median } from '../lib/figures.ts'
import { BENCH } from '../lib/paths.ts'
import { memoryOf, type Server, startHoldfast, startNode } from '../lib/processes.ts'
import { compressedCopy, filledPeer, fillHoldfast, type LogPlan, NOT_YET_COMPRESSED } from '../lib/read-logs.ts'
import { mebibytes, resetPeak, settledMemory } from '../lib/settled.ts'

const BYTES = 1000
const LEAST_BYTES = 900
const PEER = '@durable-streams/server'

interface Size {
  readonly name: string
  readonly events: number
  /** Reads that make one sample: a single one of a small log is over before a clock says much. */
  readonly reads: number
  readonly rounds: number
  readonly ofTcp: number
  readonly ofPeerPages: number
}

const SMALL: Size = { name: '10 MB', events: 10_000, reads: 4, rounds: 9, ofTcp: 0.3, ofPeerPages: 3 }
const LARGE: Size = { name: '100 MB', events: 100_000, reads: 1, rounds: 5, ofTcp: 0.4, ofPeerPages: 5 }

const COLD = 'the server restarted after the fill, files in the page cache'

const catchUp: Case = {
  about: '10 and 100 MB of 1 KB events from the start to caught_up; memory of the server meanwhile',
  async run(context) {
    const sizes = context.quick ? [SMALL] : [SMALL, LARGE]
    const plans: LogPlan[] = sizes.map(({ events }) => ({ id: `log-${events}`, events, bytes: BYTES }))
    context.say('filling the logs, each event an append of its own')
    const peerFilling = filledPeer(context, [
      ...plans.map(plan => ({ ...plan, id: `/${plan.id}` })),
      ...(context.quick ? [] : [{ id: '/batched', events: SMALL.events, bytes: BYTES, batch: 500 }]),
    ])
    const dataDir = await fillHoldfast(context, plans)
    const peer = await peerFilling
    const tcp = await startNode(context, [join(BENCH, 'servers/tcp-source.ts')])

    const server = await startHoldfast(context, { dataDir, env: NOT_YET_COMPRESSED })
    for (const size of sizes) await compareReads(context, size, { server, peer, tcp })
    await server.kill()

    const largest = sizes.at(-1) as Size
    if (!context.quick) await onIdleLogs(context, { dataDir, sizes, peer, tcp })
    await measureMemory(context, largest, dataDir)
  },
}
interface Sides {
  readonly server: Server
  readonly peer: Server
  readonly tcp: Server
}

const logOf = (server: Server, { events }: Size): ReadLog => ({ server, id: `log-${events}`, head: events, leastBytes: LEAST_BYTES })
const peerLogOf = (server: Server, { events }: Size): ReadLog => ({ server, id: `/log-${events}`, head: events, leastBytes: LEAST_BYTES })

/** MB/s that `act` makes of `bytes`, over `times` of it. */
async function megabytesPerSecond(bytes: number, times: number, act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  for (let i = 0; i < times; i++) await act()
  return (bytes * times) / 1000 / (performance.now() - begun)
}

async function compareReads(context: Context, size: Size, { server, peer, tcp }: Sides): Promise<void> {
  const { name, events, reads } = size
  const rounds = context.quick ? 3 : size.rounds
  const log = logOf(server, size)
  const peerLog = peerLogOf(peer, size)
  const rate = (act: () => Promise<unknown>) => (): Promise<number> => megabytesPerSecond(events * BYTES, reads, act)
  const atLeast = (against: 'peer' | 'limit', bound: number): Target[] => [{ against, op: '>=', bound }]

  const wireBytes = await readSocket(log, 'holdfast.v1+binary')
  await context.compare({
    metric: `WebSocket, binary, ${name}`,
    unit: 'MB/s',
    rounds,
    ours: () => megabytesPerSecond(wireBytes, reads, () => readSocket(log, 'holdfast.v1+binary')),
    limit: tcpSide(tcp, wireBytes, reads),
    targets: atLeast('limit', size.ofTcp),
    note: `bytes on the wire (${Math.round(wireBytes / events)} an event), connecting included; ${COLD}; segments not yet compressed, as in the first minute after the last append (held there by times.cold_after_ms)`,
  })
  if (!context.quick)
    await context.compare({
      metric: `WebSocket, JSON, ${name}`,
      unit: 'MB/s',
      rounds,
      ours: rate(() => readSocket(log, 'holdfast.v1+json')),
      note: `bytes of the events as posted; ${COLD}`,
    })
  await context.compare({
    metric: `SSE, ${name}`,
    unit: 'MB/s',
    rounds,
    ours: rate(() => readEvents(log)),
    peer: { name: PEER, measure: () => megabytesPerSecond(events * BYTES, 1, () => readPeerEvents(peerLog)) },
    targets: atLeast('peer', 5),
    note: `bytes of the events as posted, one append each; ${COLD}, the peer's too`,
  })
  await context.compare({
    metric: `poll, ${name}`,
    unit: 'MB/s',
    rounds,
    ours: rate(() => readPages(log)),
    peer: { name: PEER, measure: () => megabytesPerSecond(events * BYTES, 1, () => readPeerPages(peerLog)) },
    targets: atLeast('peer', size.ofPeerPages),
    note: `pages of 1000 events, one after the other on one connection; the peer answers its whole log at once; ${COLD}`,
  })
  if (size === SMALL && !context.quick) {
    const batched = { ...peerLog, id: '/batched' }
    await context.compare({
      metric: `poll, ${name}, the peer's log posted in batches`,
      unit: 'MB/s',
      rounds: 3,
      ours: rate(() => readPages(log)),
      peer: { name: PEER, measure: () => megabytesPerSecond(events * BYTES, reads, () => readPeerPages(batched)) },
      note: 'what is posted together is one message at the peer: 500 events each, its best case; ours one append each',
    })
  }
  await context.compare({
    metric: `client library, ${name}`,
    unit: 'MB/s',
    rounds: 3,
    ours: rate(() => readWithClient(log)),
    note: 'bytes of the events as posted; @holdfast/client over WebSocket with JSON frames, each event parsed',
  })
}

/** The same logs as they are when nobody has written to them for a minute. */
async function onIdleLogs(context: Context, { dataDir, sizes, peer, tcp }: Omit<Sides, 'server'> & { dataDir: string; sizes: readonly Size[] }): Promise<void> {
  context.say('compressing a copy of the logs')
  const plainBytes = sizes.reduce((sum, { events }) => sum + events * BYTES, 0)
  const server = await startHoldfast(context, { dataDir: await compressedCopy(context, dataDir, plainBytes) })
  const size = sizes.at(-1) as Size
  const { name, events, reads } = size
  const log = logOf(server, size)
  const peerLog = peerLogOf(peer, size)
  const wireBytes = await readSocket(log, 'holdfast.v1+binary')
  const note = `a log that has been idle for a minute or more: the server then keeps it compressed, here to less than 40 %; ${COLD}`
  await context.compare({
    metric: `WebSocket, binary, ${name}, idle log`,
    unit: 'MB/s',
    rounds: 3,
    ours: () => megabytesPerSecond(wireBytes, reads, () => readSocket(log, 'holdfast.v1+binary')),
    limit: tcpSide(tcp, wireBytes, reads),
    note,
  })
  await context.compare({
    metric: `poll, ${name}, idle log`,
    unit: 'MB/s',
    rounds: 3,
    ours: () => megabytesPerSecond(events * BYTES, reads, () => readPages(log)),
    peer: { name: PEER, measure: () => megabytesPerSecond(events * BYTES, 1, () => readPeerPages(peerLog)) },
    note,
  })
  await server.kill()
}

/** Several reads more than ours: it is over sooner. */
const tcpSide = (tcp: Server, bytes: number, reads: number): { name: string; measure: () => Promise<number> } => ({
  name: 'raw TCP',
  measure: () => megabytesPerSecond(bytes, reads * 4, () => readTcp(tcp, bytes)),
})

/** Applies every event, as an application does; throws where one is missing. */
async function readWithClient({ server, id, head }: ReadLog): Promise<void> {
  const client = createClient({ url: server.url, token: server.token, store: null })
  let last = 0
  try {
    await new Promise<void>((resolve, reject) => {
      client.attach(id, {
        cursor: 0,
        onEvent(event) {
          if (event.header.seq !== last + 1) reject(new Error(`the client library gave ${event.header.seq} after ${last}`))
          last = event.header.seq
        },
        onCaughtUp: seq => (last === head && seq === head ? resolve() : reject(new Error(`caught up at ${seq} with ${last} of ${head} events`))),
      })
    })
  } finally {
    client.close()
  }
}

const READS = {
  'WebSocket, binary': (log: ReadLog) => readSocket(log, 'holdfast.v1+binary'),
  SSE: readEvents,
  poll: readPages,
} as const

/** A new server for each, which has served nothing before. */
async function measureMemory(context: Context, size: Size, dataDir: string): Promise<void> {
  for (const [name, read] of Object.entries(READS)) {
    const above: number[] = []
    const idle: number[] = []
    for (let round = 0; round < (context.quick ? 1 : 3); round++) {
      context.say(`memory, ${name}: round ${round + 1}`)
      const server = await startHoldfast(context, { dataDir, env: NOT_YET_COMPRESSED })
      const before = (await settledMemory(server.pid)).resident
      resetPeak(server.pid)
      await read(logOf(server, size))
      above.push(memoryOf(server.pid).peak - before)
      idle.push(before)
      await server.kill()
    }
    context.record({
      metric: `memory above idle, ${name}, ${size.name}`,
      unit: 'MiB',
      ours: median(above) / 2 ** 20,
      targets: [{ against: 'value', op: '<=', bound: 16 }],
      note: `the kernel's peak of resident memory during one read by a server that has served nothing before, less ${mebibytes(median(idle))} of the same at rest; of ${above.length}: ${above.map(mebibytes).join(', ')}`,
    })
  }
}

export default catchUp
