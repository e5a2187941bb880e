import { createHash } from 'node:crypto'
import { appendOf, FENCE, idOf, recordOf, rowOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { openSqliteStore, type SqliteStore } from './sqlite-store.ts'
import { filesWith, ownFolder } from './testing/folders.ts'

const MARKER = 'ERASE-ME-9f27'
const blob = Buffer.from(`${MARKER} in a blob`.repeat(1000))
const blobName = createHash('sha256').update(blob).digest('hex')

async function* blobContent(): AsyncGenerator<Uint8Array> {
  yield blob
}

/** The marker in rows, rows that were rewritten, segments, ids, snapshots, records and a blob, among the data of others. */
async function scatter(store: SqliteStore): Promise<void> {
  const record = recordOf({ session_name: MARKER, metadata: { deep: MARKER } })
  await store.commit({ creates: [rowOf('gone', { record }), rowOf('stays')], fence: FENCE })
  let seq = 0
  const both = async (): Promise<void> => {
    seq++
    const text = JSON.stringify(`${MARKER} ${'x'.repeat((seq * 97) % 5000)} ${MARKER}`)
    await store.commit({
      appends: [appendOf('gone', seq, [text]), appendOf('stays', seq, [JSON.stringify(`kept ${'z'.repeat((seq * 89) % 3000)}`)])],
      ids: [idOf('gone', `${MARKER}-${seq}`, { answer: MARKER }), idOf('stays', `kept-${seq}`)],
      patches: [{ sessionId: 'gone', record: recordOf({ session_name: `${MARKER}${'n'.repeat((seq * 31) % 700)}` }) }],
      fence: FENCE,
    })
  }
  for (let round = 0; round < 40; round++) await both()
  await store.fold()
  for (let round = 0; round < 20; round++) await both()
  await store.fold()
  for (let round = 0; round < 20; round++) await both()
  await store.putSnapshot('gone', 10, JSON.stringify({ small: MARKER }))
  await store.putSnapshot('gone', 50, JSON.stringify({ large: `${MARKER}${'s'.repeat(60_000)}` }))
  await store.putBlob('gone', blobName, blobContent(), 2 ** 20)
  await store.commit({ trims: [{ sessionId: 'gone', floor: 25 }], fence: FENCE })
}

const drop = (store: SqliteStore): Promise<void> =>
  store.commit({ drops: [{ sessionId: 'gone', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })

it('[SEQ-19] deleting a session erases events, ids, snapshots, records and blobs from every file, by itself, within 10 s', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir, segmentBytes: 20_000 })
  await scatter(store)
  expect(filesWith(dataDir, MARKER).length).toBeGreaterThan(2)
  await drop(store)
  await expect.poll(() => filesWith(dataDir, MARKER), { timeout: 10_000, interval: 50 }).toEqual([])
  expect((await store.getSession('stays'))?.head).toBe(80)
  await store.close()
  expect(filesWith(dataDir, MARKER)).toEqual([])
})

it('[SEQ-19] a stop right after deleting erases too, and so does the start after a kill at that moment', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir, segmentBytes: 20_000 })
  await scatter(store)
  await drop(store)
  await store.close()
  expect(filesWith(dataDir, MARKER)).toEqual([])

  const other = ownFolder()
  const failing = await openSqliteStore({ dataDir: other, segmentBytes: 20_000, fault: { at: 'erase:segments', after: 1, action: 'ioerr' } })
  await scatter(failing)
  await drop(failing)
  await failing.close().catch(() => {})
  const next = await openSqliteStore({ dataDir: other })
  await expect.poll(() => filesWith(other, MARKER), { timeout: 10_000, interval: 50 }).toEqual([])
  await next.close()
})
