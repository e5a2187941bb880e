import { join } from 'node:path'
import type { Case } from '../lib/case.ts'
import { itemOf } from '../lib/events.ts'
import { connectHttp } from '../lib/http-client.ts'
import { startDurableStreams } from '../lib/peers.ts'
import { BENCH } from '../lib/paths.ts'
import { startHoldfast, startNode } from '../lib/processes.ts'
import { openPlainTable } from '../lib/sqlite-commit.ts'
import { authorization, createRuns, JSON_BODY, openSocketWriter, rateOf } from '../lib/writers.ts'
import { connectWs } from '../lib/ws-client.ts'

const BYTES = 200

const append1: Case = {
  about: 'one writer, 200 B events, each acked durable before the next',
  async run(context) {
    const count = context.quick ? 150 : 600
    const server = await startHoldfast(context)
    const peer = await startDurableStreams(context)
    const bare = await startNode(context, [join(BENCH, 'servers/bare.ts')])
    await createRuns(server, ['socket', 'http'])

    const writer = await openSocketWriter({ server, sessionOf: () => 'socket', bytes: BYTES, inFlight: 1 })
    context.defer(() => writer.close())

    const table = openPlainTable(join(context.folder, 'plain.db'))
    context.defer(() => table.close())
    let echoed: () => void = () => undefined
    const echo = await connectWs({ url: `${bare.url}/echo`, onFrame: () => echoed() })
    context.defer(() => echo.close())
    // The two halves in turn, so that the processor's state is that of waiting for a disk, as it is for the server.
    const limit = async (): Promise<number> =>
      rateOf(count, async () => {
        for (let n = 1; n <= count; n++) {
          await new Promise<void>(resolve => {
            echoed = resolve
            echo.send(itemOf(BYTES, n))
          })
          table.commit(1, BYTES)
        }
      })
    await context.compare({
      metric: 'WebSocket',
      unit: 'events/s',
      ours: () => rateOf(count, () => writer.write(count)),
      limit: { name: 'SQLite commit + WebSocket echo', measure: limit },
      targets: [{ against: 'limit', op: '>=', bound: 0.65 }],
      note: 'each event has an id of its own that is stored with it',
    })

    const client = await connectHttp(server.url, authorization(server))
    context.defer(() => client.close())
    const peerClient = await connectHttp(peer.url)
    context.defer(() => peerClient.close())
    await peerClient.request('PUT', '/bench/one', undefined, JSON_BODY)
    const posts = async (path: string, to: typeof client, status: readonly number[]): Promise<void> => {
      for (let n = 1; n <= count; n++) {
        const answer = await to.request('POST', path, itemOf(BYTES, n), JSON_BODY)
        if (!status.includes(answer.status)) throw new Error(`${path}: ${answer.status} ${answer.body.toString()}`)
      }
    }
    await context.compare({
      metric: 'HTTP',
      unit: 'events/s',
      ours: () => rateOf(count, () => posts('/sessions/http/events', client, [201])),
      peer: { name: '@durable-streams/server', measure: () => rateOf(count, () => posts('/bench/one', peerClient, [200, 204])) },
      targets: [{ against: 'peer', op: '>=', bound: 3 }],
    })
  },
}

export default append1
