import { zstdCompressSync } from 'node:zlib'
import type { Sql } from './database.ts'
import type { Desk } from './desk.ts'
import type { Log } from './logs.ts'
import type { Result } from './messages.ts'
import { snapshotSum } from './schema.ts'

/** Snapshots larger than this are compressed (TERM-09). */
const COMPRESS_BYTES = 10 * 1024

/** Keeps a state; compressed where it is large. */
export function putSnapshot({ sql, logs }: Desk, id: string, seq: number, state: string): Result {
  const log = logs.find(id)
  if (!log || seq > log.head) return { failure: { code: 'stale', message: `there is no event ${seq} in ${id}`, sessionId: id } }
  const plain = Buffer.from(state)
  const codec = plain.byteLength > COMPRESS_BYTES ? 1 : 0
  const stored = codec === 1 ? zstdCompressSync(plain) : plain
  sql(`INSERT INTO snapshots (session, seq, codec, crc, state) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (session, seq) DO UPDATE SET codec = excluded.codec, crc = excluded.crc, state = excluded.state`).run(
    log.key,
    seq,
    codec,
    snapshotSum(log.key, seq, codec, stored),
    stored,
  )
  pruneSnapshots(sql, log)
  return undefined
}

/** Kept: the newest four, and the oldest that the kept log follows on; below the floor the newest of all alone. */
export function pruneSnapshots(sql: Sql, log: Log): void {
  const seqs = sql('SELECT seq FROM snapshots WHERE session = ? ORDER BY seq')
    .all(log.key)
    .map(row => row['seq'] as number)
  const base = seqs.find(seq => seq >= log.floor)
  const newest = seqs.slice(-4)
  for (const seq of seqs) {
    const isKept = seq === base || seq === seqs.at(-1) || (seq >= log.floor && newest.includes(seq))
    if (!isKept) sql('DELETE FROM snapshots WHERE session = ? AND seq = ?').run(log.key, seq)
  }
}
