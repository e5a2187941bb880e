import { join } from 'node:path'
import type { Case, Target } from '../lib/case.ts'
import { openBareFanOut, openHoldfastFanOut, openPeerFanOut, type Shape } from '../lib/fan-out-sides.ts'
import { BENCH } from '../lib/paths.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { startHoldfast, startNode } from '../lib/processes.ts'
import { startReaders } from '../lib/readers.ts'

interface Work {
  readonly readers: number
  readonly inFlight: number
  /** The peer is measured, too: its readers cost it so much that it is not everywhere. */
  readonly hasPeer?: boolean
  readonly targets?: readonly Target[]
}

const bareTarget = (bound: number): Target => ({ against: 'limit', op: '>=', bound })

const WHOLE: readonly Work[] = [
  { readers: 1, inFlight: 1, hasPeer: true },
  { readers: 100, inFlight: 1, hasPeer: true },
  { readers: 500, inFlight: 1, hasPeer: true, targets: [{ against: 'peer', op: '>=', bound: 60 }, bareTarget(0.6)] },
  { readers: 1000, inFlight: 1, targets: [bareTarget(0.5)] },
  { readers: 1, inFlight: 64 },
  { readers: 100, inFlight: 64, targets: [bareTarget(0.45)] },
  { readers: 500, inFlight: 64 },
  { readers: 1000, inFlight: 64 },
]
/** Too few readers and too short for the targets. */
const QUICK: readonly Work[] = [
  { readers: 50, inFlight: 1 },
  { readers: 50, inFlight: 64 },
  { readers: 200, inFlight: 1, hasPeer: true },
  { readers: 200, inFlight: 64 },
]

const fanOut: Case = {
  about: 'events delivered to 1, 100, 500 and 1000 readers of one log a second, while one writer appends',
  async run(context) {
    const server = await startHoldfast(context)
    const bare = await startNode(context, [join(BENCH, 'servers/bare.ts')])
    const peer = await startDurableStreams(context)
    // Ours, the twin's and the peer's are attached at once.
    const readers = startReaders(context, 3000)
    const works = context.quick ? QUICK : WHOLE
    const ms = context.quick ? 100 : 400
    for (const { kind, readers: count, inFlight, hasPeer, targets } of (['ws', 'sse'] as const).flatMap(kind => works.map(work => ({ kind, ...work })))) {
      const shape: Shape = { kind, readers: count, inFlight }
      const isSocket = kind === 'ws'
      const ours = await openHoldfastFanOut(server, readers, shape)
      const twin = await openBareFanOut(bare, readers, shape)
      const beside = isSocket && hasPeer ? await openPeerFanOut(peer, readers, shape) : undefined
      await context.compare({
        metric: `${isSocket ? 'WebSocket' : 'SSE'}, ${count} reader${count === 1 ? '' : 's'}, ${inFlight} in flight`,
        unit: 'events/s',
        ours: () => ours.rate(ms),
        ...(beside && { peer: { name: '@durable-streams/server', measure: () => beside.rate(ms) } }),
        limit: { name: isSocket ? 'bare ws' : 'bare SSE', measure: () => twin.rate(ms) },
        ...(isSocket && targets && { targets }),
        note: 'delivered: readers x events; 200 B events; the twin keeps no log and sends one buffer to all; the peer is read by SSE',
      })
      for (const side of [ours, twin, beside]) await side?.close()
    }
  },
}

export default fanOut
