import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { appendOf, FENCE, fill, idOf, range, readAll, recordOf, rowOf, seqsOf, textOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { backupStore, restoreStore } from './backup.ts'
import { checkStore } from './check.ts'
import { openSqliteStore, type SqliteStore } from './sqlite-store.ts'
import { filesOf, ownFolder } from './testing/folders.ts'

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Goes on appending, folding, trimming and dropping until it is told to stop. */
function keepBusy(store: SqliteStore): () => Promise<void> {
  let isStopped = false
  const write = async (id: string): Promise<void> => {
    for (let seq = 1; !isStopped; seq += 5) {
      await store.commit({
        appends: [
          appendOf(
            id,
            seq,
            range(seq, seq + 4).map(each => textOf(id, each, 400)),
          ),
        ],
        fence: FENCE,
      })
      if (seq % 50 === 1) await store.commit({ trims: [{ sessionId: id, floor: Math.max(0, seq - 120) }], fence: FENCE })
    }
  }
  const churn = async (): Promise<void> => {
    for (let round = 0; !isStopped; round++) {
      await fill(store, `gone${round}`, 20, 20, 500)
      await store.fold(round % 3 === 0 ? 'cold' : 'all')
      await store.commit({ drops: [{ sessionId: `gone${round}`, status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
    }
  }
  const work = Promise.all([write('busy1'), write('busy2'), churn()])
  return async () => {
    isStopped = true
    await work
  }
}

it('[SEQ-19] a backup taken by another process while the server writes restores whole, under a new epoch', { timeout: 120_000 }, async () => {
  const dataDir = ownFolder()
  const dest = join(ownFolder(), 'backup')
  const store = await openSqliteStore({ dataDir, segmentBytes: 4000, coldAfterMs: 0 })
  await fill(store, 'still', 60, 7, 300)
  await store.commit({
    ids: [idOf('still', 'x')],
    docs: [{ collection: 'tokens', id: 't', value: 'v' }],
    creates: [rowOf('busy1'), rowOf('busy2')],
    fence: FENCE,
  })
  const blob = Buffer.from('a blob')
  const name = createHash('sha256').update(blob).digest('hex')
  await store.putBlob('still', name, piecesOf(blob), 100)
  await store.fold()
  const stop = keepBusy(store)
  const acked = (await store.getSession('busy1'))?.head ?? 0
  const script = `import { backupStore } from ${JSON.stringify(new URL('./backup.ts', import.meta.url).href)}
    await backupStore(${JSON.stringify(dataDir)}, ${JSON.stringify(dest)})`
  const child = spawn(process.execPath, ['--conditions=holdfast-source', '--input-type=module', '-e', script], { stdio: 'inherit' })
  expect((await once(child, 'exit'))[0]).toBe(0)
  const after = (await store.getSession('busy1'))?.head ?? 0
  await stop()
  expect(after, 'appends went on meanwhile').toBeGreaterThan(acked)

  const restored = join(ownFolder(), 'restored')
  const { epoch } = await restoreStore(dest, restored)
  expect(epoch).not.toBe(store.epoch)
  const report = await checkStore(restored)
  expect(report).toMatchObject({ problems: [], epoch, guard: 'fits' })
  const copy = await openSqliteStore({ dataDir: restored })
  expect(copy.epoch).toBe(epoch)
  expect(await readAll(copy, 'still')).toEqual(await readAll(store, 'still'))
  expect(await copy.findIds([idOf('still', 'x')])).toEqual([idOf('still', 'x')])
  expect(await copy.getDoc('tokens', 't')).toBe('v')
  expect((await copy.getBlob('still', name))?.bytes).toBe(6)
  for (const id of ['busy1', 'busy2']) {
    const row = await copy.getSession(id)
    expect(row?.head).toBeLessThanOrEqual((await store.getSession(id))?.head ?? 0)
    expect(await readAll(copy, id)).toEqual(range((row?.floor ?? 0) + 1, row?.head ?? 0).map(seq => ({ seq, text: textOf(id, seq, 400) })))
  }
  const row = await copy.getSession('busy1')
  expect(row?.head).toBeGreaterThanOrEqual(acked)
  await copy.commit({ appends: [appendOf('busy1', (row?.head ?? 0) + 1, ['1'])], fence: FENCE })
  await copy.close()
  await store.close()
  expect((await checkStore(dataDir)).problems).toEqual([])
})

it('[SEQ-19] files that go away while they are copied: the backup is of a later moment, and whole', async () => {
  const dataDir = ownFolder()
  const dest = ownFolder()
  const store = await openSqliteStore({ dataDir, segmentBytes: 4000 })
  for (const id of ['a', 'b']) {
    await fill(store, id, 40, 10, 400)
    await store.fold()
  }
  let calls = 0
  await backupStore(dataDir, dest, async () => {
    if (++calls > 1) return
    await store.commit({
      appends: [appendOf('a', 41, ['41'])],
      drops: [{ sessionId: 'b', status: 'deleted', record: recordOf(), keepLog: false }],
      fence: FENCE,
    })
    await store.erase()
  })
  await store.close()
  const target = ownFolder()
  await restoreStore(dest, target)
  expect(await checkStore(target)).toMatchObject({ problems: [], strays: [], events: 41 })
  expect(filesOf(join(dest, 'segments')).length).toBe(filesOf(join(target, 'segments')).length)
})

it('[SEQ-19] a backup that is not whole or damaged, and a folder that is not empty, are refused', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir })
  await fill(store, 'a', 10)
  await store.fold()
  await store.close()
  const dest = join(ownFolder(), 'backup')
  const progress: number[] = []
  await backupStore(dataDir, dest, ({ doneBytes }) => void progress.push(doneBytes))
  expect(progress.length).toBe(1)
  await expect(backupStore(dataDir, dest)).rejects.toMatchObject({ code: 'in_use' })
  await expect(restoreStore(dest, dataDir)).rejects.toMatchObject({ code: 'in_use' })

  const manifest = readFileSync(join(dest, 'manifest.json'))
  rmSync(join(dest, 'manifest.json'))
  const target = ownFolder()
  await expect(restoreStore(dest, target)).rejects.toMatchObject({ code: 'damaged' })
  expect(readdirSync(target)).toEqual([])

  writeFileSync(join(dest, 'manifest.json'), manifest)
  const segment = filesOf(join(dest, 'segments'))[0] ?? ''
  const bytes = readFileSync(segment)
  bytes[20] = (bytes[20] ?? 0) ^ 1
  writeFileSync(segment, bytes)
  await expect(restoreStore(dest, target)).rejects.toMatchObject({ code: 'damaged' })
  await expect(openSqliteStore({ dataDir: target }), 'half a restore is no data folder').rejects.toMatchObject({ code: 'damaged' })

  writeFileSync(join(dest, 'manifest.json'), manifest.toString().replace('segments/', '../segments/'))
  await expect(restoreStore(dest, ownFolder())).rejects.toMatchObject({ code: 'damaged' })
})

it('[SEQ-19] a restored folder and its backup live on apart: seqs of the copy are under its own epoch', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir })
  await fill(store, 'a', 5)
  await store.close()
  const dest = ownFolder()
  await backupStore(dataDir, dest)
  const epochs = new Set([store.epoch])
  for (let round = 0; round < 2; round++) {
    const target = ownFolder()
    epochs.add((await restoreStore(dest, target)).epoch)
    const copy = await openSqliteStore({ dataDir: target })
    expect(seqsOf(await readAll(copy, 'a'))).toEqual(range(1, 5))
    await copy.close()
  }
  expect(epochs.size).toBe(3)
})
