import { createHash } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { createRun, item, must, post, readLog } from './lib/client.ts'
import { filesOf } from './lib/files.ts'
import { noStrace } from './lib/means.ts'
import { type Call, filesNotSyncedBefore, isCommit, isCreated, isToPeer, isWalSync, readTrace, shownBeforeSynced, tracing } from './lib/trace.ts'
import { watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 1)
const POSTS = 60 * ROUNDS

/** Clients post, one reads live; every item has a marker, which its id holds too, so that the ack shows it. */
async function traced(durability: 'full' | 'relaxed', writers: number): Promise<{ readonly calls: Call[]; readonly markers: string[] }> {
  const { wrap, path } = tracing()
  const server = await startServer({ dataDir: tempDir(), wrap, args: ['--durability', durability] })
  await createRun(server, 'traced')
  const reader = watch('ws', { ...server, session: 'traced' })
  await until('the reader', () => reader.caughtUp)
  const markers = Array.from({ length: POSTS }, (_, n) => `mark-${n}-er`)
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = writer; n < POSTS; n += writers) expect((await post(server, 'traced', [item(markers[n] as string, 'x'.repeat(20))])).status).toBe(201)
    }),
  )
  await until('all of it at the reader', () => reader.seqs.length === POSTS)
  reader.close()
  expect(await server.stop()).toBe(0)
  return { calls: readTrace(path), markers }
}

describe('system calls', () => {
  for (const writers of [1, 6]) {
    it(`[SEQ-05] [fault 31] before an ack or an event leaves on a socket, a sync that covers it has ended (${writers} at once)`, async context => {
      const missing = noStrace()
      if (missing) return context.skip(missing)
      const { calls, markers } = await traced('full', writers)
      const { shown, violations } = shownBeforeSynced(calls, markers)
      expect(shown, 'each was acked and delivered').toBeGreaterThanOrEqual(2 * POSTS)
      expect(violations).toEqual([])
    })
  }

  it('[fault 31] with syncing turned off the same look at the system calls fails', async context => {
    const missing = noStrace()
    if (missing) return context.skip(missing)
    const { calls, markers } = await traced('relaxed', 1)
    const { violations } = shownBeforeSynced(calls, markers)
    expect(violations.length).toBeGreaterThanOrEqual(2 * POSTS)
    expect(new Set(violations.map(violation => violation.problem))).toEqual(new Set(['not synced']))
  })

  it('[SEQ-05] [fault 3] what a start finds in the write-ahead log, where a killed server may not have synced it, is synced before anybody is shown it', async context => {
    const missing = noStrace()
    if (missing) return context.skip(missing)
    const dataDir = tempDir()
    const server = await startServer({ dataDir })
    await createRun(server, 'traced')
    for (let n = 0; n < 5; n++) await post(server, 'traced', [item(`mark-${n}-er`, 'x')])
    await server.kill()
    for (const durability of ['full', 'relaxed'] as const) {
      const { wrap, path } = tracing()
      const next = await startServer({ dataDir, wrap, args: ['--durability', durability] })
      expect((await readLog(next, 'traced')).head).toBe(5)
      // The tracer notes a call when it returns: a second answer shows that the first one's has.
      await fetch(new URL('/healthz', next.url))
      await next.kill()
      const calls = readTrace(path)
      const shown = calls.find(call => isToPeer(call) && call.bytes.includes('mark-4-er'))
      const synced = calls.find(call => isWalSync(call))
      expect(shown, 'it was shown').toBeDefined()
      const isSyncedFirst = synced !== undefined && synced.ended < (shown?.began ?? 0)
      expect(isSyncedFirst, durability === 'full' ? 'synced first' : 'the same look fails where syncing is turned off').toBe(durability === 'full')
    }
  })

  it('[fault 31] a segment file and its name are on disk before the commit that counts on it, a blob and its name before the answer', async context => {
    const missing = noStrace()
    if (missing) return context.skip(missing)
    const { wrap, path } = tracing()
    const dataDir = tempDir()
    const server = await startServer({ dataDir, wrap, env: { HOLDFAST_TIMES_COLD_AFTER_MS: '300' } })
    await createRun(server, 'traced')
    const blob = Buffer.alloc(300_000, 'b')
    await must(server, 'PUT', `/sessions/traced/blobs/${createHash('sha256').update(blob).digest('hex')}`, blob, { 'content-type': 'application/octet-stream' })
    await post(
      server,
      'traced',
      Array.from({ length: 20 }, (_, n) => item(`i${n}`, String(n).repeat(1000))),
    )
    await until('a segment', () => filesOf(`${dataDir}/segments`).length > 0)
    expect(await server.stop()).toBe(0)
    const calls = readTrace(path)
    const blobs = (target: string): boolean => target.includes('/blobs/')
    const segments = (target: string): boolean => target.endsWith('.seg')
    expect(calls.some(call => blobs(call.target) && call.bytes.length > 0)).toBe(true)
    expect(calls.some(call => segments(call.target) && call.bytes.length > 0)).toBe(true)
    expect(filesNotSyncedBefore(calls, blobs, isCreated)).toEqual([])
    expect(filesNotSyncedBefore(calls, segments, isCommit)).toEqual([])
    const unsynced = calls.filter(call => !call.name.endsWith('sync'))
    expect(filesNotSyncedBefore(unsynced, blobs, isCreated), 'the same look finds a missing sync').not.toEqual([])
    expect(filesNotSyncedBefore(unsynced, segments, isCommit), 'the same look finds a missing sync').not.toEqual([])
  })
})
