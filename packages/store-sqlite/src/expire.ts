import type { Sql } from './database.ts'
import type { Result } from './messages.ts'

/** Rows that one transaction looks at. */
const SLICE = 1000

/** Forgets ids older than `before` whose events are trimmed or that belong to no session; how many it were. */
export async function expireIds(sql: Sql, run: (work: () => Result) => Promise<Result>, before: number): Promise<number> {
  let expired = await expireOf(sql, run, 0, before)
  let session = 0
  for (;;) {
    const next = sql('SELECT key FROM sessions WHERE floor > 0 AND key > ? ORDER BY key LIMIT 1').get(session)?.['key'] as number | undefined
    if (next === undefined) return expired
    session = next
    expired += await expireOf(sql, run, session, before)
  }
}

async function expireOf(sql: Sql, run: (work: () => Result) => Promise<Result>, session: number, before: number): Promise<number> {
  let expired = 0
  let after: readonly [string, string] = ['', '']
  for (;;) {
    const rows = sql(
      `SELECT sender, id, at < ? AND last_seq <= coalesce((SELECT floor FROM sessions WHERE key = ids.session), last_seq) AS due
       FROM ids WHERE session = ? AND (sender, id) > (?, ?) ORDER BY sender, id LIMIT ?`,
    ).all(before, session, ...after, SLICE)
    const last = rows.at(-1)
    if (!last) return expired
    after = [last['sender'] as string, last['id'] as string]
    const due = rows.filter(row => row['due'] === 1)
    if (due.length === 0) {
      await new Promise(resolve => setImmediate(resolve))
      continue
    }
    const result = await run(() => {
      for (const row of due) sql('DELETE FROM ids WHERE session = ? AND sender = ? AND id = ?').run(session, row['sender'] ?? '', row['id'] ?? '')
      return undefined
    })
    if (result && 'failure' in result) throw new Error(result.failure.message)
    expired += due.length
  }
}
