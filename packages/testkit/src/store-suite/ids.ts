import { describe, expect, it } from 'vitest'
import { expectRefusal, FENCE, fill, idOf, NOW } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

export function idTests(use: UseStore): void {
  describe('ids', () => {
    it(
      '[SEQ-18] [fault 34] an id is found under its session and sender only, in the order asked',
      use(async store => {
        await fill(store, 'a', 3)
        await fill(store, 'b', 1)
        const rows = [
          idOf('a', 'm1', { firstSeq: 2, lastSeq: 3, answer: '{"seqs":[2,3]}' }),
          idOf('a', 'm1', { sender: 'c:two', digest: 'other' }),
          idOf('b', 'm1', { digest: 'third' }),
          idOf('', 'm1', { sender: 'kp:ann', firstSeq: 0, lastSeq: 0, answer: '{"session_id":"a"}' }),
        ]
        await store.commit({ ids: rows, fence: FENCE })
        expect(await store.findIds([...rows].reverse())).toEqual([...rows].reverse())
        expect(await store.findIds([idOf('a', 'm2'), rows[0] as never, idOf('', 'm1'), idOf('nobody', 'm1')])).toEqual([
          undefined,
          rows[0],
          undefined,
          undefined,
        ])
        expect(await store.findIds([])).toEqual([])
        await expectRefusal(store.commit({ ids: [idOf('a', 'm1', { sender: 'c:two', digest: 'changed' })], fence: FENCE }), 'exists')
      }),
    )

    it(
      '[fault 7] ids go when they are old and their events are trimmed, or when they belong to no session',
      use(async store => {
        await fill(store, 'a', 10)
        await fill(store, 'whole', 3)
        const rows = [
          idOf('a', 'old, trimmed', { lastSeq: 4, at: NOW - 2 }),
          idOf('a', 'old, kept', { firstSeq: 4, lastSeq: 5, at: NOW - 2 }),
          idOf('a', 'young, trimmed', { lastSeq: 4, at: NOW }),
          idOf('whole', 'old', { lastSeq: 1, at: NOW - 2 }),
          idOf('', 'old', { firstSeq: 0, lastSeq: 0, at: NOW - 1 }),
          idOf('', 'young', { firstSeq: 0, lastSeq: 0, at: NOW }),
        ]
        await store.commit({ ids: rows, fence: FENCE })
        await store.commit({ trims: [{ sessionId: 'a', floor: 4 }], fence: FENCE })
        expect(await store.expireIds(NOW)).toBe(2)
        expect((await store.findIds(rows)).map(row => row?.id)).toEqual([undefined, 'old, kept', 'young, trimmed', 'old', undefined, 'young'])
        expect(await store.expireIds(NOW)).toBe(0)
        await store.commit({ trims: [{ sessionId: 'a', floor: 5 }], fence: FENCE })
        expect(await store.expireIds(NOW + 1)).toBe(3)
        expect((await store.findIds(rows)).map(row => row?.id)).toEqual([undefined, undefined, undefined, 'old', undefined, undefined])
        await store.commit({ ids: [rows[0] as never], fence: FENCE })
      }),
    )

    it(
      '[fault 24] thousands of ids in one commit, and each is found',
      use(async store => {
        await fill(store, 'a', 1)
        const rows = Array.from({ length: 3000 }, (_, index) => idOf('a', `id-${(index * 7919) % 3001}`))
        await store.commit({ ids: rows, fence: FENCE })
        expect(await store.findIds(rows)).toEqual(rows)
      }),
    )
  })
}
