import { setTimeout as pause } from 'node:timers/promises'
import type { Case, Context } from '../lib/case.ts'
import { connectHttp } from '../lib/http-client.ts'
import { median } from '../lib/figures.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { memoryOf, type Server, type ServerOptions, startHoldfast } from '../lib/processes.ts'
import { mebibytes } from '../lib/settled.ts'
import { type StormReaders, startStormReaders } from '../lib/storm-readers.ts'
import type { StormSide } from '../lib/storm-reader.ts'
import { startStormWriter } from '../lib/storm-writer.ts'
import { authorization, createRuns, JSON_BODY } from '../lib/writers.ts'

const LOGS = 4
/** There before anybody attaches. */
const HISTORY = 100
const BYTES = 200
/** Each log gets an event so often: with 250 readers each, 2000 deliveries a second. */
const EVERY_MS = 500
/** Written and read before the kill. */
const BEFORE_MS = 2000
/** A side that has not caught up by then counts with this. */
const DEADLINE_MS = 30_000

interface Outcome {
  readonly wholeMs: number
  readonly whole: number
  readonly readyMs: number
  readonly peakBytes: number
  /** All readers had the last event in the end. */
  readonly isComplete: boolean
}

const storm: Case = {
  about: 'kill -9 with 1000 readers attached and a writer at work; how soon all are whole again after the restart',
  async run(context) {
    const readers = context.quick ? 200 : 1000
    const ours: Outcome[] = []
    const peer: Outcome[] = []
    for (let round = 0; round < (context.quick ? 1 : 3); round++) {
      const sides = [
        async () => void ours.push(await stormOf(context, `round ${round + 1}, Holdfast`, 'holdfast', readers)),
        async () => void peer.push(await stormOf(context, `round ${round + 1}, @durable-streams/server`, 'durable-streams', readers)),
      ]
      for (const side of round % 2 === 0 ? sides : sides.reverse()) await side()
    }
    for (const outcome of ours)
      if (!outcome.isComplete) throw new Error(`only ${outcome.whole} of ${readers} readers were whole, or some did not get the last event`)

    const wholeOf = (outcomes: readonly Outcome[]): number => median(outcomes.map(outcome => outcome.wholeMs))
    const peakOf = (outcomes: readonly Outcome[]): number => median(outcomes.map(outcome => outcome.peakBytes)) / 2 ** 20
    const listOf = (outcomes: readonly Outcome[]): string => outcomes.map(outcome => outcome.wholeMs.toFixed(0)).join(', ')
    const readyOf = (outcomes: readonly Outcome[]): string => median(outcomes.map(outcome => outcome.readyMs)).toFixed(0)
    const late = peer.filter(outcome => !outcome.isComplete)
    context.record({
      metric: `${readers} readers whole after ready`,
      unit: 'ms',
      ours: wholeOf(ours),
      peer: { name: '@durable-streams/server', value: wholeOf(peer) },
      targets: [{ against: 'value', op: '<=', bound: 3000 }],
      note: [
        `until the last of ${readers} readers, on ${LOGS} logs that go on growing by an event every ${EVERY_MS} ms, had everything up to the head; ours over WebSocket with the last seq, the peer's over SSE with the last offset; all try every 100 ms while nobody listens`,
        `ours ${listOf(ours)}, the peer ${listOf(peer)}`,
        `ready after ${readyOf(ours)} ms, the peer ${readyOf(peer)}`,
        ...(late.length > 0
          ? [
              `the peer was not whole within ${DEADLINE_MS / 1000} s in ${late.length} of ${peer.length} rounds (${late.map(({ whole }) => whole).join(', ')} readers were)`,
            ]
          : []),
      ].join('; '),
    })
    context.record({
      metric: `peak memory of the new server, ${readers} readers`,
      unit: 'MiB',
      ours: peakOf(ours),
      peer: { name: '@durable-streams/server', value: peakOf(peer) },
      note: `resident, from its start until all were whole and the writer had stopped; ours ${ours.map(({ peakBytes }) => mebibytes(peakBytes)).join(', ')}`,
    })
  },
}

const start = (context: Context, kind: StormSide['kind'], options?: ServerOptions): Promise<Server> =>
  kind === 'holdfast' ? startHoldfast(context, options) : startDurableStreams(context, options)

async function fill(server: Server, kind: StormSide['kind'], paths: readonly string[]): Promise<void> {
  if (kind === 'holdfast') await createRuns(server, paths)
  const client = await connectHttp(server.url, { ...authorization(server), ...JSON_BODY })
  for (const path of paths) {
    if (kind === 'durable-streams') await client.request('PUT', path)
    for (let n = 1; n <= HISTORY; n++) {
      const [to, body] = kind === 'holdfast' ? [`/sessions/${path}/events`, `{"event_type":"message","n":${n}}`] : [path, `{"n":${n},"event_type":"message"}`]
      const answer = await client.request('POST', to, body)
      if (answer.status >= 300) throw new Error(`POST ${to}: ${answer.status} ${answer.body.toString()}`)
    }
  }
  client.close()
}

async function stormOf(context: Context, title: string, kind: StormSide['kind'], count: number): Promise<Outcome> {
  context.say(`${title}: attaching ${count} readers`)
  const server = await start(context, kind)
  const paths = Array.from({ length: LOGS }, (_, i) => (kind === 'holdfast' ? `storm-${i}` : `/storm-${i}`))
  await fill(server, kind, paths)
  const side: StormSide = { url: server.url, kind, token: server.token }
  const readers = startStormReaders(context, side, paths, count)
  if ((await readers.allCaughtUp(DEADLINE_MS)) === undefined) throw new Error(`${title}: only ${readers.caughtUp} of ${count} readers attached`)

  const writer = startStormWriter(side, paths, HISTORY, BYTES, EVERY_MS)
  context.defer(() => writer.stop().catch(() => undefined))
  await pause(BEFORE_MS)
  context.say(`${title}: kill -9`)
  readers.lose()
  await server.kill()
  const again = await start(context, kind, { dataDir: server.dataDir as string, port: server.port })
  const readyUs = Number(process.hrtime.bigint() / 1000n)
  const wholeUs = await readers.allCaughtUp(DEADLINE_MS)
  const { caughtUp } = readers
  const isComplete = wholeUs !== undefined && (await endOf(readers, writer.stop()))
  await writer.stop()
  const outcome: Outcome = {
    wholeMs: wholeUs === undefined ? DEADLINE_MS : (wholeUs - readyUs) / 1000,
    whole: wholeUs === undefined ? caughtUp : count,
    readyMs: again.readyMs,
    peakBytes: memoryOf(again.pid).peak,
    isComplete,
  }
  context.say(`${title}: ${outcome.whole} whole ${outcome.wholeMs.toFixed(0)} ms after ready${isComplete ? '' : ', not all complete'}`)
  readers.close()
  await again.kill()
  return outcome
}

/** All that was written reaches all readers, within 10 s of the last append. */
const endOf = async (readers: StormReaders, stopped: Promise<readonly number[]>): Promise<boolean> => readers.reached(await stopped, 10_000)

export default storm
