import type { Desk } from './desk.ts'
import { removeDurably } from './files.ts'
import type { Result } from './messages.ts'
import { blobFolder, segmentPath } from './paths.ts'

/** Rows that one step takes, so that commits wait for it a few milliseconds at most. */
const SLICE = { files: 64, chunks: 64, ids: 1000, snapshots: 4 } as const

export interface EraserOptions {
  readonly desk: Desk
  readonly run: (work: () => Result) => Promise<Result>
  readonly onRemoved: (segments: readonly number[]) => void
  readonly step: (name: string) => void
}

const must = (result: Result): void => {
  if (result && 'failure' in result) throw new Error(result.failure.message)
}

/** Removes what is out of reach already: one step; says of what, undefined when nothing is left. */
export function createEraser({ desk, run, onRemoved, step }: EraserOptions): () => Promise<'files' | 'session' | undefined> {
  const { sql, paths } = desk

  const eraseFiles = async (): Promise<boolean> => {
    const old = sql(`SELECT path FROM files WHERE state = 'old' LIMIT ?`)
      .all(SLICE.files)
      .map(row => row['path'] as string)
    if (old.length === 0) return false
    onRemoved(old.map(path => Number(/(\d+)\.seg$/.exec(path)?.[1] ?? 0)))
    await removeDurably(paths.dataDir, old)
    step('erase:files')
    must(
      await run(() => {
        for (const path of old) sql('DELETE FROM files WHERE path = ?').run(path)
        return undefined
      }),
    )
    return true
  }

  const eraseSegments = async (session: number): Promise<boolean> => {
    const keys = sql('SELECT key FROM segments WHERE session = ? LIMIT ?')
      .all(session, SLICE.files)
      .map(row => row['key'] as number)
    if (keys.length === 0) return false
    onRemoved(keys)
    await removeDurably(paths.dataDir, keys.map(segmentPath))
    step('erase:segments')
    must(
      await run(() => {
        for (const key of keys) sql('DELETE FROM segments WHERE key = ?').run(key)
        return undefined
      }),
    )
    return true
  }

  const eraseRows = async (session: number): Promise<boolean> => {
    let removed = 0
    const result = await run((): Result => {
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
    must(result)
    return removed > 0
  }

  return async () => {
    if (await eraseFiles()) return 'files'
    const session = sql('SELECT session FROM erase LIMIT 1').get()?.['session'] as number | undefined
    if (session === undefined) return undefined
    if ((await eraseSegments(session)) || (await eraseRows(session))) return 'session'
    await removeDurably(paths.dataDir, [blobFolder(session)])
    // A blob that is just coming in keeps its line in `files`, by which a restart finds what it left.
    must(
      await run(() => {
        sql('DELETE FROM blobs WHERE session = ?').run(session)
        sql('DELETE FROM erase WHERE session = ?').run(session)
        return undefined
      }),
    )
    return 'session'
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
