import { check, createHistory, hashText } from '@holdfast/testkit/oracle'
import { createSeededRandom } from '@holdfast/testkit/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { createCuttingProxy } from '../lib/cutting-proxy.ts'
import { killInCommit } from '../lib/kill-point.ts'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { recordResult } from '../lib/results.ts'
import { startProducer } from '../lib/producers.ts'
import { startReader, TRANSPORTS } from '../lib/readers.ts'
import { createRun, keyOfRunEvent, readWhole } from '../lib/stress.ts'
import { createAmplifier } from './amplified.ts'

const seed = Number(process.env.HOLDFAST_SEED ?? 1)
/** 40 rounds are the full count: 100 000 events of together over 50 MB. */
const rounds = Number(process.env.HOLDFAST_ROUNDS ?? 1)
const REPORTERS = 4
const EVENTS = Math.ceil((2500 * rounds) / REPORTERS)
/** A kill after so many more events at most. */
const KILL_EVENTS = 400
/** However many events there are, what the test keeps of each is some numbers. */
const MAX_HEAP_BYTES = 400 * 1024 * 1024

let server: ServerProcess
afterEach(async () => {
  await server.kill()
})

describe('a day of coding agents', () => {
  it(
    `[RUN-05] [RUN-07] [SEQ-06] real transcripts, amplified, reach every watcher on every transport as they were posted, through cuts and kills (seed ${seed})`,
    async () => {
      const random = createSeededRandom(seed)
      const amplified = createAmplifier(seed)
      const history = createHistory()
      const dataDir = tempDir()
      const port = await freePort()
      const start = (): Promise<ServerProcess> =>
        startServer({ dataDir, port, env: { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '1000000', HOLDFAST_LOG_LEVEL: 'error' } })
      server = await start()
      const proxy = await createCuttingProxy({ targetPort: port, random: createSeededRandom(seed + 1), cutShare: 0.3, maxBytes: 1_000_000 })
      const runs = Array.from({ length: REPORTERS }, (_, index) => `run-${index}`)
      for (const run of runs) await createRun(server.url, run)
      const readers = runs.flatMap(session =>
        TRANSPORTS.map(transport => startReader({ history, name: `${session}-${transport}`, session, transport, baseUrl: proxy.url, keyOf: keyOfRunEvent })),
      )
      const producers = runs.map((session, index) =>
        startProducer({
          history,
          random: createSeededRandom(seed + 100 + index),
          name: `reporter-${index}`,
          session,
          over: index % 2 === 0 ? 'http' : 'ws',
          baseUrl: proxy.url,
          item: n => amplified(index, n),
          maxBatch: 30,
          total: EVENTS,
        }),
      )

      let heapBytes = 0
      let kills = 0
      const sent = (): number => producers.reduce((sum, producer) => sum + producer.sent, 0)
      while (sent() < EVENTS * REPORTERS) {
        const next = Math.min(sent() + 1 + random.int(KILL_EVENTS), EVENTS * REPORTERS)
        await until(`${next} events (${producers.map(producer => producer.waitsFor).join('; ')})`, () => sent() >= next, 60_000)
        for (const reader of readers) if (random.chance(0.1)) reader.cut()
        if (kills % 2 === 0) await killInCommit(server.pid, 500)
        await server.kill()
        server = await start()
        kills++
        heapBytes = Math.max(heapBytes, process.memoryUsage().heapUsed)
        if (rounds > 1) process.stderr.write(`\r${producers.map(producer => producer.sent).join(' ')} of ${EVENTS}, ${kills} kills `)
      }
      await Promise.all(producers.map(producer => producer.finish()))
      proxy.calm()

      let bytes = 0
      for (const [index, run] of runs.entries()) {
        const { head, size } = await compareWithPosted(server.url, run, n => ({ ...amplified(index, n), id: `reporter-${index}-${n}` }))
        expect(head).toBe(EVENTS)
        bytes += size
        expect(await readWhole(server.url, run, history)).toBe(EVENTS)
      }
      for (const reader of readers) await until(`${reader.name} at ${EVENTS} (it is at ${reader.seq})`, () => reader.seq >= EVENTS, 60_000)
      await Promise.all(readers.map(reader => reader.stop()))
      await server.stop()
      await proxy.close()
      heapBytes = Math.max(heapBytes, process.memoryUsage().heapUsed)
      const connects = readers.reduce((sum, reader) => sum + reader.connects, 0)
      recordResult('real transcripts, amplified; watchers cut, server killed', {
        events: EVENTS * REPORTERS,
        mb: Math.round(bytes / 1e6),
        kills,
        cuts: proxy.cuts,
        connects,
        heap_mb: Math.round(heapBytes / 1e6),
        seed,
      })
      expect(check(history)).toEqual([])
      expect(bytes).toBeGreaterThan(1_250_000 * rounds)
      expect(kills).toBeGreaterThan(0)
      expect(proxy.cuts).toBeGreaterThan(0)
      expect(heapBytes).toBeLessThan(MAX_HEAP_BYTES)
    },
    120_000 + 60_000 * rounds,
  )
})

/** Reads a run page by page and holds every item against the one that was posted at its place; nothing of it is kept. */
async function compareWithPosted(url: string, run: string, posted: (n: number) => Record<string, unknown>): Promise<{ head: number; size: number }> {
  let after = 0
  let size = 0
  for (;;) {
    const response = await fetch(new URL(`/sessions/${run}/events?after=${after}&limit=${1 + (after % 700)}`, url))
    const page = (await response.json()) as {
      events: { type: string; header: { seq: number }; payload: unknown }[]
      next_after: number
      has_more: boolean
      head_seq: number
    }
    for (const { type, header, payload } of page.events) {
      const item = posted(header.seq - 1)
      const text = JSON.stringify(payload)
      size += text.length
      // Hashes, so that a difference is told in a line and not in 250 KB.
      if (hashText(text) !== hashText(JSON.stringify(item))) throw new Error(`${run} at ${header.seq} is not what was posted: ${text.slice(0, 300)}`)
      expect([header.seq, type]).toEqual([after + 1, `run.${item.event_type}`])
      after = header.seq
    }
    expect(page.next_after).toBe(after)
    expect(page.has_more).toBe(after < page.head_seq)
    if (!page.has_more) return { head: page.head_seq, size }
  }
}
