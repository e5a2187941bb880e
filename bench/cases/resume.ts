import type { Case, Context } from '../lib/case.ts'
import { median } from '../lib/figures.ts'
import { fillSession, fillStream } from '../lib/fill.ts'
import { connectHttp } from '../lib/http-client.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { type Server, startHoldfast } from '../lib/processes.ts'
import { openResumer } from '../lib/resumer.ts'
import { createRuns } from '../lib/writers.ts'

const MB = 1e6
const WARM_UP = 20
/** No tail in memory: what is measured is a log that nobody has touched for long. */
const NO_TAIL = { HOLDFAST_TAIL_SESSION_BYTES: '0' }

const resume: Case = {
  about: 'resuming one event behind a log of 1 MB, 100 MB and 1 GB that the server holds nothing of in memory',
  async run(context) {
    const [small, middle, large] = (context.quick ? [1, 10, 50] : [1, 100, 1000]).map(size => ({
      session: `log-${size}`,
      name: nameOf(size),
      bytes: size * MB,
    }))
    if (!small || !middle || !large) throw new Error('three sizes')
    const filling = await startHoldfast(context)
    const logs = [small, middle, large]
    await createRuns(
      filling,
      logs.map(log => log.session),
    )
    const heads = new Map<string, number>()
    for (const { session, name, bytes } of logs) {
      context.say(`filling ${name}`)
      heads.set(session, await fillSession(filling, session, bytes))
    }
    const server = await restart(context, filling)
    const resumer = await openResumer(server)
    context.defer(() => resumer.close())
    const times = context.quick ? 100 : 300
    const ours = (session: string) => p50(times, () => resumer.resume(session, heads.get(session) as number))

    context.say(`filling the peer with ${middle.name}`)
    const theirs = await openPeer(context, middle.bytes)
    await context.compare({
      metric: `p50 behind ${middle.name}`,
      unit: 'ms',
      ours: () => ours(middle.session),
      peer: { name: '@durable-streams/server', measure: () => p50(context.quick ? 10 : 30, theirs) },
      // The bound is one for 100 MB.
      ...(context.quick ? {} : { targets: [{ against: 'peer', op: '<=', bound: 1 / 50 }] }),
      note: 'from protocol.resume on an open socket to the event, and from GET with an offset on an open keep-alive connection to the answer; events of 1 KB, filled with 1000 a post, which the peer keeps as one frame each, and 1 that follows; the files are in the page cache',
    })
    await compareSizes(context, ours, small, large)
  },
}

interface Log {
  readonly session: string
  readonly name: string
}

async function compareSizes(context: Context, ours: (session: string) => Promise<number>, small: Log, large: Log): Promise<void> {
  const found = { small: [] as number[], large: [] as number[] }
  for (let round = 0; round < context.rounds; round++) {
    context.say(`${small.name} beside ${large.name}: round ${round + 1} of ${context.rounds}`)
    for (const side of round % 2 === 0 ? (['small', 'large'] as const) : (['large', 'small'] as const))
      found[side].push(await ours(side === 'small' ? small.session : large.session))
  }
  const base = median(found.small)
  context.record({ metric: `p50 behind ${small.name}`, unit: 'ms', ours: base })
  context.record({
    metric: `p50 behind ${large.name}`,
    unit: 'ms',
    ours: median(found.large),
    limit: { name: `the same behind ${small.name}`, value: base },
    targets: [{ against: 'value', op: '<=', bound: 1.5 * base + 0.3 }],
    note: `the bound is 1.5 x that behind ${small.name} + 0.3 ms`,
  })
}

/** The server anew on the same data folder, so that it holds nothing of any log. */
async function restart(context: Context, before: Server): Promise<Server> {
  await before.kill()
  return startHoldfast(context, { ...(before.dataDir !== null && { dataDir: before.dataDir }), env: NO_TAIL })
}

async function openPeer(context: Context, bytes: number): Promise<() => Promise<number>> {
  const peer = await startDurableStreams(context)
  const path = '/bench/resume'
  const { offset, last } = await fillStream(peer.url, path, bytes)
  return async () => {
    // It closes connections that were idle for 5 s.
    const client = await connectHttp(peer.url)
    await client.request('GET', `${path}?offset=now`)
    const begun = performance.now()
    const { status, body } = await client.request('GET', `${path}?offset=${offset}`)
    const took = performance.now() - begun
    client.close()
    const events = JSON.parse(body.toString()) as { n: number }[]
    if (status !== 200 || events.length !== 1 || events[0]?.n !== last) throw new Error(`GET ${path}?offset=${offset}: ${status} with ${events.length} events`)
    return took
  }
}

async function p50(times: number, once: () => Promise<number>): Promise<number> {
  const taken: number[] = []
  for (let i = -Math.min(WARM_UP, times >> 1); i < times; i++) {
    const ms = await once()
    if (i >= 0) taken.push(ms)
  }
  return median(taken)
}

const nameOf = (megabytes: number): string => (megabytes < 1000 ? `${megabytes} MB` : `${megabytes / 1000} GB`)

export default resume
