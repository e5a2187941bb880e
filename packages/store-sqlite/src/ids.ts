import type { Sql } from './database.ts'
import { idSum } from './schema.ts'

/** Session key (0 for ids of creations), sender, id, digest, first seq, last seq, at, answer. */
export type IdEntry = readonly [number, string, string, string, number, number, number, string]

/** Ids of this transaction and of those in the journal, until they are rows. */
export interface Ids {
  add(entry: IdEntry): void
  has(session: number, sender: string, id: string): boolean
  /** Writes all as rows. */
  flush(): void
  clear(): void
  readonly size: number
}

const nameOf = (session: number, sender: string, id: string): string => `${session}\n${sender}\n${id}`

export function createIds(sql: Sql): Ids {
  const pending = new Map<string, IdEntry>()
  return {
    add: entry => void pending.set(nameOf(entry[0], entry[1], entry[2]), entry),
    has: (session, sender, id) =>
      pending.has(nameOf(session, sender, id)) || sql('SELECT 1 FROM ids WHERE session = ? AND sender = ? AND id = ?').get(session, sender, id) !== undefined,
    flush() {
      const insert = sql('INSERT INTO ids (session, sender, id, digest, first_seq, last_seq, at, answer, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      for (const [session, sender, id, digest, firstSeq, lastSeq, at, answer] of pending.values()) {
        const crc = idSum({ session, sender, id, digest, first_seq: firstSeq, last_seq: lastSeq, at, answer })
        insert.run(session, sender, id, digest, firstSeq, lastSeq, at, answer, crc)
      }
      pending.clear()
    },
    clear: () => pending.clear(),
    get size() {
      return pending.size
    },
  }
}
