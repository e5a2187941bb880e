import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT, tempDir, until } from '../lib/process.ts'
import { findChromium, serveSite } from './browser.ts'
import type { FollowOptions } from './page/app.ts'
import { createWorld, dense, phaseOf, seqsOf, type World } from './world.ts'

const chromium = findChromium()
const describeInBrowser = describe.skipIf(chromium === undefined)

let world: World
beforeAll(async () => {
  if (chromium) world = await createWorld(chromium)
})
afterAll(async () => world?.close())

const follow = (page: Page, options: Partial<FollowOptions> & { session: string }): Promise<void> =>
  page.evaluate(given => globalThis.app.follow(given), { url: world.proxy.url, ...options })
const transportOf = (page: Page): Promise<string | undefined> => page.evaluate(() => globalThis.app.followed.get('main')?.handle.state.transport)
/** Nothing may be appended that nobody waits for: the log is complete and each event is there once. */
const logOf = async (session: string): Promise<{ seq: number; payload: { id?: string; content?: unknown } }[]> => {
  const page = (await (await fetch(`${world.server.url}/sessions/${session}/events?limit=1000`)).json()) as { events: { header: { seq: number }; payload: { id?: string } }[] }
  return page.events.map(event => ({ seq: event.header.seq, payload: event.payload }))
}

describeInBrowser('a page that follows', () => {
  test('[CLI-01] [CLI-05] [SEQ-03] over WebSocket, through a kill -9, dense', async () => {
    const session = await world.run()
    await world.append(session, 20)
    const page = await world.page()
    await follow(page, { session })
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
      await follow(page, { session })
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
    await follow(page, { session, policy: { upgradeMs: 50 } })
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
    await follow(page, { session, policy: { baseMs: 2e9, capMs: 2e9 } })
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
    await follow(page, { session, policy: { baseMs: 1, capMs: 2, maxTries: 4 } })
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
    for (const session of sessions) await follow(page, { session, name: session, transports: ['sse'] })
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
      await follow(page, { session, keepAs: 'seen' })
      await page.waitForFunction(count => globalThis.app.seqs().length > count, before)
      await page.reload()
      await page.waitForFunction(() => globalThis.app !== undefined)
    }
    done = true
    await appending
    await follow(page, { session, keepAs: 'seen' })
    expect(await seqsOf(page, appended)).toEqual(dense(appended))
    await page.close()
  })

  test('[fault 22] [CLI-02] two tabs, and a duplicate of one, have a cursor each', async () => {
    const session = await world.run()
    await world.append(session, 5)
    const context = await world.browser.newContext()
    const first = await world.page(context)
    const second = await world.page(context)
    await follow(first, { session, keepAs: 'first' })
    await follow(second, { session, keepAs: 'second' })
    expect([await seqsOf(first, 5), await seqsOf(second, 5)]).toEqual([dense(5), dense(5)])
    // A page opened by another starts with a copy of its tab's storage, as a duplicated tab does.
    const [copy] = await Promise.all([context.waitForEvent('page'), first.evaluate(() => void window.open(location.href))])
    await copy.waitForFunction(() => globalThis.app !== undefined)
    await follow(copy, { session, keepAs: 'copy' })
    expect(await seqsOf(copy, 5)).toEqual(dense(5))
    await world.append(session, 3)
    for (const tab of [first, second, copy]) expect(await seqsOf(tab, 8)).toEqual(dense(8))
    const ids = await Promise.all([first, second, copy].map(tab => tab.evaluate(() => globalThis.app.followed.get('main')?.client.clientId())))
    expect(new Set(ids).size).toBe(3)
    await copy.reload()
    await copy.waitForFunction(() => globalThis.app !== undefined)
    await follow(copy, { session, keepAs: 'copy' })
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
    await follow(page, { session })
    await phaseOf(page, 'live')
    await send(page, items(1, 2))
    await seqsOf(page, 2)
    await world.kill()
    await phaseOf(page, 'waiting')
    await send(page, items(3, 5))
    await page.reload()
    await page.waitForFunction(() => globalThis.app !== undefined)
    await follow(page, { session })
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.pending.length === 3)
    await send(page, items(6, 7))
    await world.restart()
    await page.waitForFunction(() => globalThis.app.followed.get('main')?.handle.pending.length === 0)
    expect((await logOf(session)).map(event => event.payload.content)).toEqual(items(1, 7))
    await page.close()
  })

  test('[CLI-03] [SEQ-18] a producer\'s items made while offline are delivered once, in order, with their acks', async () => {
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
    expect((await logOf(session)).map(event => event.payload.content)).toEqual(items(1, 50))
    expect(await page.evaluate(() => (globalThis as unknown as { acks: number[] }).acks)).toEqual(dense(50))
    await context.close()
  })
})


describeInBrowser('examples/browser', () => {
  test('[CLI-02] [CLI-03] starts with one command, shows what is appended, and after a reload all of it', async () => {
    const child = spawn(process.execPath, [join(ROOT, 'examples/browser/start.mjs'), '--port', '0', '--data-dir', tempDir()], { stdio: ['ignore', 'pipe', 'ignore'] })
    const gone = new Promise(resolve => child.once('exit', resolve))
    try {
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout.once('data', data => resolve(String(data)))
        child.once('exit', code => reject(new Error(`it ended with ${code}`)))
      })
      const page = await world.browser.newPage()
      await page.goto(line.replace('open ', '').trim())
      for (const text of ['one', 'two']) {
        await page.fill('input', text)
        await page.click('button')
      }
      const shown = (): Promise<string[]> => page.locator('#events li').allTextContents()
      await until('both', async () => (await shown()).length === 2)
      await page.reload()
      await until('both again', async () => (await shown()).length === 2)
      expect(await shown()).toEqual(['one', 'two'])
      expect(await page.textContent('#status')).toBe('live over ws')
      await page.close()
    } finally {
      child.kill()
      await gone
    }
  })
})

describeInBrowser('who may', () => {
  test('[OPS-02] a page of another site can neither open the socket, nor read, nor change anything', async () => {
    const session = await world.run()
    await world.append(session, 3)
    const other = await serveSite(world.script)
    const context = await world.browser.newContext()
    try {
      const count = async (): Promise<number> => ((await (await fetch(`${world.server.url}/sessions?limit=1000`)).json()) as { sessions: unknown[] }).sessions.length
      const sessions = await count()
      for (const address of [other.origin, 'data:text/html,<title>null</title>']) {
        const page = await context.newPage()
        await page.goto(address)
        const got = await page.evaluate(
          async ([url, id]) => {
            const socket = new Promise(resolve => {
              const opened = new WebSocket(`${url.replace('http', 'ws')}/ws?session_id=${id}`)
              opened.onopen = () => resolve('open')
              opened.onclose = event => resolve(event.code)
            })
            const stream = new Promise(resolve => {
              const source = new EventSource(`${url}/sessions/${id}/events`)
              source.onmessage = () => resolve('read')
              source.onerror = () => resolve(source.readyState)
            })
            const read = fetch(`${url}/sessions/${id}/events`).then(
              () => 'read',
              () => 'refused',
            )
            // What a form can send: no preflight, nothing to be read.
            const forms = ['text/plain', 'application/x-www-form-urlencoded'].map(type =>
              fetch(`${url}/sessions`, { method: 'POST', mode: 'no-cors', headers: { 'content-type': type }, body: '{"session_name":"foreign"}' }).then(
                () => 'sent',
                () => 'sent',
              ),
            )
            const create = fetch(`${url}/sessions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"session_name":"foreign"}' }).then(
              () => 'created',
              () => 'refused',
            )
            return Promise.all([socket, stream, read, create, ...forms])
          },
          [world.server.url, session] as const,
        )
        expect(got).toEqual([1006, 2, 'refused', 'refused', 'sent', 'sent'])
      }
      expect(await count()).toBe(sessions)
      expect(await logOf(session)).toHaveLength(3)
    } finally {
      await context.close()
      await other.close()
    }
  })

  test('[OPS-01] a token goes in the first message, over fetch in a header; a wrong one is final', async () => {
    const session = await world.run('admin')
    const page = await world.page()
    for (const transport of ['ws', 'sse', 'poll'] as const) {
      await follow(page, { session, name: transport, token: world.token, transports: [transport] })
      await phaseOf(page, 'live', transport)
      world.proxy.asked.length = 0
      await follow(page, { session, name: `${transport} wrong`, token: `hf_${'x'.repeat(43)}`, transports: [transport] })
      await phaseOf(page, 'failed', `${transport} wrong`)
      const code = await page.evaluate(name => (globalThis.app.followed.get(name)?.handle.state.error as { code?: string } | undefined)?.code, `${transport} wrong`)
      expect(code).toBe('unauthorized')
      expect(world.proxy.asked.filter(asked => asked.startsWith('GET')).length).toBe(1)
    }
    await page.close()
  })

  test('[OPS-01] a ticket opens one socket, without the token in the page', async () => {
    const session = await world.run('admin')
    const page = await world.page()
    const { ticket } = await ticketFor(session)
    const open = (): Promise<string> =>
      page.evaluate(
        ([url, id, pass]) =>
          new Promise<string>(resolve => {
            const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?session_id=${id}&ticket=${pass}`)
            socket.onmessage = event => resolve((JSON.parse(event.data as string) as { type: string }).type)
            socket.onclose = event => resolve(String(event.code))
          }),
        [world.proxy.url, session, ticket] as const,
      )
    expect(await open()).toBe('protocol.hello')
    expect(await open()).toBe('4401')
    await page.close()
  })

  test('[SEQ-04] [fault 21] a native EventSource goes on by itself after a cut, and over a restart with a new stream ticket', async () => {
    const session = await world.run('admin')
    await world.append(session, 5, 'admin')
    const page = await world.page()
    const source = async (): Promise<void> => {
      const { ticket } = await ticketFor(session, { stream: true })
      await page.evaluate(
        ([url, id, pass]) => {
          const kept = globalThis as unknown as { seqs: number[]; place: string; source: EventSource }
          kept.seqs ??= []
          kept.source = new EventSource(`${url}/sessions/${id}/events?cursor=${kept.place ?? 0}&ticket=${pass}`)
          kept.source.onmessage = event => {
            kept.place = event.lastEventId
            kept.seqs.push((JSON.parse(event.data as string) as { header: { seq: number } }).header.seq)
          }
        },
        [world.proxy.url, session, ticket] as const,
      )
    }
    const reach = (count: number): Promise<unknown> => page.waitForFunction(wanted => (globalThis as unknown as { seqs: number[] }).seqs.length >= wanted, count)
    await source()
    await reach(5)
    world.proxy.cut()
    await world.append(session, 2, 'admin')
    await reach(7)
    await world.kill()
    await world.restart()
    // Tickets end with the server: the EventSource is refused, gives up, and the page asks for another one.
    await page.waitForFunction(() => (globalThis as unknown as { source: EventSource }).source.readyState === EventSource.CLOSED)
    await world.append(session, 2, 'admin')
    await source()
    await reach(9)
    expect(await page.evaluate(() => (globalThis as unknown as { seqs: number[] }).seqs)).toEqual(dense(9))
    await page.close()
  })

  const ticketFor = async (session: string, more: Record<string, unknown> = {}): Promise<{ ticket: string }> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${world.token}` }
    const response = await fetch(`${world.server.url}/tickets`, { method: 'POST', headers, body: JSON.stringify({ session_id: session, scope: 'read', ...more }) })
    return (await response.json()) as { ticket: string }
  }
})
