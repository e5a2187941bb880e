import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import type { Context } from './case.ts'
import { BENCH, BIN, ROOT } from './paths.ts'

/** A server in a process of its own. */
export interface Server {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly dataDir: string | null
  /** An admin token; '' where the server has none. */
  readonly token: string
  /** ms from the spawn until it said that it accepts connections. */
  readonly readyMs: number
  /** kill -9, resolves when it is gone. */
  kill(): Promise<void>
}

export interface ServerOptions {
  readonly dataDir?: string
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** For node itself: `--cpu-prof`, `--max-old-space-size`. */
  readonly nodeArgs?: readonly string[]
}

/** Limits that would be what is measured: one principal is all the load here. */
const NO_RATE_LIMITS = { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '10000000', HOLDFAST_LIMITS_CONNECTIONS: '1000000', HOLDFAST_LIMITS_SESSIONS: '10000000' }

const live = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

/** Starts `node file …args`, whose first line of JSON on stdout has its `url`; rejects with what it said where it ends instead. */
export async function startNode(context: Context, args: readonly string[], { env = {}, nodeArgs = [], dataDir }: ServerOptions = {}): Promise<Server> {
  const begun = performance.now()
  const child = spawn(process.execPath, [...nodeArgs, ...args], { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  live.add(child)
  let said = ''
  child.stderr.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-8192)
  })
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await gone
    live.delete(child)
  }
  context.defer(kill)
  const line = await Promise.race([
    new Promise<string>(resolve => createInterface({ input: child.stdout }).on('line', text => text.startsWith('{') && resolve(text))),
    gone.then(() => {
      throw new Error(`${args[0]} ended before it was ready: ${said}`)
    }),
  ])
  const readyMs = performance.now() - begun
  const ready = JSON.parse(line) as { url: string; pid?: number; token_file?: string | null }
  return {
    url: ready.url,
    port: Number(new URL(ready.url).port),
    pid: ready.pid ?? (child.pid as number),
    dataDir: dataDir ?? null,
    token: typeof ready.token_file === 'string' ? readFileSync(ready.token_file, 'utf8').trim() : '',
    readyMs,
    kill,
  }
}

let folders = 0
const newFolder = (context: Context): string => join(context.folder, `data-${++folders}`)

/** The real command, as a user starts it, with the rate limits out of the way. */
export function startHoldfast(context: Context, options: ServerOptions = {}): Promise<Server> {
  const dataDir = options.dataDir ?? newFolder(context)
  const args = [BIN, 'serve', '--json', '--port', String(options.port ?? 0), '--data-dir', dataDir]
  return startNode(context, args, { ...options, dataDir, env: { ...NO_RATE_LIMITS, ...options.env } })
}

/** The same server on a store that keeps rows and nothing else: what sockets, parsing and stamping cost without a log. */
export function startStoringNothing(context: Context, options: ServerOptions = {}): Promise<Server> {
  const dataDir = newFolder(context)
  return startNode(context, [join(BENCH, 'servers/storing-nothing.ts'), dataDir], { ...options, dataDir, env: { ...NO_RATE_LIMITS, ...options.env } })
}

/** Resident memory of a process in bytes; `anonymous` leaves out what is mapped from files. */
export function memoryOf(pid: number): { readonly resident: number; readonly anonymous: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) * 1024
  return { resident: field('VmRSS'), anonymous: field('RssAnon'), peak: field('VmHWM') }
}
