import { readFileSync } from 'node:fs'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { freePort, type ServerProcess, startServer, tempDir } from '../lib/process.ts'
import { bundle, launch, serveSite, type Site } from './browser.ts'
import type { FollowOptions } from './page/app.ts'
import { createPickyProxy, type PickyProxy } from './picky-proxy.ts'

declare global {
  /** In the page. */
  var app: typeof import('./page/app.ts').app
}

/** A server process, a proxy before it, and a browser with an allowed page. */
export interface World {
  readonly server: ServerProcess
  readonly proxy: PickyProxy
  readonly site: Site
  readonly browser: Browser
  /** The admin's. */
  readonly token: string
  readonly script: string
  kill(): Promise<void>
  restart(): Promise<void>
  /** A run with a new id; append to it with `append`. */
  run(owner?: 'admin'): Promise<string>
  append(session: string, count: number, owner?: 'admin'): Promise<void>
  /** The whole log, past the client. */
  log(session: string): Promise<readonly { readonly payload: { readonly content?: unknown } }[]>
  follow(page: Page, options: Partial<FollowOptions> & { readonly session: string }): Promise<void>
  /** A page with a storage of its own, once its script runs. */
  page(context?: BrowserContext): Promise<Page>
  close(): Promise<void>
}

export async function createWorld(chromium: string): Promise<World> {
  const script = await bundle('e2e/clients/page/app.ts')
  const site = await serveSite(script)
  const [port, dataDir, browser] = await Promise.all([freePort(), tempDir(), launch(chromium)])
  const start = (): Promise<ServerProcess> => startServer({ port, dataDir, args: ['--allow-origin', site.origin], env: { HOLDFAST_LOG_LEVEL: 'warn' } })
  let server = await start()
  const token = readFileSync(server.tokenFile as string, 'utf8').trim()
  const proxy = await createPickyProxy(port)
  const contexts: BrowserContext[] = []
  let sessions = 0

  const post = async (path: string, body: unknown, owner?: 'admin'): Promise<void> => {
    const headers = { 'content-type': 'application/json', ...(owner ? { authorization: `Bearer ${token}` } : {}) }
    const response = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  }
  return {
    get server() {
      return server
    },
    proxy,
    site,
    browser,
    token,
    script,
    kill: async () => void (await server.kill()),
    restart: async () => {
      server = await start()
      // A restart after a kill is nothing to warn of.
      if (server.stderr() !== '') console.error(server.stderr())
    },
    run: async owner => {
      const id = `run-${++sessions}`
      await post('/sessions', { session_id: id, session_name: id }, owner)
      return id
    },
    append: (session, count, owner) =>
      post(
        `/sessions/${session}/events`,
        Array.from({ length: count }, (_, index) => ({ event_type: 'message', role: 'assistant', content: `text ${index}` })),
        owner,
      ),
    log: async session => {
      const answer = await fetch(`${server.url}/sessions/${session}/events?limit=1000`)
      return ((await answer.json()) as { events: { payload: { content?: unknown } }[] }).events
    },
    follow: (page, options) => page.evaluate(given => globalThis.app.follow(given), { url: proxy.url, ...options }),
    page: async given => {
      const context = given ?? (await browser.newContext())
      if (!given) contexts.push(context)
      const page = await context.newPage()
      await page.goto(site.origin)
      await page.waitForFunction(() => globalThis.app !== undefined)
      return page
    },
    close: async () => {
      await browser.close()
      await proxy.close()
      await site.close()
      await server.stop()
    },
  }
}

export const dense = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

/** Waits in the page until it has `count` events, then gives their seqs; where they are not dense it says what the page went through. */
export async function seqsOf(page: Page, count: number, name = 'main'): Promise<number[]> {
  await page.waitForFunction(([wanted, key]) => globalThis.app.seqs(key).length >= wanted, [count, name] as const)
  const [seqs, phases] = await page.evaluate(key => [globalThis.app.seqs(key), globalThis.app.followed.get(key)?.phases ?? []] as const, name)
  if (seqs.some((seq, index) => seq !== index + 1)) console.error(`${name} is not dense: ${phases.join(', ')}`)
  return seqs
}

export const phaseOf = (page: Page, phase: string, name = 'main'): Promise<unknown> =>
  page.waitForFunction(([wanted, key]) => globalThis.app.followed.get(key)?.handle.state.phase === wanted, [phase, name] as const)
