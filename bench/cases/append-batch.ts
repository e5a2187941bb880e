import type { Case } from '../lib/case.ts'
import { createJournal } from '../lib/journal.ts'
import { createStreams, verifyPeer } from '../lib/peer-streams.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { createPosting } from '../lib/posters.ts'
import { startHoldfast } from '../lib/processes.ts'
import { verifyLogs } from '../lib/verify.ts'
import { authorization, createRuns } from '../lib/writers.ts'

const BYTES = 200
const WRITERS = 64
const EVENTS_PER_POST = 50

const appendBatch: Case = {
  about: '64 writers on as many sessions, 50 events of 200 B a post, HTTP, one post in flight each',
  async run(context) {
    const server = await startHoldfast(context)
    const peer = await startDurableStreams(context)
    const journals = Array.from({ length: WRITERS }, (_, index) => createJournal(`batch-${index}`))
    const streams = journals.map(journal => `/bench/${journal.session}`)
    await createRuns(
      server,
      journals.map(journal => journal.session),
    )
    await createStreams(peer.url, streams)
    const paths = journals.map(journal => `/sessions/${journal.session}/events`)
    const same = { bytes: BYTES, eventsPerPost: EVENTS_PER_POST }
    const ours = createPosting({ url: server.url, headers: authorization(server), paths, statuses: [201], journals, ...same })
    const theirs = createPosting({ url: peer.url, paths: streams, statuses: [200, 204], ...same })
    await context.compare({
      metric: '50 a post',
      unit: 'events/s',
      ours: () => ours.measure(context.quick ? 40_000 : 120_000),
      peer: { name: '@durable-streams/server', measure: () => theirs.measure(context.quick ? 40_000 : 120_000) },
      targets: [{ against: 'peer', op: '>=', bound: 4 }],
      note: 'a JSON array each; Holdfast keeps 50 events with a seq, an id and a time each, the peer one frame with the 50 in it; every log read back and checked; the peer: file store, compression off, more threads for its syncs change nothing',
    })
    context.say('reading back')
    await verifyLogs(server, journals, BYTES)
    await verifyPeer(peer.url, streams, theirs.told)
  },
}

export default appendBatch
