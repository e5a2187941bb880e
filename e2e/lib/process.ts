import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
/** The built command, as a user's shell would run it. */
export const BIN = join(ROOT, 'packages', 'cli', 'bin', 'holdfast.mjs')

const live = new Set<ChildProcess>()
const folders = new Set<string>()
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
// The runner ends its workers by a signal, after which `exit` would not come.
process.once('SIGTERM', () => process.exit(143))

/** A folder that goes with the test process. */
export function tempDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  folders.add(folder)
  return folder
}

/** A port below the ephemeral range, so that no client's own port takes it while the server is down. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const port = 12_000 + Math.floor(Math.random() * 18_000)
    const isFree = await new Promise<boolean>(resolve => {
      const probe = net.createServer()
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
  throw new Error('no free port')
}

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  readonly port: number
  readonly dataDir: string
  readonly tokenFile: string | null
  /** Everything it said on stderr, the last 64 KB. */
  stderr(): string
  /** kill -9; resolves when it is gone. */
  kill(): Promise<number | null>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  signal(name: NodeJS.Signals): void
  readonly exited: Promise<number | null>
}

export interface StartOptions {
  readonly dataDir?: string
  readonly port?: number
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** In front of node: `strace -f …`. */
  readonly wrap?: readonly string[]
}

/** Starts the real server as a process of its own; rejects with what it said where it does not come up. */
export async function startServer(options: StartOptions = {}): Promise<ServerProcess> {
  const dataDir = options.dataDir ?? tempDir()
  const port = options.port ?? (await freePort())
  const command = [...(options.wrap ?? []), process.execPath, BIN, 'serve', '--port', String(port), '--data-dir', dataDir, '--json', ...(options.args ?? [])]
  const child = spawn(command[0] as string, command.slice(1), { cwd: ROOT, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  live.add(child)
  let err = ''
  child.stderr.on('data', (data: Buffer) => {
    err = (err + data.toString()).slice(-65_536)
  })
  const exited = new Promise<number | null>(resolve => {
    child.once('exit', code => {
      live.delete(child)
      resolve(code)
    })
  })
  const info = await new Promise<{ url: string; pid: number; token_file: string | null }>((resolve, reject) => {
    let out = ''
    child.once('error', reject)
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString()
      const end = out.indexOf('\n')
      if (end >= 0) resolve(JSON.parse(out.slice(0, end)) as { url: string; pid: number; token_file: string | null })
    })
    void exited.then(code => reject(Object.assign(new Error(`the server exited with ${code}: ${err.slice(-2000)}`), { code })))
  })
  const signal = (name: NodeJS.Signals): void => {
    // Its number may be another process's by now.
    if (!live.has(child)) return
    try {
      process.kill(info.pid, name)
    } catch {}
  }
  return {
    url: info.url,
    pid: info.pid,
    port,
    dataDir,
    tokenFile: info.token_file,
    stderr: () => err,
    exited,
    signal,
    kill() {
      signal('SIGKILL')
      return exited
    },
    stop() {
      signal('SIGTERM')
      return exited
    },
  }
}

/** Waits for a condition, and says what it waited for when it never comes. */
export async function until<T>(what: string, look: () => T | Promise<T>, timeoutMs = 20_000): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = await look()
    if (value) return value as NonNullable<T>
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
