import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { call, codeOf, createRun, item, must, post, readLog } from './lib/client.ts'
import { filesOf, flipBit, flipInside } from './lib/files.ts'
import { isDense, THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const COUNT = 30

/** A stopped server's data folder with three logs of which `s1` holds a marker. */
async function folderWithLogs(env: Readonly<Record<string, string>>, isReady: (dataDir: string) => boolean): Promise<string> {
  const dataDir = tempDir()
  const server = await startServer({ dataDir, env })
  for (const id of ['s0', 's1', 's2']) {
    await createRun(server, id)
    await must(
      server,
      'POST',
      `/sessions/${id}/events`,
      Array.from({ length: COUNT }, (_, n) => ({
        ...item(`i${n}`, `${id === 's1' && n === COUNT / 2 ? 'needle-in-the-hay' : 'straw'} ${n} ${'x'.repeat(1000)}`),
        role: 'user',
      })),
    )
  }
  await until('the files', () => isReady(dataDir))
  expect(await server.stop()).toBe(0)
  return dataDir
}

async function expectQuarantined(server: ServerProcess, dataDir: string): Promise<void> {
  for (const transport of ['ws', 'sse'] as const) {
    const reader = watch(transport, { ...server, session: 's1' })
    await until(`${transport} is told`, () => reader.errors.length > 0 || reader.ended)
    expect([transport, reader.errors[0] ?? reader.ended?.code]).toEqual([transport, 'storage_failed'])
    expect(isDense(reader.seqs, 1), 'what it got before was whole').toBe(true)
    reader.close()
  }
  const page = await call(server, 'GET', '/sessions/s1/events?after=0&limit=1000')
  expect([page.status, codeOf(page)]).toEqual([503, 'storage_failed'])
  const append = await post(server, 's1', [item('late', 'x')])
  expect([append.status, codeOf(append)]).toEqual([503, 'storage_failed'])

  for (const id of ['s0', 's2']) {
    expect((await readLog(server, id)).head, 'others go on').toBe(COUNT)
    for (const transport of THREE) {
      const reader = watch(transport, { ...server, session: id })
      await until(`${transport} of ${id}`, () => reader.seqs.length === COUNT)
      reader.close()
    }
    await must(server, 'POST', `/sessions/${id}/events`, [item('late', 'x')])
  }
  expect(server.stderr()).toMatch(/damaged.*quarantined/)
  expect((await call(server, 'GET', '/metrics')).text).toMatch(/^holdfast_quarantined_logs 1$/m)
  expect((await call(server, 'GET', '/readyz')).status).toBe(200)
  const doctor = await holdfast(['doctor', '--data-dir', dataDir, '--url', server.url])
  expect(doctor.code, doctor.out).toBe(4)
  expect(doctor.out).toContain('s1')
}

describe('one byte flips', () => {
  for (const where of ['the database', 'a segment file'] as const) {
    it(`[fault 32] in ${where}: that log answers storage_failed on every transport and is reported, the others go on, also after a restart`, async () => {
      const inSegments = where === 'a segment file'
      const dataDir = await folderWithLogs(
        inSegments ? { HOLDFAST_TIMES_COLD_AFTER_MS: '200' } : {},
        folder => !inSegments || filesOf(join(folder, 'segments')).length >= 3,
      )
      if (inSegments) {
        const sizes = filesOf(join(dataDir, 'segments')).sort()
        // Compressed, so that nothing in it can be searched for: s1's is the second that was made.
        const path = sizes[1] as string
        flipBit(path, Math.floor(readFileSync(path).length / 2))
      } else flipInside(join(dataDir, 'holdfast.db'), 'needle-in-the-hay')
      const doctor = await holdfast(['doctor', '--data-dir', dataDir])
      expect([doctor.code, doctor.out]).toEqual([4, expect.stringContaining('s1')])

      const server = await startServer({ dataDir })
      await expectQuarantined(server, dataDir)
      await server.kill()
      const next = await startServer({ dataDir })
      expect(codeOf(await call(next, 'GET', '/sessions/s1/events?after=0'))).toBe('storage_failed')
      expect((await readLog(next, 's0')).head).toBe(COUNT + 1)
      // What can't be repaired can be deleted.
      await must(next, 'DELETE', '/sessions/s1')
      expect((await call(next, 'GET', '/metrics')).text).toMatch(/^holdfast_quarantined_logs 0$/m)
      expect(await next.stop()).toBe(0)
      expect((await holdfast(['doctor', '--data-dir', dataDir])).code).toBe(0)
    })
  }

  it('[fault 32] a database whose header is destroyed: serve, doctor and backup exit with 4 and say what to do, and leave it as it is', async () => {
    const dataDir = await folderWithLogs({}, () => true)
    const path = join(dataDir, 'holdfast.db')
    const bytes = readFileSync(path)
    bytes.fill(0x77, 0, 200)
    writeFileSync(path, bytes)
    const served = await startServer({ dataDir }).catch((error: Error & { code: number }) => error)
    expect(served).toMatchObject({ code: 4, message: expect.stringMatching(/holdfast\.db is damaged.*restore a backup/s) })
    const doctor = await holdfast(['doctor', '--data-dir', dataDir])
    expect([doctor.code, doctor.out]).toEqual([4, expect.stringMatching(/damaged/)])
    const backup = await holdfast(['backup', join(tempDir(), 'b'), '--data-dir', dataDir])
    expect([backup.code, backup.err]).toEqual([4, expect.stringMatching(/damaged/)])
    expect(readFileSync(path).equals(bytes)).toBe(true)
  })
})
