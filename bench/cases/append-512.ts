import { join } from 'node:path'
import type { Case, Context } from '../lib/case.ts'
import { median } from '../lib/figures.ts'
import { openGroupCommit } from '../lib/group-commit.ts'
import { startHoldfast, startStoringNothing } from '../lib/processes.ts'
import { openSocketWriters } from '../lib/socket-writers.ts'
import { verifyAcks, verifyLogs } from '../lib/verify.ts'
import { rateOf } from '../lib/writers.ts'

const BYTES = 200
const IN_FLIGHT = 512

const append512: Case = {
  about: '512 appends of 200 B in flight, over 8 sockets and over 512, each socket with a session of its own',
  async run(context) {
    for (const sockets of [8, IN_FLIGHT]) await measure(context, sockets)
  },
}

async function measure(context: Context, sockets: number): Promise<void> {
  const name = `${sockets} sockets x ${IN_FLIGHT / sockets}`
  const count = context.quick ? 4096 : 30_720
  const server = await startHoldfast(context)
  const nothing = await startStoringNothing(context)
  const open = { sockets, inFlight: IN_FLIGHT / sockets, bytes: BYTES, prefix: `of-${sockets}` }
  const stored = await openSocketWriters({ server, ...open })
  const unstored = await openSocketWriters({ server: nothing, ...open })
  context.defer(() => {
    stored.close()
    unstored.close()
  })
  const ours = (): Promise<number> => stored.measure(count)
  await context.compare({
    metric: name,
    unit: 'events/s',
    ours,
    limit: { name: 'the same server storing nothing', measure: () => unstored.measure(count) },
    targets: [{ against: 'limit', op: '>=', bound: 0.7 }],
    note: 'WebSocket, one event a frame; every event has an id of its own that is stored with it; every log read back and checked',
  })
  verifyAcks(unstored.journals, BYTES)
  unstored.close()
  await nothing.kill()

  const perEvent = await openAlone(context, sockets, 'event')
  const perCommit = await openAlone(context, sockets, 'commit')
  const blobRates: number[] = []
  const row = await context.compare({
    metric: name,
    unit: 'events/s',
    ours,
    limit: {
      name: 'SQLite group commit alone, a row per event',
      async measure() {
        blobRates.push(await perCommit())
        return perEvent()
      },
    },
    targets: [{ against: 'limit', op: '>=', bound: 0.5 }],
    note: `the limit: a row per event and a unique index on (session, seq), ${ALONE}`,
  })
  context.record({
    metric: `${name}, beside blobs`,
    unit: 'events/s',
    ours: row.ours,
    limit: { name: 'SQLite group commit alone, a row per commit and session', value: median(blobRates.slice(1)) },
    note: `the limit: one row per commit and session, its events joined, ${ALONE}; measured in the rounds of the row before`,
  })
  context.say(`${name}: reading back`)
  await verifyLogs(server, stored.journals, BYTES)
  stored.close()
  await server.kill()
}

const ALONE = `${IN_FLIGHT} producers in one process, no sockets, no ids, a worker thread, what waits is one transaction, WAL with a full sync, rare checkpoints, a large cache`

async function openAlone(context: Context, sessions: number, rowPer: 'event' | 'commit'): Promise<() => Promise<number>> {
  const path = join(context.folder, `alone-${sessions}-${rowPer}.db`)
  const alone = await openGroupCommit({ path, producers: IN_FLIGHT, sessions, bytes: BYTES, rowPer })
  context.defer(() => alone.close())
  const count = context.quick ? 30_720 : 102_400
  return () => rateOf(count, () => alone.write(count))
}

export default append512
