import { type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient, createMemoryStore, pollTransport, sseTransport, wsTransport } from './index.ts'

const policy = { baseMs: 1, capMs: 4, connectMs: 1000, maxTries: 1000 }
const WAYS = {
  ws: [wsTransport()],
  binary: [wsTransport({ binary: true })],
  sse: [sseTransport()],
  poll: [pollTransport({ waitMs: 50 })],
  all: [wsTransport(), sseTransport(), pollTransport({ waitMs: 50 })],
}

let server: FakeServer
beforeAll(async () => {
  server = await startFakeServer()
})
afterAll(() => server.close())

/** A run of small numbers, used up one by one; then the weather is fine. */
const script = fc.array(fc.nat({ max: 99 }), { minLength: 30, maxLength: 200 })

describe('dense delivery', () => {
  test.each(Object.entries(WAYS))(
    '[SEQ-16] over %s: cuts at random bytes, holes, doubles, lost acks and reloads; each event once, each input once',
    async (_name, transports) => {
      await fc.assert(
        fc.asyncProperty(script, fc.array(fc.integer({ min: 20, max: 3000 }), { maxLength: 12 }), async (dice, cuts) => {
          const roll = (below: number): boolean => (dice.shift() ?? 99) < below
          const id = crypto.randomUUID()
          server.log.create(id, 'chat')
          const store = createMemoryStore()
          server.faults.cutAfterBytes = () => cuts.shift()
          server.faults.skip = () => roll(5)
          server.faults.duplicate = () => roll(10)
          server.faults.loseAck = () => roll(20)
          server.faults.refuseUpgrades = false
          const applied: number[] = []
          const texts: string[] = []
          const acks: Promise<unknown>[] = []
          const start = () => {
            const client = createClient({ url: server.url, clientId: 'tab', store, transports, policy })
            const handle = client.attach(id, {
              onEvent: event => {
                applied.push(event.header.seq)
                texts.push(JSON.stringify(event))
              },
            })
            return { client, handle }
          }
          let { client, handle } = start()
          for (let n = 0; n < 40; n++) {
            server.log.append(id, { n, text: 'x'.repeat(n * 7) })
            if (n % 10 === 5) acks.push(handle.send('chat.send', { n: 1000 + n }, { id: `in-${n}` }).catch(() => {}))
            if (roll(10)) server.cutAll()
            if (roll(30)) await new Promise(resolve => setImmediate(resolve))
            if (n === 20) {
              client.close()
              ;({ client, handle } = start())
            }
          }
          dice.length = 0
          server.faults.loseAck = () => false
          const session = server.log.sessions.get(id)
          await until(() => handle.pending.length === 0 && handle.lastSeq === session?.texts.length, 'everything')
          await Promise.all(acks)
          client.close()
          expect(applied).toEqual(Array.from({ length: session?.texts.length ?? 0 }, (_, index) => index + 1))
          expect(texts).toEqual(session?.texts)
          const inputs = session?.texts.filter(text => text.includes('"id":"in-')).map(text => (JSON.parse(text) as { header: { id: string } }).header.id)
          expect(inputs).toEqual(['in-5', 'in-15', 'in-25', 'in-35'])
        }),
        { seed: 16, numRuns: 12 },
      )
    },
    120_000,
  )
})
