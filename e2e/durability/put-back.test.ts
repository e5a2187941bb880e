import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { createRun, item, must, post, readLog } from './lib/client.ts'
import { copyDatabase } from './lib/files.ts'
import { isDense, THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 1)

async function append(server: ServerProcess, from: number, to: number, text: string): Promise<void> {
  for (let n = from; n <= to; n++) await must(server, 'POST', '/sessions/s/events', [item(`${text}${n}`, `${text} ${n}`)])
}

/** Every reader that comes with this cursor, on every transport, is told that its state is of another history, and gets the whole of this one. */
async function expectReset(server: ServerProcess, cursor: string): Promise<void> {
  const log = await readLog(server, 's')
  for (const transport of THREE) {
    const reader = watch(transport, { ...server, session: 's', cursor })
    await until(`${transport} at the head`, () => reader.caughtUp)
    expect([transport, reader.hello?.['resume'], reader.hello?.['epoch']]).toEqual([transport, 'reset', log.epoch])
    expect(reader.seqs.length, transport).toBe(log.head)
    expect(isDense(reader.seqs, 1), transport).toBe(true)
    reader.close()
  }
}

/** It comes with its cursor and goes on. */
async function expectGoesOn(server: ServerProcess, epoch: string, seq: number): Promise<void> {
  for (const transport of THREE) {
    const reader = watch(transport, { ...server, session: 's', cursor: `${epoch}.${seq}` })
    await until(`${transport} at the head`, () => reader.caughtUp)
    expect([transport, reader.hello?.['resume'], reader.seqs[0]]).toEqual([transport, 'ok', seq + 1])
    reader.close()
  }
}

describe('an older database', () => {
  for (const end of ['stop', 'kill'] as const) {
    it(`[SEQ-19] [fault 12] put back by hand after a ${end}: noticed at start, new epoch, readers of the lost history are reset on every transport`, async () => {
      const dataDir = tempDir()
      const copy = join(tempDir(), 'copy')
      mkdirSync(copy)
      const first = await startServer({ dataDir })
      await createRun(first, 's')
      await append(first, 1, 5, 'early')
      await first.stop()
      copyDatabase(dataDir, copy)

      const second = await startServer({ dataDir })
      await append(second, 6, 12, 'lost')
      const old = await readLog(second, 's')
      await second[end]()
      copyDatabase(copy, dataDir)

      const third = await startServer({ dataDir })
      const now = await readLog(third, 's')
      expect(now.epoch, 'another history').not.toBe(old.epoch)
      expect(now.events.map(event => event.payload['id'])).toEqual([1, 2, 3, 4, 5].map(n => `early${n}`))
      expect(third.stderr(), 'the log says so').toContain('older than it once was')
      // Seqs 6 to 8 stand for other events now than those that the old readers saw.
      await append(third, 6, 8, 'new')
      await expectReset(third, `${old.epoch}.12`)
      await expectReset(third, `${old.epoch}.7`)
      await expectReset(third, `${old.epoch}.3`)
      await expectReset(third, '12')
      await third.kill()
      const fourth = await startServer({ dataDir })
      expect((await readLog(fourth, 's')).epoch, 'and stays so').toBe(now.epoch)
      await expectGoesOn(fourth, now.epoch, 6)
      expect(await fourth.stop()).toBe(0)
    })
  }

  it('[SEQ-19] [fault 12] a whole folder that was copied by hand looks like the original; `doctor --new-epoch` makes it another history, and leaves the original as it is', async () => {
    const dataDir = tempDir()
    const server = await startServer({ dataDir })
    await createRun(server, 's')
    await append(server, 1, 4, 'x')
    const { epoch } = await readLog(server, 's')
    await server.stop()
    const copy = join(tempDir(), 'copy')
    cpSync(dataDir, copy, { recursive: true })
    const renewed = await holdfast(['doctor', '--new-epoch', '--data-dir', copy])
    expect(renewed.code, renewed.err).toBe(0)
    const other = await startServer({ dataDir: copy })
    await expectReset(other, `${epoch}.2`)
    expect(await other.stop()).toBe(0)
    const again = await startServer({ dataDir })
    await expectGoesOn(again, epoch, 2)
    expect(await again.stop()).toBe(0)
  })

  it('[SEQ-09] [fault 12] neither kills nor stops nor what clients claim change the epoch', async () => {
    const dataDir = tempDir()
    let server = await startServer({ dataDir })
    await createRun(server, 's')
    await append(server, 1, 3, 'x')
    const { epoch } = await readLog(server, 's')
    for (let round = 0; round < 5 * ROUNDS; round++) {
      // Killed with appends under way.
      const flood = Promise.allSettled(Array.from({ length: 20 }, (_, n) => post(server, 's', [item(`r${round}-${n}`, 'y')])))
      await until('an append', async () => (await readLog(server, 's')).head > 3 + round)
      if (round % 3 === 2) await server.stop()
      else await server.kill()
      await flood
      server = await startServer({ dataDir })
      expect((await readLog(server, 's')).epoch, `round ${round}`).toBe(epoch)
      await expectReset(server, 'Zzzz999.4')
      await expectReset(server, `${epoch}.4000000`)
      expect((await readLog(server, 's')).epoch).toBe(epoch)
    }
    await expectGoesOn(server, epoch, 2)
    expect(await server.stop()).toBe(0)
  })
})
