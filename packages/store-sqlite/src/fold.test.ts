import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@holdfast/core'
import { appendOf, FENCE, fill, NOW, range, readAll, rowOf, seqsOf, textOf } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { checkStore } from './check.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { filesOf, ownFolder } from './testing/folders.ts'

/** A clock that stands still and calls nobody back. */
const clockAt = (wallMs: number): Clock => ({ wallMs: () => wallMs, steadyMs: () => 0, after: () => () => {} })
const HOUR = 3_600_000
const storedBytes = (dataDir: string): number => filesOf(join(dataDir, 'segments')).reduce((sum, path) => sum + statSync(path).size, 0)

it('a long log folds by itself while it grows, and reads stay whole meanwhile', async () => {
  const dataDir = ownFolder()
  const store = await openSqliteStore({ dataDir, segmentBytes: 20_000 })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  for (let seq = 1; seq <= 1500; seq += 10) {
    await store.commit({
      appends: [
        appendOf(
          'a',
          seq,
          range(seq, seq + 9).map(each => textOf('a', each, 200)),
        ),
      ],
      fence: FENCE,
    })
    if (seq % 100 === 1) expect(seqsOf(await readAll(store, 'a', Math.max(0, seq - 90), 3000))).toEqual(range(Math.max(0, seq - 90) + 1, seq + 9))
  }
  await expect.poll(() => filesOf(join(dataDir, 'segments')).length).toBeGreaterThan(5)
  expect(await readAll(store, 'a', 0, 7000)).toEqual(range(1, 1500).map(seq => ({ seq, text: textOf('a', seq, 200) })))
  await store.close()
  expect(await checkStore(dataDir)).toMatchObject({ problems: [], strays: [], events: 1500 })
})

it('[TERM-09] history over 10 KB of a session that is idle is compressed, transparently; less is left alone', async () => {
  const dataDir = ownFolder()
  const clock = clockAt(NOW + HOUR)
  const store = await openSqliteStore({ dataDir, clock, coldAfterMs: HOUR })
  await fill(store, 'idle', 400, 20, 300)
  await store.fold()
  await fill(store, 'late', 100, 20, 300)
  await fill(store, 'short', 10, 5, 300)
  await store.commit({
    creates: [rowOf('busy')],
    appends: [
      appendOf(
        'busy',
        1,
        range(1, 100).map(seq => textOf('busy', seq, 300)),
        NOW + 1,
      ),
    ],
    fence: FENCE,
  })
  const before = storedBytes(dataDir)
  expect(before).toBe((await store.getSession('idle'))?.bytes)
  await store.fold('cold')
  expect(storedBytes(dataDir), 'about a tenth for text like this').toBeLessThan(before / 3)
  expect(filesOf(join(dataDir, 'segments'))).toHaveLength(2)
  for (const [id, count] of [
    ['idle', 400],
    ['late', 100],
    ['short', 10],
    ['busy', 100],
  ] as const) {
    for (const maxBytes of [1, 5000, 2 ** 20])
      expect(await readAll(store, id, 0, maxBytes)).toEqual(range(1, count).map(seq => ({ seq, text: textOf(id, seq, 300) })))
  }
  for (const floor of [33, 250]) {
    await store.commit({ trims: [{ sessionId: 'idle', floor }], fence: FENCE })
    expect(seqsOf(await readAll(store, 'idle'))).toEqual(range(floor + 1, 400))
    const kept = appendOf(
      'idle',
      1,
      range(floor + 1, 400).map(seq => textOf('idle', seq, 300)),
    ).body.byteLength
    expect((await store.getSession('idle'))?.bytes).toBe(kept)
  }
  await store.close()
  expect(await checkStore(dataDir)).toMatchObject({ problems: [], strays: [] })
})

it('a log that falls idle again and again keeps few files', async () => {
  const dataDir = ownFolder()
  let now = NOW
  const clock: Clock = { ...clockAt(NOW), wallMs: () => now }
  const store = await openSqliteStore({ dataDir, clock, coldAfterMs: HOUR })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  for (let round = 0; round < 12; round++) {
    const first = round * 40 + 1
    await store.commit({
      appends: [
        appendOf(
          'a',
          first,
          range(first, first + 39).map(seq => textOf('a', seq, 400)),
          now,
        ),
      ],
      fence: FENCE,
    })
    now += 2 * HOUR
    await store.fold('cold')
  }
  expect(filesOf(join(dataDir, 'segments')).length).toBe(1)
  expect(seqsOf(await readAll(store, 'a'))).toEqual(range(1, 480))
  await store.close()
  expect(await checkStore(dataDir)).toMatchObject({ problems: [], strays: [], segments: 1 })
})
