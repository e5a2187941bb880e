import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { appendOf, expectRefusal, FENCE, fill, idOf, NOW, PLENTY, range, readAll, recordOf, rowOf, seqsOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

export function durabilityTests(use: UseStore): void {
  describe.runIf(use.persistent)('restarts', () => {
    it(
      '[SEQ-09] [SEQ-13] everything outlives a restart, under the same epoch',
      use(async (first, again) => {
        await fill(first, 'a', 20, 3)
        await fill(first, 'gone', 5)
        const blob = Buffer.from('content')
        const name = createHash('sha256').update(blob).digest('hex')
        const content = async function* (): AsyncGenerator<Uint8Array> {
          yield blob
        }
        await first.putBlob('a', name, content(), PLENTY)
        await first.putSnapshot('a', 10, '{"at":10}')
        await first.commit({
          trims: [{ sessionId: 'a', floor: 4 }],
          ids: [idOf('a', 'x', { lastSeq: 7 }), idOf('', 'y')],
          docs: [{ collection: 'tokens', id: 't', value: 'v' }],
          drops: [{ sessionId: 'gone', status: 'deleted', record: recordOf(), keepLog: false }],
          patches: [{ sessionId: 'a', record: recordOf({ session_name: 'named' }), activityAt: NOW + 7 }],
          fence: FENCE,
        })
        const before = { row: await first.getSession('a'), events: await readAll(first, 'a'), stats: await first.stats(), epoch: first.epoch }
        const store = await again()
        expect(store.epoch).toBe(before.epoch)
        expect(await store.getSession('a')).toEqual(before.row)
        expect(await readAll(store, 'a')).toEqual(before.events)
        expect(seqsOf(before.events)).toEqual(range(5, 20))
        expect(await store.getSession('gone')).toMatchObject({ status: 'deleted', head: 5 })
        expect(await store.getSnapshot('a', 20)).toEqual({ seq: 10, state: '{"at":10}' })
        expect(await store.findIds([idOf('a', 'x'), idOf('', 'y')])).toEqual([idOf('a', 'x', { lastSeq: 7 }), idOf('', 'y')])
        expect(await store.getDoc('tokens', 't')).toBe('v')
        expect((await store.getBlob('a', name))?.bytes).toBe(7)
        expect(await store.stats()).toMatchObject({ sessions: before.stats.sessions, logBytes: before.stats.logBytes })
        await expectRefusal(store.commit({ creates: [rowOf('gone')], fence: FENCE }), 'exists')
        await store.commit({ appends: [appendOf('a', 21, ['21'])], fence: FENCE })
      }),
    )

    it(
      '[fault 13] fences go on growing over a restart, and the older ones stay refused',
      use(async (first, again) => {
        const old = await first.acquireLease('store', 'one', 60_000)
        await first.commit({ creates: [rowOf('a')], fence: old })
        const store = await again()
        const fence = await store.acquireLease('store', 'two', 60_000)
        expect(fence).toBeGreaterThan(old)
        await expectRefusal(store.commit({ appends: [appendOf('a', 1, ['1'])], fence: old }), 'fenced')
        await store.commit({ appends: [appendOf('a', 1, ['1'])], fence })
      }),
    )
  })
}
