import { textsFromChunk } from '@holdfast/protocol'
import { describe, expect, it } from 'vitest'
import { appendOf, expectRefusal, FENCE, fill, PLENTY, range, readAll, recordOf, rowOf, seqsOf, textOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

export function readTests(use: UseStore): void {
  describe('reads', () => {
    it(
      '[fault 8] [fault 9] a read after every cursor gives exactly what follows',
      use(async store => {
        await fill(store, 'a', 25, 4)
        for (const after of range(0, 25)) {
          expect(await readAll(store, 'a', after)).toEqual(range(after + 1, 25).map(seq => ({ seq, text: textOf('a', seq) })))
        }
        for (const after of [25, 26, 1000, 2 ** 53 - 1]) expect(await store.read('a', after, PLENTY)).toBeUndefined()
        expect(await store.read('nobody', 0, PLENTY)).toBeUndefined()
      }),
    )

    it(
      '[fault 33] maxBytes: whole events, never more, and one always fits',
      use(async store => {
        await fill(store, 'a', 12, 5, 100)
        const size = ((await store.read('a', 0, 1)) as { body: Uint8Array }).body.byteLength
        const count = async (after: number, maxBytes: number): Promise<number> => textsFromChunk((await store.read('a', after, maxBytes)) as never).length
        expect(await count(0, 0)).toBe(1)
        expect(await count(0, size - 1)).toBe(1)
        expect(await count(0, 2 * size - 1)).toBe(1)
        expect(await count(0, 2 * size)).toBe(2)
        expect(await count(3, 2 * size)).toBeLessThanOrEqual(2)
        for (const maxBytes of range(1, 13).map(factor => factor * size - 3)) {
          expect(seqsOf(await readAll(store, 'a', 0, maxBytes))).toEqual(range(1, 12))
        }
      }),
    )

    it(
      '[SEQ-06] large events and batches come back byte for byte',
      use(async store => {
        const sizes = [1, 70_000, 3, 262_144, 65_536, 65_532, 10, 200_000]
        const texts = sizes.map((bytes, index) => textOf('big', index + 1, bytes))
        await store.commit({ creates: [rowOf('big')], appends: [appendOf('big', 1, texts)], fence: FENCE })
        for (const maxBytes of [1, 65_536, 262_148, PLENTY]) expect((await readAll(store, 'big', 0, maxBytes)).map(event => event.text)).toEqual(texts)
        const row = await store.getSession('big')
        expect(row?.bytes).toBe(appendOf('big', 1, texts).body.byteLength)
      }),
    )

    it(
      'a body may be a part of a larger buffer',
      use(async store => {
        const scratch = new Uint8Array(100)
        await store.commit({ creates: [rowOf('a')], fence: FENCE })
        const append = appendOf('a', 1, ['"first"'])
        scratch.set(append.body, 40)
        await store.commit({ appends: [{ ...append, body: scratch.subarray(40, 40 + append.body.byteLength) }], fence: FENCE })
        expect(await readAll(store, 'a')).toEqual([{ seq: 1, text: '"first"' }])
      }),
    )

    it(
      '[TERM-12] a snapshot is the newest at or before a seq',
      use(async store => {
        await fill(store, 'a', 30)
        expect(await store.getSnapshot('a', 30)).toBeUndefined()
        const large = JSON.stringify({ screen: 'x'.repeat(50_000) })
        await store.putSnapshot('a', 10, '{"at":10}')
        await store.putSnapshot('a', 20, large)
        await store.putSnapshot('a', 30, '{"at":30}')
        await store.putSnapshot('a', 30, '{"at":"30 again"}')
        expect(await store.getSnapshot('a', 9)).toBeUndefined()
        expect(await store.getSnapshot('a', 10)).toEqual({ seq: 10, state: '{"at":10}' })
        expect(await store.getSnapshot('a', 19)).toEqual({ seq: 10, state: '{"at":10}' })
        expect(await store.getSnapshot('a', 29)).toEqual({ seq: 20, state: large })
        expect(await store.getSnapshot('a', 2 ** 53 - 1)).toEqual({ seq: 30, state: '{"at":"30 again"}' })
        expect(await store.getSnapshot('nobody', 1)).toBeUndefined()
        await expectRefusal(store.putSnapshot('a', 31, '{}'), 'stale')
        await expectRefusal(store.putSnapshot('nobody', 0, '{}'), 'stale')
      }),
    )

    it(
      '[fault 11] snapshots do not pile up, and the one that the floor needs stays',
      use(async store => {
        await fill(store, 'a', 50, 10)
        for (const seq of range(1, 50)) await store.putSnapshot('a', seq, `{"at":${seq}}`)
        expect(await store.getSnapshot('a', 50)).toEqual({ seq: 50, state: '{"at":50}' })
        await fill(store, 'b', 50, 10)
        for (const seq of [10, 20]) await store.putSnapshot('b', seq, `{"at":${seq}}`)
        await store.commit({ trims: [{ sessionId: 'b', floor: 15 }], fence: FENCE })
        for (const seq of range(21, 50)) await store.putSnapshot('b', seq, `{"at":${seq}}`)
        expect(await store.getSnapshot('b', 20)).toEqual({ seq: 20, state: '{"at":20}' })
        expect(await store.getSnapshot('b', 19)).toBeUndefined()
      }),
    )

    it(
      '[fault 10] reads of a session that goes away meanwhile end or are whole',
      use(async store => {
        await fill(store, 'a', 200, 20, 1000)
        const reading = readAll(store, 'a', 0, 4000)
        const dropping = store.commit({ drops: [{ sessionId: 'a', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        const events = await reading
        await dropping
        expect(seqsOf(events)).toEqual(range(1, events.length))
        expect(await store.read('a', 0, PLENTY)).toBeUndefined()
      }),
    )
  })
}
