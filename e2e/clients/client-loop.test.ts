import { pollTransport, sseTransport, wsTransport } from '@holdfast/client'
import { check, createHistory } from '@holdfast/testkit/oracle'
import { createSeededRandom, type SeededRandom } from '@holdfast/testkit/sim'
import { describe, expect, test } from 'vitest'
import { createCuttingProxy } from '../lib/cutting-proxy.ts'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { recordResult } from '../lib/results.ts'
import { createRun, readWhole } from '../lib/stress.ts'
import { createLoopClient, type Source } from './loop-client.ts'

const seed = Number(process.env.HOLDFAST_SEED ?? 1)
const rounds = Number(process.env.HOLDFAST_ROUNDS ?? 1)
const SESSIONS = ['s0', 's1', 's2']

const words = (random: SeededRandom, n: number): Record<string, unknown> => ({
  event_type: 'message',
  role: 'assistant',
  content: `n${n} é😀 "\\ ${'x'.repeat(Math.floor(2 ** (random.fraction() * 10)))}`,
})

describe('the client library', () => {
  test(
    `[CLI-01] [CLI-03] [SEQ-03] [SEQ-16] [SEQ-18] [fault 5] [fault 14] killed servers and connections cut at random bytes lose, repeat and reorder nothing, several sessions per connection (seed ${seed})`,
    async () => {
      const random = createSeededRandom(seed)
      const history = createHistory()
      const [dataDir, port] = [tempDir(), await freePort()]
      const start = (): Promise<ServerProcess> =>
        startServer({ dataDir, port, env: { HOLDFAST_LOG_LEVEL: 'error', HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '1000000' } })
      let server = await start()
      for (const session of SESSIONS) await createRun(server.url, session)
      const proxy = await createCuttingProxy({ targetPort: port, random: createSeededRandom(seed + 1), cutShare: 0.4, maxBytes: 60_000 })
      const url = proxy.url
      const clients = [
        createLoopClient('ws', history, createSeededRandom(seed + 2), { url, transports: [wsTransport()] }),
        createLoopClient('binary', history, createSeededRandom(seed + 3), { url, transports: [wsTransport({ binary: true })] }),
        createLoopClient('sse', history, createSeededRandom(seed + 4), { url, transports: [sseTransport()] }),
        createLoopClient('poll', history, createSeededRandom(seed + 5), { url, transports: [pollTransport({ waitMs: 1000 })] }),
        // Cut so often, it goes through all of them.
        createLoopClient('any', history, createSeededRandom(seed + 6), { url }),
      ]
      try {
        const readers = clients.flatMap(client => SESSIONS.map(session => client.follow(session)))
        const sources: Source[] = clients.flatMap((client, index) => {
          const session = SESSIONS[index % SESSIONS.length] as string
          const item = (n: number): Record<string, unknown> => words(random, n)
          return [client.produce(session, item), client.send(session, item)]
        })
        for (let kill = 0; kill < 5 * rounds; kill++) {
          const goal = readers.map(reader => reader.seq() + 3 + random.int(20))
          await until(`all readers to get on (${readers.map(reader => `${reader.name} ${reader.seq()} ${reader.phase()}`).join(', ')})`, () =>
            readers.every((reader, index) => reader.seq() >= (goal[index] as number)),
          )
          await server.kill()
          server = await start()
        }
        proxy.calm()
        const unfinished = new Set(sources)
        for (const source of sources) void source.finish().then(() => unfinished.delete(source))
        await until('all acks', () => unfinished.size === 0).catch(() => {
          throw new Error(`no acks for ${[...unfinished].map(source => source.name).join(', ')}`)
        })
        let events = 0
        for (const session of SESSIONS) {
          const head = await readWhole(server.url, session, history)
          events += head
          for (const reader of readers.filter(candidate => candidate.name.endsWith(`-${session}`))) {
            await until(`${reader.name} at ${head} (it is at ${reader.seq()}, ${reader.phase()})`, () => reader.seq() >= head)
            reader.settled()
          }
        }
        expect(check(history)).toEqual([])
        expect(events).toBe(sources.reduce((sum, source) => sum + source.sent(), 0))
        expect(proxy.cuts).toBeGreaterThan(20)
        recordResult('client library under kills and cuts', { seed, kills: 5 * rounds, cuts: proxy.cuts, events, violations: 0 })
      } finally {
        for (const client of clients) client.close()
        await proxy.close()
        await server.stop()
      }
    },
    60_000 + 20_000 * rounds,
  )
})
