import type { Sql } from './database.ts'
import type { Result } from './messages.ts'
import { sumOf } from './checksum.ts'

/** A session that is idle. */
export interface Cold {
  readonly id: string
  readonly activityAt: number
  readonly loose: number
  /** True while a segment is not compressed. */
  readonly hasPlain: boolean
}

/** Live sessions idle since before `before` that were not looked at since their last activity; oldest first, so that each is looked at once. */
export function readCold(sql: Sql, before: number, limit: number): Cold[] {
  const mark = sql(`SELECT value FROM meta WHERE key = 'cold_mark'`).get()?.['value'] as string | undefined
  const [activityAt, id] = mark === undefined ? [-1, ''] : (JSON.parse(mark) as [number, string])
  return sql(
    `SELECT id, activity_at, loose, EXISTS (SELECT 1 FROM segments WHERE session = sessions.key AND codec = 0) AS plain
     FROM sessions WHERE status = 'live' AND (activity_at, id) > (?, ?) AND activity_at <= ? ORDER BY activity_at, id LIMIT ?`,
  )
    .all(activityAt, id, before, limit)
    .map(row => ({ id: row['id'] as string, activityAt: row['activity_at'] as number, loose: row['loose'] as number, hasPlain: row['plain'] === 1 }))
}

export function writeCold(sql: Sql, last: Cold): Result {
  const value = JSON.stringify([last.activityAt, last.id])
  sql(`INSERT INTO meta (key, value, crc) VALUES ('cold_mark', ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc`).run(
    value,
    sumOf(['cold_mark', value]),
  )
  return undefined
}
