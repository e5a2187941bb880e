import type { Case } from '../lib/case.ts'
import { itemOf } from '../lib/events.ts'
import { connectHttp } from '../lib/http-client.ts'
import { socketMemory, socketMemoryLimit } from '../lib/kernel-sockets.ts'
import { openHoldfastPaced } from '../lib/paced-sides.ts'
import { memoryOf, type Server, startHoldfast } from '../lib/processes.ts'
import { startReaders } from '../lib/readers.ts'
import { allFull, allGone, openSlowReaders } from '../lib/slow-readers.ts'
import { authorization, createRuns, JSON_BODY } from '../lib/writers.ts'

const MIB = 2 ** 20
const SESSION = 'slow-readers'
/** More than the kernel takes for one reader (about 2 MiB on loopback, whose segments are large). */
const HISTORY_MIB = 8
/** Longer than it takes until a reader without progress is closed, and has come again. */
const STORM_MS = 45_000

const slowReaders: Case = {
  about: 'the same 500 readers at 20 events/s, beside 1000 that attach and never read',
  async run(context) {
    const [good, slow, ms] = context.quick ? [50, 200, 1000] : [500, 1000, 6000]
    const server = await startHoldfast(context)
    await createRuns(server, [SESSION])
    const head = await writeHistory(server)
    const paced = await openHoldfastPaced(server, startReaders(context, good), SESSION, good, head)
    const processes = startReaders(context, slow)

    await paced.run(ms)
    const [before, beforeKernel] = [memoryOf(server.pid).resident, socketMemory()]
    const above: number[] = []
    let [mostKernel, closes] = [0, 0]
    await context.compare({
      metric: `p99 of ${good} readers beside ${slow} that never read`,
      unit: 'ms',
      async ours() {
        const group = await openSlowReaders(server, processes, SESSION, slow)
        await allFull(server, slow, 60_000)
        const closed = await group.closes()
        const { p99 } = await paced.run(ms)
        closes += (await group.closes()) - closed
        above.push((memoryOf(server.pid).resident - before) / MIB)
        mostKernel = Math.max(mostKernel, socketMemory())
        await group.close()
        await allGone(server)
        return p99
      },
      limit: { name: 'without them', measure: async () => (await paced.run(ms)).p99 },
      targets: [{ against: 'limit', op: '<=', bound: 1.3 }],
      rounds: context.quick ? 2 : 3,
      note: 'once nothing more can be written to those that never read',
    })
    context.record({
      metric: `server memory above, beside ${slow} that never read`,
      unit: 'MiB',
      ours: Math.max(...above),
      targets: [{ against: 'value', op: '<=', bound: 64 }],
      note: `resident, beyond ${(before / MIB).toFixed(0)} MiB with the ${good} readers alone; round by round ${above.map(mib => mib.toFixed(0)).join(', ')}; ${closes} of the others were closed while measured`,
    })
    context.record({
      metric: `kernel socket memory above, beside ${slow} that never read`,
      unit: 'MiB',
      ours: (mostKernel - beforeKernel) / MIB,
      limit: { name: 'tcp_mem of this machine', value: socketMemoryLimit() / MIB },
      note: 'what hides outside of the process; it is bounded by a socket’s largest send buffer (tcp_wmem)',
    })
    if (context.quick) return

    context.say(`${slow} readers that never read are closed and come again`)
    const group = await openSlowReaders(server, processes, SESSION, slow)
    await allFull(server, slow, 60_000)
    const { p99, max } = await paced.run(STORM_MS)
    context.record({
      metric: `p99 of ${good} readers while the others are closed and come again`,
      unit: 'ms',
      ours: p99,
      note: `${STORM_MS / 1000} s; ${await group.closes()} closed for want of progress, each replays from the start; the latest event came after ${max.toFixed(0)} ms; ${((memoryOf(server.pid).resident - before) / MIB).toFixed(0)} MiB above`,
    })
  },
}

/** Appends what the slow ones will not take; returns the head. */
async function writeHistory(server: Server): Promise<number> {
  const client = await connectHttp(server.url, authorization(server))
  const batch = 512
  let head = 0
  for (let mib = 0; mib < HISTORY_MIB; mib += 0.5) {
    const items = Array.from({ length: batch }, (_, i) => itemOf(1000, head + i))
    const { status, body } = await client.request('POST', `/sessions/${SESSION}/events`, `[${items.join(',')}]`, JSON_BODY)
    if (status !== 201) throw new Error(`POST events: ${status} ${body.toString()}`)
    head += batch
  }
  client.close()
  return head
}

export default slowReaders
