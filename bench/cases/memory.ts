import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Case, Context } from '../lib/case.ts'
import { median } from '../lib/figures.ts'
import { type IdleOptions, openIdle } from '../lib/idle-connections.ts'
import { createIdleSessions, createIdleStreams } from '../lib/idle-sessions.ts'
import { BENCH } from '../lib/paths.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { type Server, startHoldfast, startNode } from '../lib/processes.ts'
import { type Memory, mebibytes, settledMemory } from '../lib/settled.ts'
import { authorization, createRuns } from '../lib/writers.ts'

/** Connections are spread over as many sessions. */
const SESSIONS = 500
/** Opened and closed before the first measure, so that the code is loaded and compiled. */
const WARM_UP = 50

const memory: Case = {
  about: 'memory of 100,000 idle sessions and of 5000 idle connections; a restart with 100,000 sessions',
  async run(context) {
    await measureSessions(context)
    await measureConnections(context, 'ws')
    await measureConnections(context, 'sse')
  },
}

async function measureSessions(context: Context): Promise<void> {
  const count = context.quick ? 10_000 : 100_000
  const server = await startHoldfast(context)
  const empty = await settledMemory(server.pid)
  await createIdleSessions(server, count, done => done % (count / 10) === 0 && context.say(`${done} of ${count} sessions`))
  context.say('sessions: waiting until memory rests')
  const full = await settledMemory(server.pid)
  await server.kill()

  const readyMs: number[] = []
  const restarted: Memory[] = []
  for (let round = 0; round < (context.quick ? 3 : 5); round++) {
    context.say(`restart ${round + 1} after kill -9`)
    const again = await startHoldfast(context, { dataDir: server.dataDir as string })
    readyMs.push(again.readyMs)
    if (round === 0) restarted.push(await settledMemory(again.pid))
    await again.kill()
  }
  const again = restarted[0] as Memory

  const peerCount = context.quick ? 500 : 5000
  context.say(`${peerCount} streams at the peer`)
  const peer = await peerWithStreams(context, peerCount)

  const perSession = (above: number, below: number): number => (above - below) / count
  context.record({
    metric: 'idle session',
    unit: 'B',
    ours: perSession(full.resident, empty.resident),
    peer: { name: `@durable-streams/server, ${peerCount} streams`, value: peer.bytesEach },
    targets: [{ against: 'value', op: '<=', bound: 500 }],
    note: `${count} runs with one event each, over HTTP; resident memory ${mebibytes(full.resident)} less ${mebibytes(empty.resident)} of the empty server, what the requests left behind included; anonymous ${mebibytes(full.anonymous)} less ${mebibytes(empty.anonymous)}`,
  })
  context.record({
    metric: 'idle session after a restart',
    unit: 'B',
    ours: perSession(again.resident, empty.resident),
    note: `the same ${count} after kill -9 and a start: ${mebibytes(again.resident)} less ${mebibytes(empty.resident)} of the empty server`,
  })
  context.record({
    metric: 'restart after kill -9',
    unit: 'ms',
    ours: median(readyMs),
    targets: [{ against: 'value', op: '<=', bound: 700 }],
    note: `with ${count} sessions, from the spawn of node until it accepts connections; of ${readyMs.length}: ${readyMs.map(ms => ms.toFixed(0)).join(', ')}; an empty folder ${server.readyMs.toFixed(0)}; the peer with ${peerCount} streams ${peer.readyMs.toFixed(0)}`,
  })
}

/** On a memory disk where there is one: what its disk costs is not measured here. */
async function peerWithStreams(context: Context, count: number): Promise<{ bytesEach: number; readyMs: number }> {
  const dataDir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : context.folder, 'holdfast-bench-'))
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true })
  process.once('exit', remove)
  const peer = await startDurableStreams(context, { dataDir })
  const empty = await settledMemory(peer.pid)
  await createIdleStreams(peer, count)
  const full = await settledMemory(peer.pid)
  await peer.kill()
  const again = await startDurableStreams(context, { dataDir })
  await again.kill()
  remove()
  return { bytesEach: (full.resident - empty.resident) / count, readyMs: again.readyMs }
}

interface Bytes {
  readonly resident: number
  readonly anonymous: number
}

async function measureConnections(context: Context, kind: 'ws' | 'sse'): Promise<void> {
  const name = kind === 'ws' ? 'WebSocket' : 'SSE stream'
  const count = context.quick ? 1000 : 5000
  const ours: Bytes[] = []
  const bare: Bytes[] = []
  for (let round = 0; round < (context.quick ? 1 : 3); round++) {
    const sides = [
      async () => {
        context.say(`${name}: round ${round + 1}, Holdfast`)
        ours.push(await bytesEach(await startWithSessions(context), count, holdfastOptions(kind)))
      },
      async () => {
        context.say(`${name}: round ${round + 1}, bare`)
        bare.push(await bytesEach(await startNode(context, [join(BENCH, 'servers/bare.ts')]), count, bareOptions(kind)))
      },
    ]
    for (const side of round % 2 === 0 ? sides : sides.reverse()) await side()
  }
  const all = (of: readonly Bytes[], which: keyof Bytes): string => of.map(each => (each[which] / 1024).toFixed(1)).join(', ')
  context.record({
    metric: `idle ${name}`,
    unit: 'KiB',
    ours: median(ours.map(each => each.resident)) / 1024,
    limit: { name: kind === 'ws' ? 'bare ws' : 'bare node:http', value: median(bare.map(each => each.resident)) / 1024 },
    targets: [{ against: 'value', op: '<=', bound: kind === 'ws' ? 14 : 22 }],
    note: `${count} connections attached to ${SESSIONS} sessions and caught up, resident memory above that of the same server before; each round a new server: ${all(ours, 'resident')}, anonymous ${all(ours, 'anonymous')}; the bare server: ${all(bare, 'resident')}`,
  })
}

async function startWithSessions(context: Context): Promise<Server> {
  const server = await startHoldfast(context)
  await createRuns(
    server,
    Array.from({ length: SESSIONS }, (_, n) => `s${n}`),
  )
  return server
}

type Attach = (server: Server) => Omit<IdleOptions, 'count'>

const holdfastOptions =
  (kind: 'ws' | 'sse'): Attach =>
  server => ({
    kind,
    urlOf: n => (kind === 'ws' ? `${server.url}/ws?session_id=s${n % SESSIONS}&cursor=0` : `${server.url}/sessions/s${n % SESSIONS}/events`),
    headers: authorization(server),
    ready: 'protocol.caught_up',
  })

const bareOptions =
  (kind: 'ws' | 'sse'): Attach =>
  server => ({ kind, urlOf: () => `${server.url}${kind === 'ws' ? '/read' : '/sse'}` })

/** What each of `count` connections adds to the server's memory; ends the server. */
async function bytesEach(server: Server, count: number, attach: Attach): Promise<Bytes> {
  const options = attach(server)
  const first = await openIdle({ ...options, count: WARM_UP })
  first.close()
  const before = await settledMemory(server.pid)
  const connections = await openIdle({ ...options, count })
  const after = await settledMemory(server.pid)
  connections.close()
  await server.kill()
  return { resident: (after.resident - before.resident) / count, anonymous: (after.anonymous - before.anonymous) / count }
}

export default memory
