import { join } from 'node:path'
import { appendOf, FENCE, range, readAll, rowOf, seqsOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { checkStore } from './check.ts'
import { openDatabase, type Database } from './database.ts'
import { logSum } from './logs.ts'
import { chunkSum, configureWriter, MIGRATIONS, migrate, recordSum, versionOf, writeMeta } from './schema.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { ownFolder } from './testing/folders.ts'

/** A database as the first version left it. */
function firstVersion(path: string): Database {
  const db = openDatabase(path)
  db.exec('PRAGMA journal_mode = WAL')
  migrate(db, MIGRATIONS.slice(0, 1))
  writeMeta(db, 'epoch', 'eOld1')
  writeMeta(db, 'commits', '41')
  for (const [key, id, owner, status] of [
    [1, 'a', 'ann', 'live'],
    [2, 'b', 'ann', 'live'],
    [3, 'c', 'bob', 'live'],
    [4, 'd', 'ann', 'deleted'],
  ] as const) {
    const row = rowOf(id, { owner, status })
    const { body } = appendOf(id, 1, ['1', '2', '3'])
    const kept = status === 'live' ? body.byteLength : 0
    const log = {
      id,
      key,
      kind: row.kind,
      owner,
      status,
      life: row.life,
      parent: null,
      createdAt: 1,
      activityAt: key,
      head: 3,
      floor: kept ? 0 : 3,
      bytes: kept,
      loose: kept,
      folded: kept ? 0 : 3,
    }
    const record = JSON.stringify(row.record)
    db.prepare('INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      key,
      id,
      log.kind,
      owner,
      status,
      log.life,
      null,
      1,
      key,
      3,
      log.floor,
      kept,
      kept,
      log.folded,
      logSum(log),
      recordSum(id, record),
      record,
    )
    if (kept) db.prepare('INSERT INTO chunks (session, first_seq, last_seq, crc, body) VALUES (?, 1, 3, ?, ?)').run(key, chunkSum(key, 1, 3, body), body)
  }
  return db
}

it('[RUN-09] an older database migrates itself on start, without loss, and twice is the same as once', async () => {
  const dataDir = ownFolder()
  const path = join(dataDir, 'holdfast.db')
  firstVersion(path).close()
  for (let start = 0; start < 2; start++) {
    const store = await openSqliteStore({ dataDir })
    expect(store.epoch).toBe('eOld1')
    expect([await store.countSessions('ann'), await store.countSessions('bob')]).toEqual([2, 1])
    expect(await store.stats()).toMatchObject({ sessions: 3, logBytes: 45 })
    expect((await store.listSessions({ limit: 9 })).map(row => row.id)).toEqual(['c', 'b', 'a'])
    expect(seqsOf(await readAll(store, 'b'))).toEqual(range(1, 3))
    await store.close()
    const db = openDatabase(path)
    expect(versionOf(db)).toBe(MIGRATIONS.length)
    migrate(db)
    expect(versionOf(db)).toBe(MIGRATIONS.length)
    db.close()
  }
  const store = await openSqliteStore({ dataDir })
  await store.commit({ appends: [appendOf('a', 4, ['4'])], creates: [rowOf('e')], fence: FENCE })
  expect(await store.countSessions('ann')).toBe(3)
  await store.close()
  expect((await checkStore(dataDir)).problems).toEqual([])
})

it('[RUN-09] a migration that fails leaves the database as it was, and is run again', () => {
  const db = firstVersion(join(ownFolder(), 'holdfast.db'))
  const failing = [
    ...MIGRATIONS.slice(0, 1),
    (broken: Database) => {
      broken.exec('CREATE TABLE half (x)')
      throw new Error('in the middle')
    },
  ]
  expect(() => migrate(db, failing)).toThrow('in the middle')
  expect(versionOf(db)).toBe(1)
  expect(db.prepare(`SELECT count(*) AS n FROM sqlite_schema WHERE name = 'half'`).get()?.['n']).toBe(0)
  migrate(db)
  expect(db.prepare('SELECT sessions FROM owners WHERE owner = ?').get('ann')?.['sessions']).toBe(2)
  db.close()
})

it('[OPS-07] the writer flushes in full where the system tells the two apart (macOS), and syncs every commit', () => {
  const db = openDatabase(join(ownFolder(), 'flush.db'))
  try {
    configureWriter(db, 'full')
    const pragma = (name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]
    expect(['fullfsync', 'checkpoint_fullfsync', 'synchronous', 'journal_mode'].map(pragma)).toEqual([1, 1, 2, 'wal'])
    configureWriter(db, 'relaxed')
    expect(pragma('synchronous')).toBe(1)
  } finally {
    db.close()
  }
})
