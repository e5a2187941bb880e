import { appendFileSync, cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSeededRandom } from '@holdfast/testkit/sim'
import { expect, it, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { createAcked, createRun, item, must, post, readLog } from './lib/client.ts'
import { THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 1)
const SEED = Number(process.env['HOLDFAST_SEED'] ?? 1)

/** The data folder of a server that was killed under load, and what it had promised. */
async function killedFolder() {
  const dataDir = tempDir()
  const server = await startServer({ dataDir })
  const acked = createAcked()
  await createRun(server, 's')
  let isOver = false
  const load = Array.from({ length: 4 }, async (_, writer) => {
    for (let n = 0; !isOver; n++) {
      const answer = await post(server, 's', [item(`w${writer}-${n}`, `text ${n} ${'x'.repeat(200)}`)]).catch(() => undefined)
      if (answer?.status === 201) acked.note(answer)
    }
  })
  await until('some events', () => acked.count > 80)
  const before = await readLog(server, 's')
  await server.kill()
  isOver = true
  await Promise.all(load)
  return { dataDir, acked, epoch: before.epoch }
}

const copyOf = (dataDir: string): string => {
  const copy = join(tempDir(), 'copy')
  cpSync(dataDir, copy, { recursive: true })
  return copy
}

const WAL = 'holdfast.db-wal'

it('[fault 30] what a kill in mid-write leaves after the last whole commit is dropped: nothing acked is missing, the same epoch, and the log says that it recovered', async () => {
  const { dataDir, acked, epoch } = await killedFolder()
  const wal = readFileSync(join(dataDir, WAL))
  const frame = wal.subarray(32, 32 + 24 + 4096)
  const tails = {
    garbage: Buffer.alloc(5000, 0xa5),
    'half a frame': frame.subarray(0, 1000),
    'a frame that is not of this place': frame,
  }
  for (const [what, tail] of Object.entries(tails)) {
    const copy = copyOf(dataDir)
    appendFileSync(join(copy, WAL), tail)
    const server = await startServer({ dataDir: copy })
    const log = await readLog(server, 's')
    expect(log.epoch, what).toBe(epoch)
    expect(acked.missingFrom(log), what).toEqual([])
    expect(server.stderr(), what).toMatch(/recovered/)
    await must(server, 'POST', '/sessions/s/events', [item('after', 'x')])
    expect(await server.stop()).toBe(0)
    if (what === 'garbage') expect((await holdfast(['doctor', '--data-dir', copy])).code, what).toBe(0)
  }
})

it(`[fault 30] [fault 12] a write-ahead log that lost acked commits (seed ${SEED}): up to the last whole one, dense, and a new epoch, since readers saw what is gone`, async () => {
  const { dataDir, epoch } = await killedFolder()
  const random = createSeededRandom(SEED)
  const size = statSync(join(dataDir, WAL)).size
  for (let round = 0; round < 2 * ROUNDS; round++) {
    for (const how of ['cut', 'garbled'] as const) {
      const copy = copyOf(dataDir)
      const path = join(copy, WAL)
      const at = 32 + Math.floor((size - 32) * (0.4 + 0.5 * random.fraction()))
      if (how === 'cut') truncateSync(path, at)
      else {
        const bytes = readFileSync(path)
        bytes.fill(0x5a, at, at + 300)
        writeFileSync(path, bytes)
      }
      const what = `${how} at ${at} of ${size}`
      const server = await startServer({ dataDir: copy })
      const log = await readLog(server, 's')
      expect(log.epoch, what).not.toBe(epoch)
      expect(log.head, what).toBeGreaterThan(0)
      expect(server.stderr(), what).toContain('older than it once was')
      for (const transport of THREE) {
        const reader = watch(transport, { ...server, session: 's', cursor: `${epoch}.${log.head}` })
        await until(`${transport}: ${what}`, () => reader.hello)
        expect([transport, reader.hello?.['resume']]).toEqual([transport, 'reset'])
        reader.close()
      }
      const answer = await must(server, 'POST', '/sessions/s/events', [item('after', 'x')])
      expect(answer.body?.['first_seq'], what).toBe(log.head + 1)
      expect(await server.stop()).toBe(0)
    }
  }
  expect(readdirSync(dataDir)).toContain(WAL)
})
