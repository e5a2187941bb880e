import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChromium } from './browser.ts'
import { createWorld, dense, phaseOf, seqsOf, type World } from './world.ts'

const chromium = findChromium()
const describeInBrowser = describe.skipIf(chromium === undefined)

let world: World
beforeAll(async () => {
  if (chromium) world = await createWorld(chromium)
})
afterAll(async () => world?.close())

const transportOf = (page: Page): Promise<string | undefined> => page.evaluate(() => globalThis.app.followed.get('main')?.handle.state.transport)

describeInBrowser('a page that follows', () => {
  test('[CLI-01] [CLI-05] [SEQ-03] over WebSocket, through a kill -9, dense', async () => {
    const session = await world.run()
    await world.append(session, 20)
    const page = await world.page()
    await world.follow(page, { session })
    expect(await seqsOf(page, 20)).toEqual(dense(20))
    expect(await transportOf(page)).toBe('ws')
    await world.append(session, 5)
    await world.kill()
    await phaseOf(page, 'waiting')
    await world.restart()
    await world.append(session, 5)
    expect(await seqsOf(page, 30)).toEqual(dense(30))
    await page.close()
  })

  test.for(['sse', 'poll'] as const)('[CLI-01] [SEQ-03] falls back to %s by itself, and follows through a kill -9, dense', async name => {
    world.proxy.upgrades = false
    world.proxy.streams = name === 'sse'
    try {
      const session = await world.run()
      await world.append(session, 10)
      const page = await world.page()
      await world.follow(page, { session })
      expect(await seqsOf(page, 10)).toEqual(dense(10))
      expect(await transportOf(page)).toBe(name)
      await world.append(session, 3)
      await world.kill()
      await world.restart()
      await world.append(session, 3)
      expect(await seqsOf(page, 16)).toEqual(dense(16))
      await page.close()
    } finally {
      world.proxy.upgrades = world.proxy.streams = true
    }
  })

  test('[CLI-01] goes back to WebSocket once that is let through again', async () => {
    world.proxy.upgrades = false
    const session = await world.run()
    const page = await world.page()
    await world.follow(page, { session, policy: { upgradeMs: 50 } })
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.state.transport === 'sse')
    world.proxy.upgrades = true
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.state.transport === 'ws')
    await world.append(session, 3)
    expect(await seqsOf(page, 3)).toEqual(dense(3))
    await page.close()
  })

  test('[CLI-01] comes back at once when the network does, and when the page is visible again, whatever is left to wait', async () => {
    const session = await world.run()
    const context = await world.browser.newContext()
    const page = await world.page(context)
    await world.follow(page, { session, policy: { baseMs: 2e9, capMs: 2e9 } })
    await phaseOf(page, 'live')
    for (const hope of ['online', 'visible']) {
      await context.setOffline(hope === 'online')
      world.proxy.cut()
      await phaseOf(page, 'waiting')
      if (hope === 'online') await context.setOffline(false)
      else await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
      await phaseOf(page, 'live')
    }
    await context.close()
  })

  test('[CLI-01] gives up after the most tries, and tries again by hand', async () => {
    const session = await world.run()
    const page = await world.page()
    await world.follow(page, { session, policy: { baseMs: 1, capMs: 2, maxTries: 4 } })
    await phaseOf(page, 'live')
    world.proxy.open = false
    world.proxy.cut()
    try {
      await phaseOf(page, 'failed')
    } finally {
      world.proxy.open = true
    }
    await world.append(session, 2)
    await page.evaluate(() => globalThis.app.followed.get('main')?.handle.reconnect())
    expect(await seqsOf(page, 2)).toEqual(dense(2))
    await page.close()
  })

  test('[CLI-01] eight sessions over one event stream leave room for requests', async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => world.run()))
    const page = await world.page()
    for (const session of sessions) await world.follow(page, { session, name: session, transports: ['sse'] })
    for (const session of sessions) await phaseOf(page, 'live', session)
    for (const session of sessions) await world.append(session, 4)
    const results = await page.evaluate(
      async ([url, ids]) => {
        const client = globalThis.app.client({ url, transports: ['sse'] })
        return Promise.all(ids.map(id => client.sessions.get(id).then(session => session.head_seq)))
      },
      [world.proxy.url, sessions] as const,
    )
    expect(results).toEqual(sessions.map(() => 4))
    for (const session of sessions) expect(await seqsOf(page, 4, session)).toEqual(dense(4))
    expect(world.proxy.asked).toContain('GET /events')
    await page.close()
  })
})

describeInBrowser('a page that is reloaded', () => {
  test('[CLI-02] [SEQ-16] goes on from localStorage, in mid-stream, with nothing applied twice or lost', async () => {
    const session = await world.run()
    const page = await world.page()
    let appended = 0
    let done = false
    const appending = (async () => {
      while (!done) {
        await world.append(session, 20)
        appended += 20
      }
    })()
    for (let reload = 0; reload < 5; reload++) {
      const before = await page.evaluate(() => (JSON.parse(localStorage.getItem('seen') ?? '[]') as number[]).length)
      await world.follow(page, { session, keepAs: 'seen' })
      await page.waitForFunction(count => globalThis.app.seqs().length > count, before)
      await page.reload()
      await page.waitForFunction(() => globalThis.app !== undefined)
    }
    done = true
    await appending
    await world.follow(page, { session, keepAs: 'seen' })
    expect(await seqsOf(page, appended)).toEqual(dense(appended))
    await page.close()
  })

  test('[fault 22] [CLI-02] two tabs, and a duplicate of one, have a cursor each', async () => {
    const session = await world.run()
    await world.append(session, 5)
    const context = await world.browser.newContext()
    const first = await world.page(context)
    const second = await world.page(context)
    await world.follow(first, { session, keepAs: 'first' })
    await world.follow(second, { session, keepAs: 'second' })
    expect([await seqsOf(first, 5), await seqsOf(second, 5)]).toEqual([dense(5), dense(5)])
    // A page opened by another starts with a copy of its tab's storage, as a duplicated tab does.
    const [copy] = await Promise.all([context.waitForEvent('page'), first.evaluate(() => void window.open(location.href))])
    await copy.waitForFunction(() => globalThis.app !== undefined)
    await world.follow(copy, { session, keepAs: 'copy' })
    expect(await seqsOf(copy, 5)).toEqual(dense(5))
    await world.append(session, 3)
    for (const tab of [first, second, copy]) expect(await seqsOf(tab, 8)).toEqual(dense(8))
    const ids = await Promise.all([first, second, copy].map(tab => tab.evaluate(() => globalThis.app.followed.get('main')?.client.clientId())))
    expect(new Set(ids).size).toBe(3)
    await copy.reload()
    await copy.waitForFunction(() => globalThis.app !== undefined)
    await world.follow(copy, { session, keepAs: 'copy' })
    await world.append(session, 1)
    expect(await seqsOf(copy, 9)).toEqual(dense(9))
    expect(await copy.evaluate(() => globalThis.app.followed.get('main')?.client.clientId())).toBe(ids[2])
    await context.close()
  })
})

describeInBrowser('a page that sends', () => {
  const items = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `item-${from + index}`)
  const send = (page: Page, texts: readonly string[]): Promise<void> =>
    page.evaluate(given => {
      for (const text of given) void globalThis.app.followed.get('main')?.handle.send('session.append', { events: [{ event_type: 'message', content: text }] })
    }, texts)

  test('[CLI-03] inputs made while the server is away are pending, outlive a reload, and are delivered once, in order', async () => {
    const session = await world.run()
    const page = await world.page()
    await world.follow(page, { session })
    await phaseOf(page, 'live')
    await send(page, items(1, 2))
    await seqsOf(page, 2)
    await world.kill()
    await phaseOf(page, 'waiting')
    await send(page, items(3, 5))
    await page.reload()
    await page.waitForFunction(() => globalThis.app !== undefined)
    await world.follow(page, { session })
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.pending.length === 3)
    await send(page, items(6, 7))
    await world.restart()
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.pending.length === 0)
    expect((await world.log(session)).map(event => event.payload.content)).toEqual(items(1, 7))
    await page.close()
  })

  test("[CLI-03] [SEQ-18] a producer's items made while offline are delivered once, in order, with their acks", async () => {
    const session = await world.run()
    const context = await world.browser.newContext()
    const page = await world.page(context)
    await page.evaluate(
      ([url, id]) => {
        const producer = globalThis.app.client({ url }).producer(id, { batchEvents: 10 })
        Object.assign(globalThis, { producer, acks: [] })
      },
      [world.proxy.url, session] as const,
    )
    const produce = (texts: readonly string[]): Promise<void> =>
      page.evaluate(given => {
        const { producer, acks } = globalThis as unknown as { producer: import('@holdfast/client').Producer; acks: number[] }
        for (const text of given) void producer.append({ event_type: 'message', content: text }).then(ack => acks.push(ack.seq))
      }, texts)
    await produce(items(1, 15))
    await page.waitForFunction(() => (globalThis as unknown as { acks: number[] }).acks.length === 15)
    await context.setOffline(true)
    await produce(items(16, 50))
    await world.kill()
    await world.restart()
    await context.setOffline(false)
    await page.waitForFunction(() => (globalThis as unknown as { acks: number[] }).acks.length === 50)
    expect((await world.log(session)).map(event => event.payload.content)).toEqual(items(1, 50))
    expect(await page.evaluate(() => (globalThis as unknown as { acks: number[] }).acks)).toEqual(dense(50))
    await context.close()
  })
})
