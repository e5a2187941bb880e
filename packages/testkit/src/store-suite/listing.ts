import type { ListQuery, SessionRow, Store } from '@holdfast/core'
import { describe, expect, it } from 'vitest'
import { appendOf, FENCE, NOW, recordOf, rowOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

const pagesOf = async (store: Store, query: Omit<ListQuery, 'before'>, between?: (page: number) => Promise<void>): Promise<string[]> => {
  const ids: string[] = []
  let before: { activityAt: number; id: string } | undefined
  for (let page = 0; ; page++) {
    const rows: SessionRow[] = await store.listSessions(before ? { ...query, before } : query)
    ids.push(...rows.map(row => row.id))
    const last = rows.at(-1)
    if (!last || rows.length < query.limit) return ids
    before = { activityAt: last.activityAt, id: last.id }
    await between?.(page)
  }
}

export function listingTests(use: UseStore): void {
  describe('lists', () => {
    it(
      'pages run by activity and id, newest first, and filters hold',
      use(async store => {
        const rows: SessionRow[] = []
        for (let index = 0; index < 24; index++) {
          rows.push(
            rowOf(`s${index}`, {
              owner: index % 2 ? 'bob' : 'ann',
              kind: index % 3 ? 'run' : 'chat',
              life: index % 5 ? 'running' : 'finished',
              activityAt: NOW + ((index * 7) % 5),
              record: recordOf({ parent_session_id: index % 4 ? null : 's1' }),
            }),
          )
        }
        await store.commit({ creates: rows, fence: FENCE })
        const sorted = [...rows].sort((a, b) => b.activityAt - a.activityAt || (a.id < b.id ? 1 : -1))
        const expected = (keep: (row: SessionRow) => boolean): string[] => sorted.filter(keep).map(row => row.id)
        for (const limit of [1, 5, 24, 100]) {
          expect(await pagesOf(store, { limit })).toEqual(expected(() => true))
          expect(await pagesOf(store, { limit, owner: 'bob' })).toEqual(expected(row => row.owner === 'bob'))
          expect(await pagesOf(store, { limit, owner: 'ann', kind: 'chat', life: 'running' })).toEqual(
            expected(row => row.owner === 'ann' && row.kind === 'chat' && row.life === 'running'),
          )
          expect(await pagesOf(store, { limit, kind: 'run' })).toEqual(expected(row => row.kind === 'run'))
          expect(await pagesOf(store, { limit, parent: 's1', life: 'finished' })).toEqual(
            expected(row => row.record.parent_session_id === 's1' && row.life === 'finished'),
          )
          expect(await pagesOf(store, { limit, owner: 'nobody' })).toEqual([])
        }
        expect((await store.listSessions({ limit: 1, owner: 'ann' }))[0]).toEqual(sorted.find(row => row.owner === 'ann'))
        expect([await store.countSessions('ann'), await store.countSessions('bob'), await store.countSessions('nobody')]).toEqual([12, 12, 0])
      }),
    )

    it(
      '[RUN-08] feeds are listed only where they are asked for, and not counted',
      use(async store => {
        await store.commit({ creates: [rowOf('a'), rowOf('feed:ann', { kind: 'feed' })], fence: FENCE })
        expect(await pagesOf(store, { limit: 1 })).toEqual(['a'])
        expect(await pagesOf(store, { limit: 9, owner: 'ann' })).toEqual(['a'])
        expect(await pagesOf(store, { limit: 9, kind: 'feed' })).toEqual(['feed:ann'])
        expect(await store.countSessions('ann')).toBe(1)
        expect((await store.stats()).sessions).toBe(1)
        await store.commit({ drops: [{ sessionId: 'feed:ann', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        expect(await store.countSessions('ann')).toBe(1)
      }),
    )

    it(
      'a session that did not move is never skipped or repeated while others move',
      use(async store => {
        const ids = Array.from({ length: 20 }, (_, index) => `s${String(index).padStart(2, '0')}`)
        await store.commit({ creates: ids.map((id, index) => rowOf(id, { activityAt: NOW + index })), fence: FENCE })
        const moved = new Set<string>()
        const seen = await pagesOf(store, { limit: 3 }, async page => {
          const id = ids[page] as string
          moved.add(id)
          await store.commit({ appends: [appendOf(id, 1, ['1'], NOW + 1000 + page)], creates: [rowOf(`new${page}`, { activityAt: NOW + 500 })], fence: FENCE })
        })
        const still = ids.filter(id => !moved.has(id))
        expect(seen.filter(id => still.includes(id))).toEqual([...still].reverse())
        const front = await store.listSessions({ limit: 1 })
        expect(moved.has(front[0]?.id ?? '')).toBe(true)
      }),
    )
  })
}
