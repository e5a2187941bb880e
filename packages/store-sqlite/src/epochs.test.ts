import { cpSync, copyFileSync, rmSync, writeFileSync, readFileSync, appendFileSync, truncateSync, statSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { appendOf, FENCE, fill, range, readAll, rowOf, seqsOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { checkStore } from './check.ts'
import { renewEpoch } from './epochs.ts'
import { openGuard, readGuard } from './guard.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { crash, expectKept, nothingPromised } from './testing/crash.ts'
import { ownFolder } from './testing/folders.ts'
import { keepingLogger } from './testing/logger.ts'

/** A folder with some commits, closed; and the same, some commits later. */
async function oldAndNew(dataDir: string): Promise<{ readonly old: string; readonly epoch: string }> {
  const first = await openSqliteStore({ dataDir })
  await fill(first, 'a', 5)
  await first.close()
  const old = `${dataDir}-old`
  cpSync(dataDir, old, { recursive: true })
  const second = await openSqliteStore({ dataDir })
  for (const seq of range(6, 9)) await second.commit({ appends: [appendOf('a', seq, [String(seq)])], fence: FENCE })
  await second.close()
  expect(second.epoch).toBe(first.epoch)
  return { old, epoch: first.epoch }
}

it('[fault 12] [SEQ-19] an older database put back by hand is noticed at start: a new epoch and a warning, once', async () => {
  const dataDir = ownFolder()
  const { old, epoch } = await oldAndNew(dataDir)
  copyFileSync(join(old, 'holdfast.db'), join(dataDir, 'holdfast.db'))
  rmSync(old, { recursive: true })
  expect((await checkStore(dataDir)).guard).toBe('ahead')
  const logger = keepingLogger()
  const store = await openSqliteStore({ dataDir, logger })
  expect(store.epoch).not.toBe(epoch)
  expect(store.epoch).toMatch(/^[A-Za-z][A-Za-z0-9]{3,31}$/)
  expect(seqsOf(await readAll(store, 'a'))).toEqual(range(1, 5))
  await store.close()
  expect(logger.lines.filter(line => line.level === 'warn')).toHaveLength(1)
  const again = await openSqliteStore({ dataDir })
  expect(again.epoch).toBe(store.epoch)
  await again.close()
})

it('[fault 12] a guard that is missing, torn or behind raises no alarm', async () => {
  const dataDir = ownFolder()
  const { old, epoch } = await oldAndNew(dataDir)
  const spoil: (() => void)[] = [
    () => rmSync(join(dataDir, 'guard')),
    () => writeFileSync(join(dataDir, 'guard'), 'HFG1 torn'),
    () => writeFileSync(join(dataDir, 'guard'), readFileSync(join(dataDir, 'guard')).fill(0, 50)),
    () => copyFileSync(join(old, 'guard'), join(dataDir, 'guard')),
  ]
  for (const spoilIt of spoil) {
    spoilIt()
    const store = await openSqliteStore({ dataDir })
    expect(store.epoch).toBe(epoch)
    await store.commit({ docs: [{ collection: 'x', id: 'x', value: '1' }], fence: FENCE })
    await store.close()
    expect((await checkStore(dataDir)).guard).toBe('fits')
  }
  rmSync(old, { recursive: true })
})

it('[fault 12] renewEpoch gives a copied folder another identity, and refuses one that is open', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  expect(() => renewEpoch(dataDir)).toThrowError(expect.objectContaining({ code: 'in_use' }))
  await store.close()
  const epoch = renewEpoch(dataDir)
  expect(epoch).not.toBe(store.epoch)
  const next = await openSqliteStore({ dataDir })
  expect(next.epoch).toBe(epoch)
  expect(await next.getSession('a')).toBeDefined()
  await next.close()
})

it('the guard file keeps what was written last', () => {
  const path = join(ownFolder(), 'guard')
  expect(readGuard(path)).toBeUndefined()
  const guard = openGuard(path)
  guard.write({ epoch: 'e'.repeat(32), commits: 2 ** 53 - 1 })
  guard.write({ epoch: 'eabc', commits: 7 })
  guard.close()
  expect(readGuard(path)).toEqual({ epoch: 'eabc', commits: 7 })
})

it('[fault 30] a write-ahead log with a torn tail is recovered to its last whole commit', async () => {
  const dataDir = ownFolder()
  const promised = nothingPromised()
  await crash(dataDir, promised, { seed: 5, acks: 120 })
  const wal = join(dataDir, 'holdfast.db-wal')
  expect(existsSync(wal) && statSync(wal).size).toBeGreaterThan(0)

  // Half a commit behind the last one: nothing is missing, the history is the same.
  const torn = `${dataDir}-torn`
  cpSync(dataDir, torn, { recursive: true })
  appendFileSync(join(torn, 'holdfast.db-wal'), readFileSync(wal).subarray(32, 32 + 6000))
  await expectKept(torn, promised)
  rmSync(torn, { recursive: true })

  // Acked commits cut off, as by a disk that lied: whole up to there, and another history.
  const cut = `${dataDir}-cut`
  cpSync(dataDir, cut, { recursive: true })
  truncateSync(join(cut, 'holdfast.db-wal'), Math.floor(statSync(wal).size / 2) + 1000)
  const store = await openSqliteStore({ dataDir: cut })
  expect(store.epoch).not.toBe(promised.epoch)
  await store.close()
  const { problems } = await checkStore(cut)
  expect(problems.filter(problem => !/the file of segment \d+ is missing/.test(problem.problem))).toEqual([])
  rmSync(cut, { recursive: true })
})
