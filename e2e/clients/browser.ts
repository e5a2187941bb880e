import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import { rolldown } from 'rolldown'
import { ROOT } from '../lib/process.ts'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The machine's Chromium; undefined, and said aloud, where there is none. */
export function findChromium(): string | undefined {
  const found = [process.env.HOLDFAST_CHROMIUM, ...CHROMIUM].find(path => path !== undefined && existsSync(path))
  if (found === undefined) console.warn('SKIPPED: no Chromium on this machine (set HOLDFAST_CHROMIUM to one); nothing was tested in a browser.')
  return found
}

/** Headless, with a profile of its own. */
export const launch = (executablePath: string): Promise<Browser> => chromium.launch({ executablePath, headless: true, args: FLAGS })

/** A module with all that it imports, as a browser takes it. */
export async function bundle(path: string): Promise<string> {
  const build = await rolldown({ input: join(ROOT, path), platform: 'browser', resolve: { conditionNames: ['import', 'default'] }, logLevel: 'silent' })
  const { output } = await build.generate({ format: 'esm' })
  await build.close()
  return output[0].code
}

export interface Site {
  readonly origin: string
  close(): Promise<void>
}

/** Serves one page with one script on a free port of loopback: an origin of its own. */
export async function serveSite(
  script: string,
  html = '<!doctype html><meta charset="utf-8"><title>page</title><script type="module" src="/app.js"></script>',
): Promise<Site> {
  const server: Server = createServer((request, response) => {
    const isScript = request.url === '/app.js'
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
    response.end(isScript ? script : html)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}
