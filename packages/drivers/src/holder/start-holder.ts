import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import type { Clock, Random } from '@holdfast/core'
import type { HolderConfig, ReadyLine, StartFailure } from './holder-config.ts'
import type { InstalledHolder } from './install-holder.ts'

/** 256 MiB of output wait for a server that is away before the program does. */
const SPOOL_BYTES = 256 << 20
const SEGMENT_BYTES = 4 << 20
const KILL_GRACE_MS = 2000
const EXIT_GRACE_MS = 250
const FOLDER_CHECK_MS = 10_000

/** Longer than Node and a shell need to start on a busy machine. */
const READY_MS = 15_000

/** Keeps a holder small: it has no long-lived objects. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=128', '--no-warnings']

/** What to hold, and the limits where they are not the usual ones. */
export type HoldOptions = Pick<HolderConfig, 'sessionId' | 'incarnation' | 'mode' | 'command' | 'args' | 'cwd' | 'env'> &
  Partial<Pick<HolderConfig, 'cols' | 'rows' | 'spoolBytes' | 'segmentBytes' | 'killGraceMs' | 'exitGraceMs' | 'folderCheckMs'>>

export interface StartPorts {
  readonly installed: InstalledHolder
  readonly clock: Clock
  readonly random: Random
}

export type StartResult =
  | { readonly state: 'started'; readonly holderPid: number; readonly programPid: number }
  | { readonly state: 'failed'; readonly code: StartFailure; readonly message: string }

/**
 * Starts a detached holder in `folder`, which is made (0700); resolves once it listens and its program runs.
 * Where it fails nothing is left, the folder neither. Whoever starts it has stored the folder before: a server that dies here finds it again.
 */
export async function startHolder(folder: string, options: HoldOptions, { installed, clock, random }: StartPorts): Promise<StartResult> {
  if (existsSync(folder)) return { state: 'failed', code: 'folder_in_use', message: 'the folder is there already' }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const config: HolderConfig = {
    holderId: random.id(),
    cols: 80,
    rows: 24,
    spoolBytes: SPOOL_BYTES,
    segmentBytes: SEGMENT_BYTES,
    killGraceMs: KILL_GRACE_MS,
    exitGraceMs: EXIT_GRACE_MS,
    folderCheckMs: FOLDER_CHECK_MS,
    ...options,
  }
  const line = await launch(installed.main, folder, JSON.stringify(config), clock)
  if (line.ok) return { state: 'started', holderPid: line.holderPid, programPid: line.programPid }
  rmSync(folder, { recursive: true, force: true })
  return { state: 'failed', code: line.code, message: line.message }
}

function launch(main: string, folder: string, config: string, clock: Clock): Promise<ReadyLine> {
  const broken = (message: string): ReadyLine => ({ ok: false, code: 'holder_failed', message })
  return new Promise(resolve => {
    const child = spawn(process.execPath, [...NODE_FLAGS, main], {
      cwd: folder,
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      // Enough to find stty; the program's environment is in the configuration.
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    })
    let said = ''
    const settle = (line: ReadyLine): void => {
      stop()
      if (!line.ok) child.kill('SIGKILL')
      child.stdin.destroy()
      child.stdout.destroy()
      child.unref()
      resolve(line)
    }
    const stop = clock.after(READY_MS, () => settle(broken('it did not say that it is ready')))
    child.on('error', error => settle(broken(error.message)))
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      said += text
      if (said.includes('\n')) settle(readyLineFrom(said) ?? broken('it said something else'))
    })
    child.stdout.on('end', () => settle(broken('it ended before it was ready')))
    child.stdin.on('error', () => {})
    child.stdin.end(config)
  })
}

function readyLineFrom(text: string): ReadyLine | undefined {
  try {
    const line = JSON.parse(text) as Partial<ReadyLine>
    return typeof line.ok === 'boolean' ? (line as ReadyLine) : undefined
  } catch {
    return undefined
  }
}
