import { describe, expect, it } from 'vitest'
import { appendOf, expectRefusal, FENCE, fill, idOf, range, readAll, recordOf, rowOf, seqsOf, textOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

const bytesOf = (id: string, seqs: readonly number[]): number =>
  seqs.length === 0
    ? 0
    : appendOf(
        id,
        1,
        seqs.map(seq => textOf(id, seq)),
      ).body.byteLength

export function trimTests(use: UseStore): void {
  describe('trims and drops', () => {
    it(
      '[SEQ-14] [fault 9] a trim is exact at every floor, counts its bytes and never goes back',
      use(async store => {
        await fill(store, 'a', 23, 4)
        for (const floor of [1, 2, 4, 7, 8, 8, 3, 13, 22]) {
          await store.commit({ trims: [{ sessionId: 'a', floor }], fence: FENCE })
          const expected = Math.max(floor, floor === 3 ? 8 : 0)
          const kept = range(expected + 1, 23)
          expect(await store.getSession('a')).toMatchObject({ head: 23, floor: expected, bytes: bytesOf('a', kept) })
          for (const after of [0, expected - 1, expected, expected + 1, 22]) {
            if (after < 0) continue
            expect(await readAll(store, 'a', after)).toEqual(range(Math.max(after, expected) + 1, 23).map(seq => ({ seq, text: textOf('a', seq) })))
          }
        }
      }),
    )

    it(
      '[SEQ-13] a log trimmed to its head is empty, its seqs go on and are not used again',
      use(async store => {
        await fill(store, 'a', 5)
        await store.commit({ trims: [{ sessionId: 'a', floor: 99 }], fence: FENCE })
        expect(await store.getSession('a')).toMatchObject({ head: 5, floor: 5, bytes: 0 })
        expect(await store.read('a', 0, 1e6)).toBeUndefined()
        await expectRefusal(store.commit({ appends: [appendOf('a', 1, ['"again"'])], fence: FENCE }), 'stale')
        await store.commit({ appends: [appendOf('a', 6, ['6'])], fence: FENCE })
        expect(await readAll(store, 'a')).toEqual([{ seq: 6, text: '6' }])
      }),
    )

    it(
      '[TERM-10] one commit may append and trim the same log',
      use(async store => {
        await fill(store, 'a', 3)
        await store.commit({ appends: [appendOf('a', 4, ['4', '5', '6'])], trims: [{ sessionId: 'a', floor: 5 }], fence: FENCE })
        expect(await readAll(store, 'a')).toEqual([{ seq: 6, text: '6' }])
        expect(await store.getSession('a')).toMatchObject({ head: 6, floor: 5, bytes: 5 })
      }),
    )

    it(
      '[fault 11] a trim takes snapshots below the floor with it, apart from the newest',
      use(async store => {
        await fill(store, 'a', 9)
        for (const seq of [3, 6]) await store.putSnapshot('a', seq, `{"at":${seq}}`)
        await store.commit({ trims: [{ sessionId: 'a', floor: 6 }], fence: FENCE })
        expect(await store.getSnapshot('a', 5)).toBeUndefined()
        expect(await store.getSnapshot('a', 9)).toEqual({ seq: 6, state: '{"at":6}' })
      }),
    )

    it(
      '[SEQ-19] a dropped session loses log, ids, snapshots and blobs; its row stays and its id stays taken',
      use(async store => {
        await fill(store, 'a', 9)
        await store.commit({ ids: [idOf('a', 'x')], fence: FENCE })
        await store.putSnapshot('a', 3, '{}')
        const record = recordOf({ create_digest: 'kept' })
        await store.commit({
          appends: [appendOf('a', 10, ['"last"'])],
          drops: [{ sessionId: 'a', status: 'deleted', record, keepLog: false }],
          fence: FENCE,
        })
        expect(await store.getSession('a')).toMatchObject({ status: 'deleted', head: 10, floor: 10, bytes: 0, record })
        expect(await store.read('a', 0, 1e6)).toBeUndefined()
        expect(await store.findIds([idOf('a', 'x')])).toEqual([undefined])
        expect(await store.getSnapshot('a', 10)).toBeUndefined()
        expect(await store.countSessions('ann')).toBe(0)
        await expectRefusal(store.commit({ creates: [rowOf('a')], fence: FENCE }), 'exists')
        await expectRefusal(store.commit({ appends: [appendOf('a', 11, ['1'])], fence: FENCE }), 'stale')
        await expectRefusal(store.putSnapshot('a', 10, '{}'), 'stale')
        await store.commit({ patches: [{ sessionId: 'a', record: recordOf({ next_session_id: 'b' }) }], fence: FENCE })
        expect((await store.getSession('a'))?.record.next_session_id).toBe('b')
      }),
    )

    it(
      '[TERM-07] an expired session may keep its log, takes no more events, and can be deleted later',
      use(async store => {
        await fill(store, 'a', 4)
        await store.commit({ drops: [{ sessionId: 'a', status: 'expired', record: recordOf({ state: 'expired' }), keepLog: true }], fence: FENCE })
        expect(await store.getSession('a')).toMatchObject({ status: 'expired', head: 4, floor: 0, record: { state: 'expired' } })
        expect(seqsOf(await readAll(store, 'a'))).toEqual([1, 2, 3, 4])
        await expectRefusal(store.commit({ appends: [appendOf('a', 5, ['5'])], fence: FENCE }), 'stale')
        expect(await store.listSessions({ limit: 10 })).toEqual([])
        await store.commit({ drops: [{ sessionId: 'a', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        expect(await store.getSession('a')).toMatchObject({ status: 'deleted', bytes: 0 })
        expect(await store.read('a', 0, 1e6)).toBeUndefined()
      }),
    )

    it(
      '[SEQ-02] a drop leaves other sessions alone',
      use(async store => {
        await fill(store, 'a', 30, 3)
        await fill(store, 'b', 30, 3)
        await store.commit({ drops: [{ sessionId: 'a', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        expect(seqsOf(await readAll(store, 'b'))).toEqual(range(1, 30))
        expect(await store.countSessions('ann')).toBe(1)
      }),
    )
  })
}
