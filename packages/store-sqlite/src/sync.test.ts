import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { ownFolder } from './testing/folders.ts'

const hasStrace = spawnSync('strace', ['-V']).status === 0
const childPath = fileURLToPath(new URL('./testing/sync-child.ts', import.meta.url))
const COUNT = 20

/** Acks that were said while something written to the write-ahead log was not synced. */
function unsyncedAcks(durability: string): { readonly acks: number; readonly unsynced: number } {
  const folder = ownFolder()
  const trace = join(folder, 'trace')
  const strace = ['-f', '-y', '-e', 'trace=fsync,fdatasync,write,pwrite64', '-o', trace]
  const child = [process.execPath, '--conditions=holdfast-source', childPath, join(folder, 'data'), durability, String(COUNT)]
  const { status, stderr } = spawnSync('strace', [...strace, ...child], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  let isSynced = false
  let acks = 0
  let unsynced = 0
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    // A sync counts when it has returned, which a call that others interrupt says on a later line.
    if (/pwrite64\(\d+<[^>]*-wal>/.test(line)) isSynced = false
    else if (/(fsync|fdatasync)\(\d+<[^>]*-wal>\)\s+= 0/.test(line) || /<\.\.\. (fsync|fdatasync) resumed>\)\s+= 0/.test(line)) isSynced = true
    else if (/"ACK \d+/.test(line)) {
      acks++
      if (!isSynced) unsynced++
    }
  }
  return { acks, unsynced }
}

it.runIf(hasStrace)('[fault 31] every ack is preceded by a sync of the write-ahead log that covers it', () => {
  expect(unsyncedAcks('full')).toEqual({ acks: COUNT, unsynced: 0 })
})

it.runIf(hasStrace)('[fault 31] with durability relaxed the same look finds acks that no sync covers', () => {
  expect(unsyncedAcks('relaxed').unsynced).toBeGreaterThan(0)
})
