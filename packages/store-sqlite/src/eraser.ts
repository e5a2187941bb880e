import type { Desk } from './apply.ts'
import { removeDurably } from './files.ts'
import type { Result } from './messages.ts'
import { blobPath, segmentPath } from './paths.ts'
import type { Task } from './writer.ts'
import { join } from 'node:path'

/** Rows that one step takes, so that commits wait for it a few milliseconds at most. */
const SLICE = { files: 64, chunks: 64, ids: 1000, snapshots: 4 } as const

export interface EraserOptions {
  readonly desk: Desk
  readonly run: (task: Task) => Promise<Result>
  readonly onRemoved: (segments: readonly number[]) => void
  readonly step: (name: string) => void
}

const done = (result: Result): boolean => result === undefined || !('failure' in result)

/** Removes what is out of reach already: one step; false when nothing is left. */
export function createEraser({ desk, run, onRemoved, step }: EraserOptions): () => Promise<boolean> {
  const { sql, paths } = desk

  const eraseFiles = async (): Promise<boolean> => {
    const old = sql(`SELECT path FROM files WHERE state = 'old' LIMIT ?`).all(SLICE.files).map(row => row['path'] as string)
    if (old.length === 0) return false
    onRemoved(old.map(path => Number(/(\d+)\.seg$/.exec(path)?.[1] ?? 0)))
    await removeDurably(paths.dataDir, old)
    step('erase:files')
    return done(
      await run(() => {
        for (const path of old) sql('DELETE FROM files WHERE path = ?').run(path)
        return undefined
      }),
    )
  }

  const eraseSegments = async (session: number): Promise<boolean> => {
    const keys = sql('SELECT key FROM segments WHERE session = ? LIMIT ?').all(session, SLICE.files).map(row => row['key'] as number)
    if (keys.length === 0) return false
    onRemoved(keys)
    await removeDurably(paths.dataDir, keys.map(segmentPath))
    step('erase:segments')
    return done(
      await run(() => {
        for (const key of keys) sql('DELETE FROM segments WHERE key = ?').run(key)
        return undefined
      }),
    )
  }

  const eraseRows = async (session: number): Promise<boolean> => {
    let removed = 0
    const result = await run(() => {
      removed = 0
      const key = (text: string, limit: number): void => {
        removed += sql(text).run(session, limit).changes
      }
      key('DELETE FROM chunks WHERE key IN (SELECT key FROM chunks WHERE session = ? LIMIT ?)', SLICE.chunks)
      key('DELETE FROM snapshots WHERE key IN (SELECT key FROM snapshots WHERE session = ? LIMIT ?)', SLICE.snapshots)
      for (const row of sql('SELECT sender, id FROM ids WHERE session = ? LIMIT ?').all(session, SLICE.ids)) {
        removed += sql('DELETE FROM ids WHERE session = ? AND sender = ? AND id = ?').run(session, row['sender'] ?? '', row['id'] ?? '').changes
      }
      return undefined
    })
    return done(result) && removed > 0
  }

  return async () => {
    if (await eraseFiles()) return true
    const session = sql('SELECT session FROM erase LIMIT 1').get()?.['session'] as number | undefined
    if (session === undefined) return false
    if ((await eraseSegments(session)) || (await eraseRows(session))) return true
    await removeDurably(paths.dataDir, [join(blobPath(session, ''), '.')])
    const result = await run(() => {
      sql('DELETE FROM blobs WHERE session = ?').run(session)
      sql('DELETE FROM files WHERE path GLOB ?').run(`${blobPath(session, '*')}`)
      sql('DELETE FROM erase WHERE session = ?').run(session)
      return undefined
    })
    return done(result)
  }
}

/** After a start: a file that was being written when the process ended is named by a row, or is to be removed. */
export function settleFiles({ sql }: Desk): void {
  for (const row of sql(`SELECT path FROM files WHERE state = 'new'`).all()) {
    const path = row['path'] as string
    const segment = /^segments\/\d+\/(\d+)\.seg$/.exec(path)
    const blob = /^blobs\/(\d+)\/([0-9a-f]{64})$/.exec(path)
    const isNamed = segment
      ? sql('SELECT 1 FROM segments WHERE key = ?').get(Number(segment[1]))
      : blob && sql('SELECT 1 FROM blobs WHERE session = ? AND sha256 = ?').get(Number(blob[1]), blob[2] ?? '')
    if (isNamed) sql('DELETE FROM files WHERE path = ?').run(path)
    else sql(`UPDATE files SET state = 'old' WHERE path = ?`).run(path)
  }
}
