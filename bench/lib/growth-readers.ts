import { readFileSync } from 'node:fs'
import type { Context } from './case.ts'
import { ownReaders } from './fan-out-sides.ts'
import { median } from './figures.ts'
import type { GrowthAxis, GrowthPlan, GrowthPoint } from './growth-figures.ts'
import { cpuUsOf } from './growth-timed.ts'
import { startHoldfast } from './processes.ts'
import { nowUs } from './reader-group.ts'
import { type Group, startReaders } from './readers.ts'
import { createRuns, openSocketWriter } from './writers.ts'

const BYTES = 200
const WARM_UP = 5
/** Before the first point, so that the server's code is compiled. */
const FIRST_WARM_UP = 1000
/** Events for one point: until this time is over, but not fewer or more. */
const POINT_MS = 2500
const LEAST_EVENTS = 20
const MOST_EVENTS = 1000
/** Descriptors that a process needs besides its sockets. */
const SPARE_DESCRIPTORS = 200

/** One log with more and more readers, in a process of their own. */
export async function measureReaderCounts(context: Context, { sizes, deadline, onPoint, samples }: GrowthPlan): Promise<GrowthAxis> {
  const allowed = Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  const counts = sizes.filter(count => count + SPARE_DESCRIPTORS <= allowed)
  const notes = [
    'WebSocket readers that are caught up, all in one process beside the server on the same machine: their reading competes for its cores. One append of 200 B after the other, each begun when the last reader has the one before; the time is the median over the events, the CPU that of all threads of the server (append and commit included) divided by deliveries.',
  ]
  if (counts.length < sizes.length) notes.push(`A process may have ${allowed} descriptors, which ends it at ${counts.at(-1)} readers.`)
  const server = await startHoldfast(context)
  const readers = startReaders(context, Math.max(...counts))
  const points: GrowthPoint[] = []
  for (const count of counts) {
    if (performance.now() > deadline) {
      notes.push(`Stopped before ${count} readers: the time was up.`)
      break
    }
    context.say(`${count} readers: attaching`)
    const session = `readers-${count}`
    await createRuns(server, [session])
    const group = await readers.open({ count, ...ownReaders(server, session, 'ws', '"t":') })
    const writer = await openSocketWriter({ server, sessionOf: () => session, bytes: BYTES, inFlight: 1, item: stampedItem })
    context.say(`${count} readers: measuring`)
    let written = 0
    const deliver = async (): Promise<number> => {
      const reached = group.reached(++written)
      await Promise.all([reached, writer.write(1)])
      return slowestOf(group, count)
    }
    for (let i = 0; i < (points.length === 0 ? FIRST_WARM_UP : WARM_UP); i++) await deliver()
    const cpuBefore = cpuUsOf(server.pid)
    const begun = performance.now()
    const times: number[] = []
    const isEnough = (): boolean =>
      times.length >= MOST_EVENTS || times.length >= samples || (times.length >= LEAST_EVENTS && performance.now() - begun > POINT_MS)
    while (!isEnough()) times.push(await deliver())
    const cpuUs = cpuUsOf(server.pid) - cpuBefore
    writer.close()
    await group.close()
    const point = { x: count, values: { last: median(times), cpu: cpuUs / (times.length * count) } }
    points.push(point)
    onPoint(point)
  }
  await server.kill()
  return { axis: 'readers', label: 'readers of one log', measures: MEASURES, points, notes }
}

const MEASURES = [
  { key: 'last', label: 'until the last reader has it', unit: 'ms' },
  { key: 'cpu', label: 'server CPU per delivery', unit: 'µs' },
] as const

/** From the stamp of the one event since the last call until the last reader had it. */
async function slowestOf(group: Group, count: number): Promise<number> {
  const { count: seen, max } = await group.latencies()
  if (seen !== count) throw new Error(`${seen} of ${count} deliveries were counted`)
  return max
}

/** An event that says when it was sent, by the clock that all processes of a machine share. */
function stampedItem(bytes: number, n: number): string {
  const head = `{"event_type":"message","n":${n},"t":${nowUs()},"content":"`
  return `${head}${'x'.repeat(Math.max(0, bytes - head.length - 2))}"}`
}
