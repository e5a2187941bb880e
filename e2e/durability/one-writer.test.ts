import { expect, it, vi } from 'vitest'
import { freePort, startServer, tempDir } from '../lib/process.ts'
import { createAcked, createRun, item, post, readLog } from './lib/client.ts'
import { holdfast } from './lib/cli.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

it('[fault 13] a second server on a data folder exits with 3 and says why, the first is unharmed; after kill -9 the next starts at once', async () => {
  const dataDir = tempDir()
  const first = await startServer({ dataDir })
  const acked = createAcked()
  await createRun(first, 's')
  let isOver = false
  const load = (async () => {
    for (let n = 0; !isOver; n++) acked.note(await post(first, 's', [item(`i${n}`, 'x')]))
  })()
  for (let attempt = 0; attempt < 2; attempt++) {
    const second = await holdfast(['serve', '--port', String(await freePort()), '--data-dir', dataDir])
    expect(second.code).toBe(3)
    expect(second.err).toMatch(/data folder/i)
    expect(second.out, 'it never said that it serves').toBe('')
  }
  const restore = await holdfast(['doctor', '--new-epoch', '--data-dir', dataDir])
  expect([restore.code, restore.err]).toEqual([3, expect.stringMatching(/data folder/i)])
  isOver = true
  await load
  const log = await readLog(first, 's')
  expect(acked.missingFrom(log)).toEqual([])
  expect(acked.count).toBe(log.head)
  await first.kill()
  const next = await startServer({ dataDir })
  expect(await readLog(next, 's')).toEqual(log)
  expect(await next.stop()).toBe(0)
})

it('[fault 13] a server that is stopped, not dead, keeps its folder: others are refused, and it goes on when it wakes', async () => {
  const dataDir = tempDir()
  const first = await startServer({ dataDir })
  await createRun(first, 's')
  first.signal('SIGSTOP')
  const second = await holdfast(['serve', '--port', String(await freePort()), '--data-dir', dataDir])
  expect(second.code).toBe(3)
  first.signal('SIGCONT')
  expect((await post(first, 's', [item('i', 'x')])).status).toBe(201)
  expect(await first.stop()).toBe(0)
})
