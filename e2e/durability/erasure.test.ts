import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { call, createRun, item, must, readLog } from './lib/client.ts'
import { filesOf, filesWith } from './lib/files.ts'
import { watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

/** The contract's time for it. */
const ERASED_MS = 10_000

const digest = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

describe('erasure', () => {
  for (const isFolded of [false, true]) {
    it(`[SEQ-19] a deleted session's ${isFolded ? 'segments' : 'rows'}, ids and blobs are in no file of the data folder 10 s later, while a server under load and a reader of it go on`, async () => {
      const dataDir = tempDir()
      const server = await startServer({ dataDir, env: isFolded ? { HOLDFAST_TIMES_COLD_AFTER_MS: '200' } : {} })
      await createRun(server, 'stays')
      await createRun(server, 'goes')
      const blob = Buffer.from(`mark-of-blob ${'b'.repeat(100_000)}`)
      await must(server, 'PUT', `/sessions/goes/blobs/${digest(blob)}`, blob, { 'content-type': 'application/octet-stream' })
      // What a compressed file holds can't be searched for: that those are gone is looked at apart.
      const noise = (n: number): string => createHash('sha512').update(`goes ${n}`).digest('base64')
      for (let n = 0; n < 10; n++) {
        await must(
          server,
          'POST',
          '/sessions/goes/events',
          Array.from({ length: 10 }, (_, part) =>
            item(`mark-of-id-${n}-${part}`, `mark-of-event ${Array.from({ length: 20 }, (_, k) => noise(n * 1000 + part * 20 + k)).join('')}`),
          ),
        )
        await must(server, 'POST', '/sessions/stays/events', [item(`i${n}`, 'stays')])
      }
      const markers = ['mark-of-blob', 'mark-of-id', 'mark-of-event', digest(blob)]
      expect(filesWith(dataDir, markers).length, 'they can be found at all').toBeGreaterThan(0)
      const segments = join(dataDir, 'segments')
      if (isFolded) await until('segments', () => filesOf(segments).length > 0)
      const blobs = filesOf(join(dataDir, 'blobs'))
      expect(blobs.length).toBe(1)
      const live = watch('ws', { ...server, session: 'goes' })
      const other = watch('ws', { ...server, session: 'stays' })
      await until('the readers', () => live.caughtUp && other.caughtUp)
      let isOver = false
      const load = (async () => {
        for (let n = 0; !isOver; n++) {
          await must(server, 'POST', '/sessions/stays/events', [item(`load${n}`, 'stays')])
          await readLog(server, 'stays')
        }
      })()

      await must(server, 'DELETE', '/sessions/goes')
      await until('the end of its reader', () => live.ended)
      expect([live.errors, live.ended]).toEqual([['session_deleted'], { code: 4410 }])
      await until(
        `the erasure, still in ${filesWith(dataDir, markers).join(', ')}`,
        () => filesWith(dataDir, markers).length === 0 && filesOf(join(dataDir, 'blobs')).length === 0,
        ERASED_MS,
      )
      // `stays` is too small for a segment of its own.
      if (isFolded) await until('its segments', () => filesOf(segments).length === 0, ERASED_MS)
      isOver = true
      await load
      expect(other.ended).toBeUndefined()
      expect((await call(server, 'GET', '/sessions/goes')).status).toBe(410)
      for (const watched of [live, other]) watched.close()
      await server.kill()
      expect(filesWith(dataDir, markers)).toEqual([])
    })
  }

  it('[SEQ-19] a server that is killed just after a deletion erases it when it starts again', async () => {
    const dataDir = tempDir()
    const server = await startServer({ dataDir })
    await createRun(server, 'goes')
    for (let n = 0; n < 5; n++) await must(server, 'POST', '/sessions/goes/events', [item(`mark-of-id-${n}`, `mark-of-event ${'x'.repeat(50_000)}`)])
    await must(server, 'DELETE', '/sessions/goes')
    await server.kill()
    expect(filesWith(dataDir, ['mark-of-']).length, 'it was killed before it was done').toBeGreaterThan(0)
    const next = await startServer({ dataDir })
    expect((await call(next, 'GET', '/sessions/goes')).status).toBe(410)
    await until('the erasure', () => filesWith(dataDir, ['mark-of-']).length === 0, ERASED_MS)
    expect(await next.stop()).toBe(0)
  })
})
