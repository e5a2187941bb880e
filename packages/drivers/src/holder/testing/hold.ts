// edge: support of tests that start real processes, with real ids.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, onTestFinished, vi } from 'vitest'
import { connectHolder } from '../connect-holder.ts'
import { holderClock } from '../holder-clock.ts'
import { type InstalledHolder, installHolder } from '../install-holder.ts'
import type { HolderLink } from '../link.ts'
import { linuxProcesses as processes, signalGroup } from '../processes.ts'
import type { HolderRemains } from '../remains.ts'
import { programEnv } from '../program-env.ts'
import { type HoldOptions, startHolder, type StartResult } from '../start-holder.ts'

const BUNDLER = fileURLToPath(new URL('../../../../../scripts/bundle-holder.mjs', import.meta.url))

/** How many times the tests that look for rare losses go round. */
export const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 10)

export const connection = { clock: holderClock }

/** A data folder with the holder's bundle in it, as the build makes it, for all tests of a file. */
export function useHolder(): { readonly dataDir: string; readonly installed: InstalledHolder } {
  const made = { dataDir: '', installed: { main: '', digest: '' } }
  beforeAll(() => {
    made.dataDir = mkdtempSync(join(tmpdir(), 'holder-'))
    execFileSync(process.execPath, [BUNDLER, join(made.dataDir, 'bundle')])
    made.installed = installHolder(made.dataDir, join(made.dataDir, 'bundle', 'holder.mjs'))
    return () => rmSync(made.dataDir, { recursive: true, force: true })
  })
  return made
}

type Given = Partial<HoldOptions> & { readonly folder?: string }

/** Starts a holder for `sh -c script`, or another command, in a folder of its own; what is left of it ends with the test. */
export async function hold(
  made: { readonly dataDir: string; readonly installed: InstalledHolder },
  script: string,
  { folder = join(made.dataDir, 'held', randomUUID()), ...options }: Given = {},
): Promise<{ readonly folder: string; readonly result: StartResult }> {
  const result = await startHolder(
    folder,
    { sessionId: 's1', incarnation: 1, mode: 'pty', command: 'sh', args: ['-c', script], cwd: made.dataDir, env: programEnv(process.env, {}), ...options },
    { installed: made.installed, clock: holderClock, random: { id: randomUUID, fraction: Math.random } },
  )
  const pids = result.state === 'started' ? [result.holderPid, result.programPid] : []
  const started = pids.map(pid => ({ pid, startTime: processes.startTime(pid) }))
  onTestFinished(() => {
    for (const { pid, startTime } of started) {
      if (startTime === undefined || processes.startTime(pid) !== startTime) continue
      if (!signalGroup(pid, 'SIGKILL')) process.kill(pid, 'SIGKILL')
    }
  })
  return { folder, result }
}

/** As `hold`, for what must start. */
export async function held(made: { readonly dataDir: string; readonly installed: InstalledHolder }, script: string, options: Given = {}): Promise<string> {
  const { folder, result } = await hold(made, script, options)
  if (result.state !== 'started') throw new Error(`${result.code}: ${result.message}`)
  return folder
}

/** The link to a holder that must be alive; closed with the test. */
export async function linkTo(folder: string): Promise<HolderLink> {
  const found = await connectHolder(folder, connection)
  if (found.state !== 'live') throw new Error(`${found.state}: ${found.reason}`)
  onTestFinished(() => found.link.close())
  return found.link
}

/** What there is to read of a program that may have ended already. */
export async function sourceOf(folder: string): Promise<HolderLink | HolderRemains> {
  const found = await connectHolder(folder, connection)
  if (found.state === 'unreachable') throw new Error(found.reason)
  if (found.state === 'dead') return found.remains
  onTestFinished(() => found.link.close())
  return found.link
}

/** The remains of a holder that is about to end. */
export function remainsAtEnd(folder: string): Promise<HolderRemains> {
  return vi.waitUntil(
    async () => {
      const found = await connectHolder(folder, connection)
      if (found.state === 'live') found.link.close()
      return found.state === 'dead' ? found.remains : undefined
    },
    { timeout: 20_000, interval: 10 },
  )
}
