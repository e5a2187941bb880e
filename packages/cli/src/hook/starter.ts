import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { spoolPlaces } from './spool.ts'

/** A flush touches its file every second; one that did not for this long is taken for dead, and another is started (the kernel's lock decides). */
export const FRESH_MS = 8000

/** True when a flush seems to run: a hint that saves a process, never a lock. */
export function flushRuns(spool: string, nowMs: number): boolean {
  const { running } = spoolPlaces(spool)
  try {
    if (Math.abs(nowMs - statSync(running).mtimeMs) > FRESH_MS) return false
    const { pid } = JSON.parse(readFileSync(running, 'utf8')) as { pid: number }
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** This file's own ending: sources run as they are in development. */
const ENDING = import.meta.url.slice(-3)

/** Starts a detached flush of this spool, which outlives the caller. */
export function startFlush(spool: string, dataDir: string): void {
  const env: NodeJS.ProcessEnv = { ...process.env, HOLDFAST_SPOOL: spool, HOLDFAST_DATA_DIR: dataDir }
  // Loaders and debug ports of the project under work are not for this process.
  delete env.NODE_OPTIONS
  const main = fileURLToPath(new URL(`./flush-main${ENDING}`, import.meta.url))
  const child = spawn(process.execPath, ENDING === '.ts' ? ['--conditions=holdfast-source', main] : [main], {
    detached: true,
    stdio: 'ignore',
    cwd: spool,
    env,
  })
  child.on('error', () => undefined)
  child.unref()
}
