import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startServer, until } from '../lib/process.ts'
import { type Answer, call, codeOf, createAcked, createRun, item, post, readLog } from './lib/client.ts'
import { holdfast } from './lib/cli.ts'
import { mountTmpfs, noMount } from './lib/means.ts'
import { isDense, THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 1)

/** A disk of so many KiB, gone when the test ends. */
function smallDisk(kib: number): string {
  const unmount = mountTmpfs(kib)
  onTestFinished(unmount)
  return unmount.folder
}

/** Takes all the room but so much, while others may be writing too. */
function fillDisk(folder: string, leaveBytes: number): () => void {
  const path = join(folder, 'ballast')
  const file = openSync(path, 'w')
  const room = (): number => {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize - leaveBytes
  }
  try {
    for (let free = room(); free > 0; free = room()) writeSync(file, Buffer.alloc(Math.min(free, 1 << 20)))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
  return () => rmSync(path)
}

describe('full disk', () => {
  it('[fault 4] appends are refused while the disk is full and taken again once there is room; readers are told, seqs stay dense', async context => {
    const missing = noMount()
    if (missing) return context.skip(missing)
    const disk = smallDisk(24 * 1024)
    const dataDir = join(disk, 'data')
    const server = await startServer({ dataDir, env: { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '100000' } })
    onTestFinished(() => void server.kill())
    const acked = createAcked()
    await createRun(server, 'full')
    await createRun(server, 'other')
    const readers = THREE.map(transport => watch(transport, { ...server, session: 'full' }))
    await until('the readers', () => readers.every(reader => reader.caughtUp))
    let n = 0
    for (let round = 0; round < 2 * ROUNDS; round++) {
      const makeRoom = fillDisk(disk, 300_000)
      let refused: Answer | undefined
      await until('a refusal', async () => {
        const answer = await post(server, 'full', [item(`i${n++}`, 'y'.repeat(30_000))])
        if (answer.status === 201) acked.note(answer)
        else refused = answer
        return refused
      })
      expect([refused?.status, codeOf(refused as Answer)]).toEqual([503, 'storage_failed'])
      expect(refused?.body?.['error']).toMatchObject({ retryable: true })
      for (const reader of readers.filter(candidate => candidate.transport !== 'poll')) {
        await until(`${reader.transport} is told`, () => reader.errors.length > round && reader.errors.every(code => code === 'storage_failed'))
      }
      expect((await call(server, 'GET', '/sessions/full/events?after=0&limit=1')).status, 'reading goes on').toBe(200)
      expect((await call(server, 'GET', '/healthz')).status).toBe(200)
      makeRoom()
      const retried = await until('room', async () => {
        const answer = await post(server, 'full', [item(`i${n - 1}`, 'y'.repeat(30_000))])
        return answer.status === 201 ? answer : undefined
      })
      acked.note(retried)
      acked.note(await post(server, 'other', [item(`o${round}`, 'z')]))
    }
    const log = await readLog(server, 'full')
    expect(
      log.events.map(event => event.payload['id']),
      'each once, none of the refused ones burnt a seq',
    ).toEqual(Array.from({ length: n }, (_, index) => `i${index}`))
    for (const reader of readers) {
      await until(`${reader.transport} at the head`, () => reader.seqs.length === log.head)
      expect(isDense(reader.seqs, 1), reader.transport).toBe(true)
      expect(reader.ended, `${reader.transport} was never closed`).toBeUndefined()
      reader.close()
    }
    expect(await server.stop()).toBe(0)
    expect((await holdfast(['doctor', '--data-dir', dataDir])).code).toBe(0)
    const makeRoom = fillDisk(disk, 0)
    await expect(startServer({ dataDir })).rejects.toMatchObject({ code: 1, message: expect.stringContaining('is full: make room') })
    makeRoom()
    const next = await startServer({ dataDir })
    expect(acked.missingFrom(await readLog(next, 'full')).filter(line => !line.startsWith('o'))).toEqual([])
    expect(await next.stop()).toBe(0)
  })

  it('[fault 4] a disk that fills while the log is moved from the write-ahead log into the database stops appends only, not the server', async context => {
    const missing = noMount()
    if (missing) return context.skip(missing)
    const disk = smallDisk(24 * 1024)
    const dataDir = join(disk, 'data')
    const server = await startServer({ dataDir, env: { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '100000', HOLDFAST_TIMES_COLD_AFTER_MS: '100' } })
    onTestFinished(() => void server.kill())
    const acked = createAcked()
    await createRun(server, 'full')
    let sent = 0
    // No ballast: the store's own files are what fills it, wherever that happens.
    await until('a refusal', async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => post(server, 'full', [item(`i${sent++}`, 'y'.repeat(100_000))])))
      for (const answer of answers) if (answer.status === 201) acked.note(answer)
      const refused = answers.find(answer => answer.status !== 201)
      if (refused) expect([refused.status, codeOf(refused)]).toEqual([503, 'storage_failed'])
      return refused
    })
    for (let n = 0; n < 30; n++) await post(server, 'full', [item(`j${n}`, 'y'.repeat(100_000))]).then(answer => answer.status === 201 && acked.note(answer))
    expect((await call(server, 'GET', '/readyz')).status).toBe(200)
    const log = await readLog(server, 'full')
    expect(acked.missingFrom(log)).toEqual([])
    await server.kill()
    // A start needs some room of its own, so it may be refused; then it says why.
    const early = await startServer({ dataDir }).catch((error: Error & { code: number }) => error)
    if (early instanceof Error) expect([early.code, early.message]).toEqual([1, expect.stringContaining('is full: make room')])
    else await early.kill()
    execFileSync('mount', ['-o', 'remount,size=64m', disk])
    const next = await startServer({ dataDir })
    expect(acked.missingFrom(await readLog(next, 'full'))).toEqual([])
    await until('room', async () => (await post(next, 'full', [item('after', 'y'.repeat(100_000))])).status === 201)
    expect(await next.stop()).toBe(0)
  })
})
