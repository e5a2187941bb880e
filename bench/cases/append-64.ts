import type { Case } from '../lib/case.ts'
import { createJournal } from '../lib/journal.ts'
import { createStreams, verifyPeer } from '../lib/peer-streams.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { createPosting } from '../lib/posters.ts'
import { startHoldfast, startStoringNothing } from '../lib/processes.ts'
import { openSocketWriters } from '../lib/socket-writers.ts'
import { verifyAcks, verifyLogs } from '../lib/verify.ts'
import { authorization, createRuns } from '../lib/writers.ts'

const BYTES = 200
const WRITERS = 64

const append64: Case = {
  about: '64 writers on as many sessions, 200 B events, one in flight each',
  async run(context) {
    const server = await startHoldfast(context)
    const peer = await startDurableStreams(context)
    const journals = Array.from({ length: WRITERS }, (_, index) => createJournal(`http-${index}`))
    const streams = journals.map(journal => `/bench/${journal.session}`)
    await createRuns(
      server,
      journals.map(journal => journal.session),
    )
    await createStreams(peer.url, streams)
    const paths = journals.map(journal => `/sessions/${journal.session}/events`)
    const ours = createPosting({ url: server.url, headers: authorization(server), paths, bytes: BYTES, eventsPerPost: 1, statuses: [201], journals })
    const theirs = createPosting({ url: peer.url, paths: streams, bytes: BYTES, eventsPerPost: 1, statuses: [200, 204] })
    await context.compare({
      metric: 'HTTP',
      unit: 'events/s',
      ours: () => ours.measure(context.quick ? 6000 : 24_000),
      peer: { name: '@durable-streams/server', measure: () => theirs.measure(context.quick ? 1000 : 4000) },
      targets: [{ against: 'peer', op: '>=', bound: 12 }],
      note: 'keep-alive connections, one post in flight on each; every log read back and checked; the peer: file store, compression off, more threads for its syncs change nothing',
    })
    context.say('HTTP: reading back')
    await verifyLogs(server, journals, BYTES)
    await verifyPeer(peer.url, streams, theirs.told)
    await peer.kill()

    const nothing = await startStoringNothing(context)
    const [stored, unstored] = await Promise.all(
      [server, nothing].map(side => openSocketWriters({ server: side, sockets: WRITERS, inFlight: 1, bytes: BYTES, prefix: 'socket' })),
    )
    if (!stored || !unstored) throw new Error('no writers')
    context.defer(() => {
      stored.close()
      unstored.close()
    })
    const count = context.quick ? 12_800 : 38_400
    await context.compare({
      metric: 'WebSocket',
      unit: 'events/s',
      ours: () => stored.measure(count),
      limit: { name: 'the same server storing nothing', measure: () => unstored.measure(count) },
      targets: [{ against: 'limit', op: '>=', bound: 0.6 }],
      note: '64 sockets; every event has an id of its own that is stored with it; every log read back and checked',
    })
    context.say('WebSocket: reading back')
    await verifyLogs(server, stored.journals, BYTES)
    verifyAcks(unstored.journals, BYTES)
  },
}

export default append64
