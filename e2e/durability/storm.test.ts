import { createSeededRandom } from '@holdfast/testkit/sim'
import { expect, it, vi } from 'vitest'
import { freePort, startServer, tempDir, until } from '../lib/process.ts'
import { recordResult } from '../lib/results.ts'
import { createRun, item, must } from './lib/client.ts'
import { startCrowdReader } from './lib/crowd.ts'
import { memoryOf, noProc, noSockets } from './lib/means.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const READERS = 1000
const SESSIONS = 10
const SEED = Number(process.env['HOLDFAST_SEED'] ?? 1)
const ENV = { HOLDFAST_LIMITS_CONNECTIONS: '4000', HOLDFAST_LOG_LEVEL: 'warn' }

it(`[fault 17] ${READERS} readers come back within a second of a kill -9: each goes on where it was, without a hole (seed ${SEED})`, async context => {
  const missing = noSockets(2 * READERS)
  if (missing) return context.skip(missing)
  const random = createSeededRandom(SEED)
  const dataDir = tempDir()
  const port = await freePort()
  const sessions = Array.from({ length: SESSIONS }, (_, n) => `s${n}`)
  const first = await startServer({ dataDir, port, env: ENV })
  const heads = new Map<string, number>()
  const append = async (count: number): Promise<void> => {
    for (const id of sessions) {
      const answer = await must(
        first,
        'POST',
        `/sessions/${id}/events`,
        Array.from({ length: count }, (_, n) => item(`${id}-${heads.get(id) ?? 0}-${n}`, 'x'.repeat(100))),
      )
      heads.set(id, answer.body?.['last_seq'] as number)
    }
  }
  for (const id of sessions) await createRun(first, id)
  await append(20)
  const readers = Array.from({ length: READERS }, (_, n) => ({
    session: sessions[n % SESSIONS] as string,
    reader: startCrowdReader({ url: first.url, session: sessions[n % SESSIONS] as string, over: n % 10 < 8 ? 'ws' : 'sse', pauseMs: () => random.int(900) }),
  }))
  const behind = (): number => readers.filter(({ session, reader }) => reader.seq < (heads.get(session) ?? 0)).length
  await until('all at the head', () => behind() === 0, 30_000)
  await append(5)
  // Some are killed while they get this.
  await first.kill()
  const killedAt = performance.now()
  const second = await startServer({ dataDir, port, env: ENV })
  const servingMs = performance.now() - killedAt
  await append(5)
  await until('all at the head again', () => behind() === 0, 40_000)
  const convergedMs = performance.now() - killedAt
  recordResult('storm: readers resume after kill -9', {
    readers: READERS,
    serving_ms: Math.round(servingMs),
    converged_ms: Math.round(convergedMs),
    peak_rss_mib: noProc() ?? Math.round(memoryOf(second.pid).peakBytes / 2 ** 20),
    connects: readers.reduce((sum, { reader }) => sum + reader.connects, 0),
  })
  expect(readers.map(({ reader }) => reader.fault).filter(fault => fault !== undefined)).toEqual([])
  expect(readers.every(({ reader }) => reader.connects >= 2)).toBe(true)
  for (const { reader } of readers) reader.stop()
  expect(await second.stop()).toBe(0)
})
