import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { createRun, item, must, readLog } from './lib/client.ts'
import { filesOf } from './lib/files.ts'
import { THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const COUNT = 40

/** Takes a stopped server's database back to its first schema, as an older program left it: the counts that came later are not there. */
function makeOld(dataDir: string): void {
  const db = new DatabaseSync(join(dataDir, 'holdfast.db'), { defensive: false })
  db.exec(
    `DROP TABLE owners; DROP TABLE journal; DELETE FROM meta WHERE key IN ('sessions', 'log_bytes'); PRAGMA user_version = 1; PRAGMA journal_mode = DELETE`,
  )
  db.close()
}

const schemaOf = (dataDir: string): unknown => {
  const db = new DatabaseSync(join(dataDir, 'holdfast.db'), { readOnly: true })
  try {
    return {
      version: db.prepare('PRAGMA user_version').get(),
      tables: db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all(),
      owners: db.prepare('SELECT * FROM owners ORDER BY owner').all(),
      meta: db.prepare(`SELECT * FROM meta WHERE key <> 'commits' ORDER BY key`).all(),
    }
  } finally {
    db.close()
  }
}

it('[RUN-09] a database of the first schema migrates itself at start, without loss; a second start changes nothing more, and a kill in between neither', async () => {
  const dataDir = tempDir()
  const first = await startServer({ dataDir, env: { HOLDFAST_TIMES_COLD_AFTER_MS: '200' } })
  for (const id of ['s0', 's1', 's2']) {
    await createRun(first, id)
    await must(
      first,
      'POST',
      `/sessions/${id}/events`,
      Array.from({ length: COUNT }, (_, n) => item(`i${n}`, `${id} ${n} ${'x'.repeat(1000)}`)),
    )
  }
  // Some of it lies in segments, some in rows.
  await until('segments', () => filesOf(join(dataDir, 'segments')).length >= 3)
  await must(first, 'POST', '/sessions/s0/events', [item('last', 'in a row')])
  await must(first, 'DELETE', '/sessions/s2')
  const before = {
    s0: await readLog(first, 's0'),
    s1: await readLog(first, 's1'),
    list: (await must(first, 'GET', '/sessions')).body,
    feed: (await must(first, 'GET', '/feed/events?after=0')).body,
  }
  expect(await first.stop()).toBe(0)
  const wanted = schemaOf(dataDir)
  makeOld(dataDir)
  const old = join(tempDir(), 'old')
  cpSync(dataDir, old, { recursive: true })

  for (const end of ['kill', 'stop', 'stop'] as const) {
    const server = await startServer({ dataDir })
    expect(await readLog(server, 's0')).toEqual(before.s0)
    expect(await readLog(server, 's1')).toEqual(before.s1)
    expect((await must(server, 'GET', '/sessions')).body).toEqual(before.list)
    expect((await must(server, 'GET', '/feed/events?after=0')).body).toEqual(before.feed)
    expect((await must(server, 'GET', '/metrics')).text, 'the counts were made').toMatch(/^holdfast_sessions 2$/m)
    for (const transport of THREE) {
      const reader = watch(transport, { ...server, session: 's0', cursor: `${before.s0.epoch}.${COUNT - 1}` })
      await until(`${transport} at the head`, () => reader.caughtUp)
      expect([transport, reader.hello?.['resume'], reader.seqs]).toEqual([transport, 'ok', [COUNT, COUNT + 1]])
      reader.close()
    }
    // An id that was used before the migration is known after it.
    expect((await must(server, 'POST', '/sessions/s0/events', [item('last', 'in a row')])).body?.['duplicate']).toBe(true)
    await server[end]()
  }
  expect(schemaOf(dataDir), 'as if it had always been new').toEqual(wanted)
  expect((await holdfast(['doctor', '--data-dir', dataDir])).code).toBe(0)

  const db = new DatabaseSync(join(old, 'holdfast.db'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  await expect(startServer({ dataDir: old }), 'a newer one is left alone').rejects.toThrow(/schema 99.*newer/)
  rmSync(old, { recursive: true })
})
