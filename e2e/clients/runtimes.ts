import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { ROOT } from '../lib/process.ts'

/** A runtime that the client must work under; `command` is undefined where this machine has none. */
export interface Runtime {
  readonly name: string
  readonly command: readonly string[] | undefined
}

/** Runtimes whose binaries come inside registry packages. */
const PACKAGES = { bun: '1.4.5', deno: '2.9.6' }
const SCRATCH = join(tmpdir(), 'holdfast-runtimes')

/** Every runtime; Bun and Deno are installed into a scratch folder once. What is missing is said aloud. */
export function findRuntimes(): Runtime[] {
  installPackages()
  const found: Runtime[] = [
    { name: 'Node 24', command: [process.execPath] },
    { name: 'Node 20', command: oldNode() },
    { name: 'Bun', command: binary('@oven', /^bun-/, join('bin', 'bun')) },
    { name: 'Deno', command: binary('@deno', /./, 'deno')?.concat('run', '-A', '--node-modules-dir=manual') },
  ]
  for (const { name, command } of found) if (!command) console.warn(`SKIPPED: no ${name} on this machine; the client was not tried under it.`)
  return found
}

const answers = (command: string): string | undefined => {
  try {
    return execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** The machine's own Node, where it is version 20: the oldest that the client supports. */
function oldNode(): string[] | undefined {
  const places = (process.env.PATH ?? '').split(delimiter).filter(place => !place.includes('node_modules'))
  const path = places.map(place => join(place, 'node')).find(candidate => existsSync(candidate) && answers(candidate)?.startsWith('v20.'))
  return path === undefined ? undefined : [path]
}

function binary(scope: string, name: RegExp, path: string): string[] | undefined {
  const folder = join(SCRATCH, 'node_modules', scope)
  if (!existsSync(folder)) return undefined
  const found = readdirSync(folder)
    .filter(entry => name.test(entry))
    .map(entry => join(folder, entry, path))
    .find(candidate => answers(candidate) !== undefined)
  return found === undefined ? undefined : [found]
}

function installPackages(): void {
  if (existsSync(SCRATCH)) return
  const fresh = mkdtempSync(`${SCRATCH}-`)
  try {
    mkdirSync(fresh, { recursive: true })
    writeFileSync(join(fresh, 'package.json'), '{"private":true}')
    const wanted = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`)
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', ...wanted], {
      cwd: fresh,
      stdio: 'ignore',
      timeout: 60_000,
    })
    renameSync(fresh, SCRATCH)
  } catch {
    // Somebody else was quicker, or there is no registry: what is missing is said by name.
    rmSync(fresh, { recursive: true, force: true })
  }
}

export interface Program {
  /** Resolves when it has said "half", or ended. */
  readonly half: Promise<void>
  /** Its last line, parsed; rejects with what it said where that is none. */
  readonly result: Promise<{ seqs: number[]; acks: { n: number; seq: number }[]; errors: string[]; used: string }>
  /** Lets it go on. */
  go(): void
  end(): void
}

/** Starts the program that follows and produces. */
export function startProgram(command: readonly string[], args: readonly string[]): Program {
  const child = spawn(command[0] as string, [...command.slice(1), join('e2e', 'clients', 'runtime-program.mjs'), ...args], { cwd: ROOT, stdio: 'pipe' })
  let out = ''
  let err = ''
  let tellHalf = (): void => {}
  const half = new Promise<void>(resolve => {
    tellHalf = resolve
  })
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
    if (out.includes('half\n')) tellHalf()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const result = new Promise<Awaited<Program['result']>>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      tellHalf()
      try {
        resolve(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '') as Awaited<Program['result']>)
      } catch {
        reject(new Error(`${command[0]} ended with ${code}: ${out}${err}`))
      }
    })
  })
  result.catch(() => undefined)
  child.stdin.on('error', () => undefined)
  return { half, result, go: () => void child.stdin.write('go\n'), end: () => child.kill('SIGKILL') }
}
