import { join } from 'node:path'
import type { Case } from '../lib/case.ts'
import { median } from '../lib/figures.ts'
import { openHoldfastPaced, openSocketIoPaced, type Paced } from '../lib/paced-sides.ts'
import { BENCH } from '../lib/paths.ts'
import { peersFolder } from '../lib/peers.ts'
import { startHoldfast, startNode } from '../lib/processes.ts'
import type { Latencies } from '../lib/reader-group.ts'
import { startReaders } from '../lib/readers.ts'
import { createRuns } from '../lib/writers.ts'

const PEER = 'socket.io with recovery'

const fanOutPaced: Case = {
  about: 'how long after its append an event is with 500 readers, at 20 events/s',
  async run(context) {
    const server = await startHoldfast(context)
    const peer = await startNode(context, [join(BENCH, 'servers/socket-io.mjs'), peersFolder(context)])
    const ms = context.quick ? 1000 : 5000
    for (const count of context.quick ? [50, 200] : [500]) {
      const readers = startReaders(context, 2 * count)
      const sessionId = `paced-${count}`
      await createRuns(server, [sessionId])
      const ours = await openHoldfastPaced(server, readers, sessionId, count)
      const theirs = await openSocketIoPaced(peer, readers, count)
      const seen = { ours: [] as Latencies[], theirs: [] as Latencies[] }
      const p99 = async (paced: Paced, list: Latencies[]): Promise<number> => {
        const latencies = await paced.run(ms)
        list.push(latencies)
        return latencies.p99
      }
      await context.compare({
        metric: `${count} readers, append to receive, p99`,
        unit: 'ms',
        ours: () => p99(ours, seen.ours),
        peer: { name: PEER, measure: () => p99(theirs, seen.theirs) },
        targets: [{ against: 'value', op: '<=', bound: 25 }],
        note: '200 B events over WebSocket; ours on disk before it is shown, the peer in memory, without compression',
      })
      // The first of each was the round that does not count.
      const [mine, others] = [seen.ours.slice(1), seen.theirs.slice(1)]
      context.record({
        metric: `${count} readers, p99 beyond the peer's`,
        unit: 'ms',
        ours: median(mine.map(({ p99 }, round) => p99 - (others[round]?.p99 ?? Number.NaN))),
        targets: [{ against: 'value', op: '<=', bound: 5 }],
        note: 'median of the rounds: what durability may cost',
      })
      context.record({
        metric: `${count} readers, append to receive, p50`,
        unit: 'ms',
        ours: median(mine.map(({ p50 }) => p50)),
        peer: { name: PEER, value: median(others.map(({ p50 }) => p50)) },
      })
      for (const side of [ours, theirs]) await side.close()
    }
  },
}

export default fanOutPaced
