import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { appendOf, expectRefusal, FENCE, fill, idOf, PLENTY, range, readAll, rowOf, seqsOf, textOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { checkStore } from './check.ts'
import { openDatabase, outdatedSqlite } from './database.ts'
import { OpenError } from './errors.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { filesOf, ownFolder } from './testing/folders.ts'
import { keepingLogger } from './testing/logger.ts'

const expectOpenError = async (promise: Promise<unknown>, code: string): Promise<void> => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(OpenError)
  expect((error as OpenError).code).toBe(code)
}

it('[fault 4] a full disk refuses what does not fit, takes what does, and all again once there is room', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir, maxPageCount: 120, segmentBytes: 2 ** 30 })
  await store.commit({ creates: [rowOf('big'), rowOf('small')], fence: FENCE })
  const big = textOf('big', 1, 200_000)
  let head = 0
  for (;;) {
    const commits = [
      store.commit({ appends: [appendOf('big', head + 1, [big])], fence: FENCE }),
      store.commit({ appends: [appendOf('small', head + 1, ['1'])], ids: [idOf('small', `i${head + 1}`)], fence: FENCE }),
    ]
    const [large, little] = await Promise.allSettled(commits)
    expect(little?.status, 'what fits goes in beside what does not').toBe('fulfilled')
    if (large?.status === 'rejected') {
      await expectRefusal(Promise.reject(large.reason), 'full')
      break
    }
    head++
    expect(head).toBeLessThan(10)
  }
  expect(head).toBeGreaterThan(0)
  expect((await store.getSession('big'))?.head, 'no seq is burnt').toBe(head)
  expect((await store.getSession('small'))?.head).toBe(head + 1)
  // What was filed left some room in the journal.
  let refusal: unknown
  while (refusal === undefined) {
    refusal = await store.commit({ appends: [appendOf('big', head + 1, [big])], fence: FENCE }).then(
      () => void head++,
      (thrown: unknown) => thrown,
    )
    expect(head).toBeLessThan(12)
  }
  await expectRefusal(Promise.reject(refusal), 'full')
  expect((await store.getSession('big'))?.head, 'no seq is burnt').toBe(head)
  await store.commit({ trims: [{ sessionId: 'big', floor: head }], fence: FENCE })
  await store.commit({ appends: [appendOf('big', head + 1, [big])], fence: FENCE })
  expect(await readAll(store, 'big')).toEqual([{ seq: head + 1, text: big }])
  await store.close()
  expect((await checkStore(dataDir)).problems).toEqual([])
})

it('[fault 4] a failed sync is fatal: all that wait are told, nothing more is taken, and the next start has all that was acked', async () => {
  const dataDir = ownFolder()
  const logger = keepingLogger()
  const store = await openSqliteStore({ dataDir, logger, fault: { at: 'commit:written', after: 4, action: 'ioerr' } })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  await store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE })
  await store.commit({ appends: [appendOf('a', 2, ['2'])], fence: FENCE })
  const waiting = [3, 4].map(seq => store.commit({ appends: [appendOf('a', seq, [String(seq)])], fence: FENCE }))
  for (const commit of waiting) await expectRefusal(commit, 'fatal')
  await expectRefusal(store.commit({ appends: [appendOf('a', 3, ['3'])], fence: FENCE }), 'fatal')
  await expectRefusal(store.putSnapshot('a', 1, '{}'), 'fatal')
  expect(logger.lines.filter(line => line.level === 'error')).toHaveLength(1)
  expect(seqsOf(await readAll(store, 'a'))).toEqual([1, 2])
  await store.close()
  const next = await openSqliteStore({ dataDir })
  expect(next.epoch).toBe(store.epoch)
  expect(seqsOf(await readAll(next, 'a'))).toEqual([1, 2])
  await next.close()
})

it('[fault 13] a second open of a data folder is refused, in this process and in another, until the first is closed', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir })
  await expectOpenError(openSqliteStore({ dataDir }), 'in_use')
  const script = `import { openSqliteStore } from ${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)}
    await openSqliteStore({ dataDir: ${JSON.stringify(dataDir)} }).then(() => process.exit(0), error => process.exit(error.code === 'in_use' ? 3 : 1))`
  const child = spawn(process.execPath, ['--conditions=holdfast-source', '--input-type=module', '-e', script], { stdio: 'inherit' })
  expect((await once(child, 'exit'))[0]).toBe(3)
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  await store.close()
  const next = await openSqliteStore({ dataDir })
  expect(await next.getSession('a')).toBeDefined()
  await next.close()
})

it('a folder whose database is none, another program’s, newer, or gone is refused with what to do, and left as it is', async () => {
  const garbage = ownFolder()
  writeFileSync(join(garbage, 'holdfast.db'), 'x'.repeat(10_000))
  await expectOpenError(openSqliteStore({ dataDir: garbage }), 'damaged')
  expect(readFileSync(join(garbage, 'holdfast.db'), 'utf8')).toBe('x'.repeat(10_000))

  const foreign = ownFolder()
  const other = openDatabase(join(foreign, 'holdfast.db'))
  other.exec('CREATE TABLE notes (text TEXT)')
  other.close()
  await expectOpenError(openSqliteStore({ dataDir: foreign }), 'damaged')

  const newer = ownFolder()
  await (await openSqliteStore({ dataDir: newer })).close()
  const db = openDatabase(join(newer, 'holdfast.db'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  await expectOpenError(openSqliteStore({ dataDir: newer }), 'unsupported')

  const gone = ownFolder()
  const store = await openSqliteStore({ dataDir: gone })
  await fill(store, 'a', 3)
  await store.fold()
  await store.close()
  rmSync(join(gone, 'holdfast.db'))
  await expectOpenError(openSqliteStore({ dataDir: gone }), 'damaged')
  // A refused open lets go of the folder.
  await expectOpenError(openSqliteStore({ dataDir: gone }), 'damaged')
})

/** Flips one bit of a marker, or in the middle of a file. */
function flip(path: string, marker: string | undefined): void {
  const bytes = readFileSync(path)
  const at = marker === undefined ? bytes.byteLength >> 1 : bytes.indexOf(marker)
  expect(at, `${marker} is in ${path}`).toBeGreaterThan(0)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

for (const where of ['row', 'segment', 'compressed segment'] as const) {
  it(`[fault 32] one flipped bit in a ${where} is found, that log is quarantined and reported, the others go on`, async () => {
    const dataDir = ownFolder()
    const before = await openSqliteStore({ dataDir, coldAfterMs: 0 })
    for (const id of ['good', 'bad']) {
      await before.commit({ creates: [rowOf(id)], fence: FENCE })
      for (const seq of range(1, 30)) await before.commit({ appends: [appendOf(id, seq, [`"${id}-${seq}-${'0123456789'.repeat(100)}"`])], fence: FENCE })
    }
    if (where === 'segment') await before.fold()
    if (where === 'compressed segment') await before.fold('cold')
    await before.close()
    const path = where === 'row' ? join(dataDir, 'holdfast.db') : (filesOf(join(dataDir, 'segments')).sort().at(-1) as string)
    flip(path, where === 'compressed segment' ? undefined : 'bad-17-0123')

    const logger = keepingLogger()
    const store = await openSqliteStore({ dataDir, logger })
    const victim = where === 'compressed segment' ? await damagedOf(dataDir) : 'bad'
    const refusal = await expectRefusal(readAll(store, victim), 'damaged')
    expect(refusal.sessionId).toBe(victim)
    await expectRefusal(store.read(victim, 0, PLENTY), 'damaged')
    await expectRefusal(store.commit({ appends: [appendOf(victim, 31, ['1'])], fence: FENCE }), 'damaged')
    expect((await store.stats()).quarantined).toEqual([victim])
    expect(logger.lines.filter(line => line.level === 'error' && line.fields['session_id'] === victim)).toHaveLength(1)
    const other = victim === 'bad' ? 'good' : 'bad'
    expect(await readAll(store, other)).toHaveLength(30)
    await store.commit({ appends: [appendOf(other, 31, ['1'])], fence: FENCE })
    await store.fold()
    await store.close()

    const again = await openSqliteStore({ dataDir })
    expect((await again.stats()).quarantined).toEqual([victim])
    await expectRefusal(again.read(victim, 29, PLENTY), 'damaged')
    const report = await checkStore(dataDir)
    expect(report.problems.map(problem => problem.sessionId)).toEqual([victim])
    expect(report.quarantined).toEqual([victim])
    await again.commit({ drops: [{ sessionId: victim, status: 'deleted', record: rowOf(victim).record, keepLog: false }], fence: FENCE })
    expect((await again.stats()).quarantined).toEqual([])
    await again.close()
    expect((await checkStore(dataDir)).problems).toEqual([])
  })
}

const damagedOf = async (dataDir: string): Promise<string> => (await checkStore(dataDir)).problems[0]?.sessionId ?? ''

it('a segment file that is missing or cut off quarantines its log alone', async () => {
  const dataDir = ownFolder()
  const before = await openSqliteStore({ dataDir })
  for (const id of ['a', 'b', 'c']) {
    await fill(before, id, 50, 50, 500)
    await before.fold()
  }
  await before.close()
  const [first = '', second = ''] = filesOf(join(dataDir, 'segments')).sort()
  rmSync(first)
  writeFileSync(second, readFileSync(second).subarray(0, 3000))
  const store = await openSqliteStore({ dataDir })
  await expectRefusal(readAll(store, 'a'), 'damaged')
  await expectRefusal(readAll(store, 'b'), 'damaged')
  expect(await readAll(store, 'c')).toHaveLength(50)
  await store.close()
})

it('[SEQ-19] a blob whose file has its name but no row when the process ends is gone after the next start', async () => {
  const dataDir = ownFolder()
  const content = Buffer.from('a blob')
  const name = createHash('sha256').update(content).digest('hex')
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield content
  }
  const store = await openSqliteStore({ dataDir, fault: { at: 'commit:written', after: 3, action: 'ioerr' } })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  await expectRefusal(store.putBlob('a', name, pieces(), 100), 'fatal')
  await store.close()
  expect(filesOf(join(dataDir, 'blobs'))).toHaveLength(1)
  const next = await openSqliteStore({ dataDir })
  await expect.poll(() => filesOf(join(dataDir, 'blobs'))).toEqual([])
  expect(await next.putBlob('a', name, pieces(), 100)).toBe('stored')
  await next.close()
  const again = await openSqliteStore({ dataDir })
  expect(await again.getBlob('a', name)).toMatchObject({ bytes: 6 })
  await again.close()
})

it('SQLite before 3.51.3 is refused', () => {
  expect(['3.47.2', '3.51.2', '2.99.99', '3.9.9'].map(outdatedSqlite)).toEqual(['3.47.2', '3.51.2', '2.99.99', '3.9.9'])
  expect(['3.51.3', '3.53.4', '4.0.0', '3.51.10'].map(outdatedSqlite)).toEqual([undefined, undefined, undefined, undefined])
})
