import { DatabaseSync } from 'node:sqlite'

/** A table of events and nothing else, in WAL with a full sync: what one durable commit costs here without a server. */
export interface PlainTable {
  /** One transaction of `count` rows of `bytes` bytes. */
  commit(count: number, bytes: number): void
  close(): void
}

export function openPlainTable(path: string): PlainTable {
  const db = new DatabaseSync(path)
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE events (session INTEGER, seq INTEGER, body BLOB); CREATE UNIQUE INDEX by_seq ON events (session, seq)',
  )
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?)')
  let seq = 0
  return {
    commit(count, bytes) {
      const body = Buffer.alloc(bytes, 120)
      begin.run()
      for (let i = 0; i < count; i++) insert.run(1, ++seq, body)
      commit.run()
    },
    close: () => db.close(),
  }
}
