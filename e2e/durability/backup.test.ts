import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { call, createAcked, createRun, item, must, post, readLog } from './lib/client.ts'
import { filesOf, flipBit } from './lib/files.ts'
import { isDense, THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const SESSIONS = ['s0', 's1', 's2']

it('[SEQ-19] a backup taken under load holds all that was acked before it began, whole and dense; restored it has a new epoch and readers are reset', async () => {
  const dataDir = tempDir()
  // Folded and compressed while it is copied: files come and go under the backup.
  const server = await startServer({ dataDir, env: { HOLDFAST_TIMES_COLD_AFTER_MS: '100', HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '100000' } })
  const acked = new Map(SESSIONS.map(id => [id, createAcked()]))
  for (const id of SESSIONS) await createRun(server, id)
  const blob = Buffer.alloc(700_000, 'b')
  const sha256 = createHash('sha256').update(blob).digest('hex')
  await must(server, 'PUT', `/sessions/s0/blobs/${sha256}`, blob, { 'content-type': 'application/octet-stream' })
  let isOver = false
  const load = SESSIONS.map(async id => {
    for (let n = 0; !isOver; n++) {
      acked.get(id)?.note(
        await post(
          server,
          id,
          Array.from({ length: 5 }, (_, part) => item(`i${n}-${part}`, `${n} ${'x'.repeat(3000)}`)),
        ),
      )
      // A pause now and then, in which the log falls idle and is folded.
      if (n % 20 === 19) await new Promise(resolve => setTimeout(resolve, 150))
    }
  })
  await until('some load and segments', () => (acked.get('s0')?.count ?? 0) > 400 && filesOf(join(dataDir, 'segments')).length > 3)
  const promised = new Map(await Promise.all(SESSIONS.map(async id => [id, await readLog(server, id)] as const)))
  const target = join(tempDir(), 'backup')
  const backup = await holdfast(['backup', target, '--data-dir', dataDir])
  expect([backup.code, backup.err]).toEqual([0, ''])
  const taken = new Map(SESSIONS.map(id => [id, acked.get(id)?.count]))
  isOver = true
  await Promise.all(load)
  for (const id of SESSIONS) expect(taken.get(id), 'the load went on beside it').toBeGreaterThan(promised.get(id)?.head ?? 0)

  const restored = join(tempDir(), 'restored')
  expect(await holdfast(['restore', target, '--data-dir', restored])).toMatchObject({ code: 0 })
  const doctor = await holdfast(['doctor', '--data-dir', restored])
  expect(doctor.code, doctor.out).toBe(0)
  const next = await startServer({ dataDir: restored })
  for (const id of SESSIONS) {
    const before = promised.get(id) as Awaited<ReturnType<typeof readLog>>
    const whole = await readLog(server, id)
    const log = await readLog(next, id)
    expect(log.epoch).not.toBe(before.epoch)
    expect(log.head, 'all that was acked before the backup began').toBeGreaterThanOrEqual(before.head)
    expect(log.events, 'and nothing but what the server has').toEqual(whole.events.slice(0, log.head))
    for (const transport of THREE) {
      const reader = watch(transport, { ...next, session: id, cursor: `${before.epoch}.${before.head}` })
      await until(`${transport} at the head`, () => reader.seqs.length === log.head)
      expect([reader.hello?.['resume'], isDense(reader.seqs, 1)]).toEqual(['reset', true])
      reader.close()
    }
  }
  const content = await call(next, 'GET', `/sessions/s0/blobs/${sha256}`)
  expect([content.status, content.text === blob.toString()]).toEqual([200, true])
  await must(next, 'POST', '/sessions/s0/events', [item('after', 'x')])
  expect(await next.stop()).toBe(0)
  expect(await server.stop()).toBe(0)
})

it('[SEQ-19] a restore refuses a folder that is not empty, one that a server has open, and a backup that is damaged or not whole', async () => {
  const dataDir = tempDir()
  const server = await startServer({ dataDir })
  await createRun(server, 's')
  await must(server, 'POST', '/sessions/s/events', [item('i', 'x'.repeat(20_000))])
  const backup = join(tempDir(), 'backup')
  expect((await holdfast(['backup', backup, '--data-dir', dataDir])).code).toBe(0)
  const again = await holdfast(['backup', backup, '--data-dir', dataDir])
  expect([again.code !== 0, again.err]).toEqual([true, expect.stringContaining('not empty')])
  const intoRunning = await holdfast(['restore', backup, '--data-dir', dataDir])
  expect([intoRunning.code, intoRunning.err]).toEqual([3, expect.stringContaining('not empty')])
  expect((await readLog(server, 's')).head, 'the server goes on').toBe(1)
  expect(await server.stop()).toBe(0)
  expect((await holdfast(['restore', backup, '--data-dir', dataDir])).code, 'also when nobody has it open').toBe(3)

  flipBit(join(backup, 'holdfast.db'), 5000)
  const target = join(tempDir(), 'new')
  const damaged = await holdfast(['restore', backup, '--data-dir', target])
  expect([damaged.code, damaged.err]).toEqual([4, expect.stringContaining('damaged')])
  await expect(startServer({ dataDir: target }), 'half a restore is not served').rejects.toMatchObject({ code: 4 })

  rmSync(join(backup, 'manifest.json'))
  const empty = join(tempDir(), 'empty')
  mkdirSync(empty)
  expect((await holdfast(['restore', backup, '--data-dir', empty])).code).toBe(4)
  expect(readdirSync(empty)).toEqual([])
})
