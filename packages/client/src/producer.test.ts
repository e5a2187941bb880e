import { type FakeServer, startFakeServer } from '@holdfast/testkit/fake-server'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClient, type Producer, type ProducerOptions } from './index.ts'

const policy = { baseMs: 1, capMs: 5 }

let server: FakeServer
let requests: string[] = []
beforeEach(async () => {
  server = await startFakeServer()
  server.log.create('s')
  requests = []
})
afterEach(() => server.close())

const producer = (options: ProducerOptions = {}): Producer => {
  server.faults.refuse = (_method, _path, body) => {
    requests.push(body)
    return undefined
  }
  return createClient({ url: server.url, clientId: 'p', policy }).producer('s', options)
}
const stored = (): unknown[] => (server.log.sessions.get('s')?.texts ?? []).map(text => (JSON.parse(text) as { payload: { n: number } }).payload.n)
const item = (n: number) => ({ event_type: 'message', n })
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

describe('producer', () => {
  test('[RUN-05] items go in order, in batches, each with an id and the seq it got', async () => {
    const own = producer({ batchEvents: 10 })
    const appended = await Promise.all(range(35).map(n => own.append(item(n))))
    expect(appended.map(answer => answer.seq)).toEqual(range(35).map(n => n + 1))
    expect(new Set(appended.map(answer => answer.id)).size).toBe(35)
    expect(stored()).toEqual(range(35))
    expect(requests.length).toBe(4)
    await own.close()
  })

  test('[RUN-05] an item stands for what it was when it was appended', async () => {
    const own = producer({ lingerMs: 20 })
    const mine = { ...item(1), id: 'mine' }
    const appended = own.append(mine)
    mine.n = 2
    expect(await appended).toMatchObject({ id: 'mine', seq: 1 })
    expect(stored()).toEqual([1])
  })

  test('[RUN-05] bytes bound a batch too; one large item still goes', async () => {
    const own = producer({ batchBytes: 1000 })
    await Promise.all(range(6).map(n => own.append({ ...item(n), text: 'x'.repeat(n === 3 ? 5000 : 400) })))
    expect(stored()).toEqual(range(6))
    expect(Math.max(...requests.map(body => (JSON.parse(body) as unknown[]).length))).toBe(2)
  })

  test('[fault 5] answers that get lost are asked for again: one event, the same seq', async () => {
    let losses = 3
    server.faults.loseAck = () => losses-- > 0
    const own = producer()
    const appended = await Promise.all(range(5).map(n => own.append(item(n))))
    expect(appended.map(answer => answer.seq)).toEqual([1, 2, 3, 4, 5])
    expect(appended.every(answer => answer.duplicate)).toBe(true)
    expect(stored()).toEqual(range(5))
  })

  test('[RUN-05] 5xx, 429 and a server that is away are waited out, as long as the server says', async () => {
    const delays: number[] = []
    const own = producer({ onRetry: (_error, ms) => delays.push(ms) })
    const answers = [() => ({ code: 'rate_limited', details: { retry_after_ms: 7 } }), () => ({ code: 'internal' }), () => ({ code: 'storage_failed' })]
    server.faults.refuse = () => answers.shift()?.()
    let statuses = [502, 504]
    server.faults.status = () => statuses.shift()
    await own.append(item(0))
    expect(delays).toHaveLength(5)
    expect(delays).toContain(7)
    statuses = []
    server.cutAll()
    await own.append(item(1))
    expect(stored()).toEqual([0, 1])
  })

  test('[RUN-05] a refusal for good rejects its batch alone and names the item', async () => {
    const own = producer({ batchEvents: 2 })
    server.faults.refuse = (_method, _path, body) => (body.includes('"bad"') ? { code: 'invalid_request', details: { index: 1 } } : undefined)
    const answers = await Promise.allSettled([
      own.append(item(0)),
      own.append(item(1)),
      own.append(item(2)),
      own.append({ ...item(3), id: 'bad' }),
      own.append(item(4)),
    ])
    expect(answers.map(answer => answer.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect((answers[2] as PromiseRejectedResult).reason).toMatchObject({ code: 'invalid_request', details: { index: 1, item_id: 'bad', batch_size: 2 } })
    expect(stored()).toEqual([0, 1, 4])
    await expect(own.flush()).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(own.close()).resolves.toBeUndefined()
    await expect(own.append(item(5))).rejects.toMatchObject({ reason: 'closed' })
  })

  test('[RUN-05] an item that can not be sent is refused by itself, before it is part of a batch', async () => {
    const own = producer()
    const good = own.append(item(0))
    await expect(own.append([] as never)).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(own.append({ id: '§' })).rejects.toMatchObject({ code: 'invalid_request', details: { field: 'id' } })
    await expect(own.append({ text: 'x'.repeat(300_000) })).rejects.toMatchObject({ code: 'too_large' })
    await good
    expect(stored()).toEqual([0])
  })

  test('[RUN-13] beyond maxPending ready() waits', async () => {
    const own = producer({ maxPending: 3, lingerMs: 50 })
    for (const n of range(3)) void own.append(item(n))
    expect(own.pending).toBe(3)
    await own.append(item(3))
    await own.ready()
    expect(own.pending).toBeLessThan(3)
  })

  test('[RUN-13] close with a signal gives up what the server does not take', async () => {
    server.faults.status = () => 503
    const own = producer()
    const appended = own.append(item(0))
    const stop = new AbortController()
    const closing = own.close({ signal: stop.signal })
    stop.abort()
    await expect(closing).rejects.toMatchObject({ reason: 'closed' })
    await expect(appended).rejects.toMatchObject({ reason: 'closed' })
  })

  test('[fault 24] under random losses and refusals every item is there once, in order', async () => {
    const weather = fc.array(fc.constantFrom('fine', 'lose', 'busy', 'down', 'cut'), { minLength: 20, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(weather, fc.integer({ min: 1, max: 7 }), async (days, batchEvents) => {
        const id = crypto.randomUUID()
        server.log.create(id)
        const today = (): string => days.shift() ?? 'fine'
        server.faults.loseAck = () => today() === 'lose'
        server.faults.refuse = () => (today() === 'busy' ? { code: 'busy' } : undefined)
        server.faults.status = () => (today() === 'down' ? 503 : undefined)
        const own = createClient({ url: server.url, policy }).producer(id, { batchEvents, lingerMs: 0 })
        const appended = await Promise.all(range(20).map(n => own.append(item(n))))
        expect(appended.map(answer => answer.seq)).toEqual(range(20).map(n => n + 1))
        expect(server.log.sessions.get(id)?.texts.map(text => (JSON.parse(text) as { payload: { n: number } }).payload.n)).toEqual(range(20))
      }),
      { seed: 24, numRuns: 25 },
    )
  })
})
