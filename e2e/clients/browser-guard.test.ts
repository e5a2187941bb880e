import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT, tempDir, until } from '../lib/process.ts'
import { findChromium, serveSite } from './browser.ts'
import { createWorld, dense, phaseOf, type World } from './world.ts'

const chromium = findChromium()
const describeInBrowser = describe.skipIf(chromium === undefined)

let world: World
beforeAll(async () => {
  if (chromium) world = await createWorld(chromium)
})
afterAll(async () => world?.close())

describeInBrowser('examples/browser', () => {
  test('[CLI-02] [CLI-03] starts with one command, shows what is appended, and after a reload all of it', async () => {
    const child = spawn(process.execPath, [join(ROOT, 'examples/browser/start.mjs'), '--port', '0', '--data-dir', tempDir()], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
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
      const count = async (): Promise<number> =>
        ((await (await fetch(`${world.server.url}/sessions?limit=1000`)).json()) as { sessions: unknown[] }).sessions.length
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
            const create = fetch(`${url}/sessions`, {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: '{"session_name":"foreign"}',
            }).then(
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
      expect(await world.log(session)).toHaveLength(3)
    } finally {
      await context.close()
      await other.close()
    }
  })

  test('[OPS-01] a token goes in the first message, over fetch in a header; a wrong one is final', async () => {
    const [session, other] = [await world.run('admin'), await world.run('admin')]
    const page = await world.page()
    for (const transport of ['ws', 'sse', 'poll'] as const) {
      await world.follow(page, { session, name: transport, token: world.token, transports: [transport] })
      await phaseOf(page, 'live', transport)
      world.proxy.asked.length = 0
      await world.follow(page, { session: other, name: `${transport} wrong`, token: `hf_${'x'.repeat(43)}`, transports: [transport] })
      await phaseOf(page, 'failed', `${transport} wrong`)
      const code = await page.evaluate(
        name => (globalThis.app.followed.get(name)?.handle.state.error as { code?: string } | undefined)?.code,
        `${transport} wrong`,
      )
      expect(code).toBe('unauthorized')
      // What follows the first session goes on asking.
      expect(world.proxy.asked.filter(asked => asked === 'GET /ws' || asked.startsWith(`GET /sessions/${other}`))).toHaveLength(1)
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
    const reach = (count: number): Promise<unknown> =>
      page.waitForFunction(wanted => (globalThis as unknown as { seqs: number[] }).seqs.length >= wanted, count)
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
    const response = await fetch(`${world.server.url}/tickets`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ session_id: session, scope: 'read', ...more }),
    })
    return (await response.json()) as { ticket: string }
  }
})
