// The detached process that delivers what hooks spooled (RUN-12). Started by a hook, ends by itself.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Api, apiFor, createApi } from '../api.ts'
import { dataFolder, spoolFolder } from '../places.ts'
import { createFlush } from './flush.ts'
import { type FlushLock, takeFlushLock } from './lock.ts'
import { listRecords, writeStatus } from './spool.ts'
import { savedToken } from './tokens.ts'
import { readLines } from './transcript.ts'

/** It looks for more this long after the last delivery: transcripts go on between two hooks, and a running flush saves the next hook a process. */
const LINGER_MS = Number(process.env.HOLDFAST_HOOK_LINGER_MS ?? 5000)
const LOOK_MS = 200
/** A server that is down is tried this long; the next hook starts anew. */
const PATIENCE_MS = Number(process.env.HOLDFAST_HOOK_PATIENCE_MS ?? 10 * 60_000)
const BACKOFF = { firstMs: 200, mostMs: 10_000 }
/** How long a prompt or an answer may take from the hook to the transcript. */
const LINE_MS = 1500

const dataDir = dataFolder()
const spool = spoolFolder(dataDir)

/** The server of a record. Tokens are looked up each time: one that was wrong may have been mended. */
function target(url: string | undefined): Api {
  const api = apiFor({ url, dataDir })
  const own = savedToken(spool, api.url)
  return own === undefined ? api : createApi(api.url, own)
}

/** Runs until nothing is left, or the server stays away; false where another flush has the lock. */
export async function runFlush(report: (error: unknown) => void = () => undefined): Promise<boolean> {
  for (;;) {
    const lock = takeFlushLock(spool)
    if (!lock) return false
    const beat = setInterval(() => lock.touch(), 1000)
    let gaveUp: boolean
    try {
      gaveUp = await work(lock, report)
    } finally {
      clearInterval(beat)
      lock.release()
    }
    // A hook that saw this flush alive wrote its record before the hint went away: look once more after that.
    if (gaveUp || listRecords(spool).length === 0) return true
  }
}

async function work(lock: FlushLock, report: (error: unknown) => void): Promise<boolean> {
  const flush = createFlush({ spool, apiFor: target, read: (path, from, to) => readLines(path, from, to), nowMs: Date.now, wait: waitForLine })
  let idleSince = performance.now()
  let failingSince: number | undefined
  let recovered = false
  for (let failures = 0; ; ) {
    try {
      if (!recovered) await flush.recover()
      recovered = true
      if ((await flush.round()) || (await flush.catchUp())) idleSince = performance.now()
      failures = 0
      failingSince = undefined
      if (performance.now() - idleSince >= LINGER_MS) return false
      await sleep(LOOK_MS)
    } catch (error) {
      failingSince ??= performance.now()
      report(error)
      writeStatus(spool, { error: error instanceof Error ? error.message : String(error), failed_at: new Date().toISOString() })
      if (performance.now() - failingSince >= PATIENCE_MS) return true
      // Full jitter, so that many machines do not come back at once.
      await sleep(50 + Math.random() * Math.min(BACKOFF.mostMs, BACKOFF.firstMs * 2 ** failures++))
      idleSince = performance.now()
    }
    lock.touch()
  }
}

async function waitForLine(attempt: () => boolean): Promise<boolean> {
  for (const until = performance.now() + LINE_MS; ; await sleep(20)) {
    if (attempt()) return true
    if (performance.now() >= until) return false
  }
}

if (import.meta.main) await runFlush()
