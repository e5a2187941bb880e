import type { Commit, Store } from '@holdfast/core'
import { describe, expect, it } from 'vitest'
import { appendOf, expectRefusal, FENCE, fill, idOf, NOW, range, readAll, recordOf, rowOf, seqsOf, textOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

/** A commit of which each part would be stored, were it not for the part that a test adds. */
const whole = (more: Partial<Commit>): Commit => ({
  creates: [rowOf('new'), ...(more.creates ?? [])],
  appends: [appendOf('new', 1, ['"n"']), appendOf('old', 4, ['"o"']), ...(more.appends ?? [])],
  patches: [{ sessionId: 'old', life: 'finished' }, ...(more.patches ?? [])],
  trims: [{ sessionId: 'old', floor: 2 }],
  ids: [idOf('old', 'fresh'), idOf('', 'fresh'), ...(more.ids ?? [])],
  docs: [{ collection: 'tokens', id: 't', value: 'v' }],
  fence: more.fence ?? FENCE,
})

const nothingOf = async (store: Store): Promise<void> => {
  expect(await store.getSession('new')).toBeUndefined()
  expect(await store.read('new', 0, 1e6)).toBeUndefined()
  expect(await store.getSession('old')).toMatchObject({ head: 3, floor: 0, life: 'running' })
  expect(seqsOf(await readAll(store, 'old'))).toEqual([1, 2, 3])
  expect(await store.findIds([idOf('old', 'fresh'), idOf('', 'fresh')])).toEqual([undefined, undefined])
  expect(await store.getDoc('tokens', 't')).toBeUndefined()
}

export function commitTests(use: UseStore): void {
  describe('commits', () => {
    it(
      '[SEQ-05] a commit is whole: session, events, ids, patch and doc are there when it resolves',
      use(async store => {
        await fill(store, 'old', 3)
        await store.commit(whole({}))
        expect(await store.getSession('new')).toMatchObject({ head: 1, floor: 0, bytes: 7 })
        expect(await store.getSession('old')).toMatchObject({ head: 4, floor: 2, life: 'finished' })
        expect(seqsOf(await readAll(store, 'old'))).toEqual([3, 4])
        expect(await store.findIds([idOf('old', 'fresh'), idOf('', 'fresh')])).toEqual([idOf('old', 'fresh'), idOf('', 'fresh')])
        expect(await store.getDoc('tokens', 't')).toBe('v')
      }),
    )

    const refused: [string, Partial<Commit>, 'stale' | 'exists'][] = [
      ['an append that leaves a hole', { appends: [appendOf('old', 6, ['"x"'])] }, 'stale'],
      ['an append of a seq that is taken', { appends: [appendOf('old', 3, ['"x"'])] }, 'stale'],
      ['an append to an unknown session', { appends: [appendOf('nobody', 1, ['"x"'])] }, 'stale'],
      ['fewer records than seqs', { appends: [{ ...appendOf('old', 5, ['"x"']), lastSeq: 6 }] }, 'stale'],
      ['a patch of an unknown session', { patches: [{ sessionId: 'nobody', life: 'finished' }] }, 'stale'],
      ['an id of an unknown session', { ids: [idOf('nobody', 'x')] }, 'stale'],
      ['a session id that is taken', { creates: [rowOf('old')] }, 'exists'],
      ['the same session id twice', { creates: [rowOf('new')] }, 'exists'],
      ['an id that is taken', { ids: [idOf('old', 'taken')] }, 'exists'],
      ['the same id twice', { ids: [idOf('old', 'fresh')] }, 'exists'],
    ]
    for (const [what, more, code] of refused) {
      it(
        `[SEQ-01] ${what} is refused as ${code}, and nothing of the commit is stored`,
        use(async store => {
          await fill(store, 'old', 3)
          await store.commit({ ids: [idOf('old', 'taken')], fence: FENCE })
          await expectRefusal(store.commit(whole(more)), code)
          await nothingOf(store)
          await store.commit(whole({}))
        }),
      )
    }

    it(
      '[fault 13] an older fence is refused, and nothing of the commit is stored',
      use(async store => {
        const old = await store.acquireLease('store', 'first', 1)
        await store.commit({ creates: [rowOf('old')], appends: [appendOf('old', 1, ['1', '2', '3'])], fence: old })
        const fence = await store.acquireLease('store', 'first', 1)
        expect(fence).toBeGreaterThan(old)
        await expectRefusal(store.commit(whole({ fence: old })), 'fenced')
        await nothingOf(store)
        await store.commit(whole({ fence }))
      }),
    )

    it(
      '[fault 13] leases of other names fence nothing here, and their numbers grow by themselves',
      use(async store => {
        const fence = await store.acquireLease('store', 'me', 1)
        const a = await store.acquireLease('session:a', 'me', 1)
        const b = await store.acquireLease('session:a', 'me', 1)
        expect(b).toBeGreaterThan(a)
        await store.commit({ creates: [rowOf('s')], fence })
      }),
    )

    it(
      '[fault 4] a refused commit leaves the others that were given with it alone',
      use(async store => {
        await store.commit({ creates: [rowOf('a'), rowOf('b')], fence: FENCE })
        const results = await Promise.allSettled([
          store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE }),
          store.commit({ appends: [appendOf('a', 1, ['"again"'])], fence: FENCE }),
          store.commit({ appends: [appendOf('b', 1, ['"b"'])], fence: FENCE }),
          store.commit({ creates: [rowOf('b')], appends: [appendOf('a', 2, ['"no"'])], fence: FENCE }),
          store.commit({ appends: [appendOf('a', 2, ['2'])], fence: FENCE }),
        ])
        expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
        expect(await readAll(store, 'a')).toEqual([
          { seq: 1, text: '1' },
          { seq: 2, text: '2' },
        ])
      }),
    )

    it(
      '[SEQ-02] commits take effect in the order of the calls, interleaved sessions each keep their own seqs',
      use(async store => {
        const ids = ['a', 'b', 'c']
        await store.commit({ creates: ids.map(id => rowOf(id)), fence: FENCE })
        const settled: string[] = []
        const commits: Promise<unknown>[] = []
        for (let seq = 1; seq <= 60; seq++) {
          for (const id of ids) {
            commits.push(store.commit({ appends: [appendOf(id, seq, [textOf(id, seq)])], fence: FENCE }).then(() => settled.push(`${id}${seq}`)))
          }
        }
        await Promise.all(commits)
        expect(settled).toEqual(range(1, 60).flatMap(seq => ids.map(id => `${id}${seq}`)))
        for (const id of ids) expect(await readAll(store, id)).toEqual(range(1, 60).map(seq => ({ seq, text: textOf(id, seq) })))
      }),
    )

    it(
      '[SEQ-01] one commit may append to a session more than once, also to one that it creates',
      use(async store => {
        await store.commit({ creates: [rowOf('a')], appends: [appendOf('a', 1, ['1', '2']), appendOf('a', 3, ['3'], NOW + 5)], fence: FENCE })
        expect(seqsOf(await readAll(store, 'a'))).toEqual([1, 2, 3])
        expect(await store.getSession('a')).toEqual({ ...rowOf('a'), head: 3, bytes: 15, activityAt: NOW + 5 })
      }),
    )

    it(
      '[CHAT-03] a row comes back as it was given, records with their odd characters too',
      use(async store => {
        const record = recordOf({
          session_name: 'a "b" \u2028 \u0000 🦊',
          metadata: { deep: { list: [1, null, 'ü'] } },
          options: { cols: 80 },
          ended_at: NOW,
          result_seq: 7,
        })
        const row = rowOf('odd', { kind: 'chat', owner: 'zoë', createdAt: 1, activityAt: 2, record })
        await store.commit({ creates: [row], fence: FENCE })
        expect(await store.getSession('odd')).toEqual(row)
        const changed = { ...record, session_name: 'other' }
        await store.commit({ patches: [{ sessionId: 'odd', record: changed, activityAt: 9 }], fence: FENCE })
        expect(await store.getSession('odd')).toEqual({ ...row, record: changed, activityAt: 9 })
        expect(await store.getSession('nobody')).toBeUndefined()
      }),
    )

    it(
      'docs are set, replaced, listed and deleted',
      use(async store => {
        const doc = (id: string, value: string | null, collection = 'tokens') => ({ collection, id, value })
        await store.commit({ docs: [doc('b', '1'), doc('a', '2'), doc('a', 'x', 'other')], fence: FENCE })
        await store.commit({ docs: [doc('b', '3'), doc('c', null)], fence: FENCE })
        expect(await store.listDocs('tokens')).toEqual([
          { id: 'a', value: '2' },
          { id: 'b', value: '3' },
        ])
        await store.commit({ docs: [doc('a', null)], fence: FENCE })
        expect(await store.getDoc('tokens', 'a')).toBeUndefined()
        expect(await store.getDoc('tokens', 'b')).toBe('3')
        expect(await store.getDoc('other', 'a')).toBe('x')
        expect(await store.listDocs('none')).toEqual([])
      }),
    )

    it(
      'stats count sessions, bytes and commits',
      use(async store => {
        const before = await store.stats()
        expect(before).toMatchObject({ sessions: 0, logBytes: 0, quarantined: [] })
        await fill(store, 'a', 3)
        await fill(store, 'b', 2)
        const bytes = (await store.getSession('a'))?.bytes ?? 0
        expect(await store.stats()).toMatchObject({ sessions: 2, logBytes: bytes + ((await store.getSession('b'))?.bytes ?? 0) })
        await store.commit({ drops: [{ sessionId: 'b', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        const after = await store.stats()
        expect(after).toMatchObject({ sessions: 1, logBytes: bytes })
        expect(after.commits).toBeGreaterThan(before.commits)
      }),
    )

    it(
      'a closed store refuses everything, and what was accepted before is stored',
      use(async store => {
        const accepted = store.commit({ creates: [rowOf('a')], fence: FENCE })
        await store.close()
        await accepted
        await expectRefusal(store.commit({ creates: [rowOf('b')], fence: FENCE }), 'closed')
        await expectRefusal(store.getSession('a'), 'closed')
        await expectRefusal(store.read('a', 0, 1), 'closed')
        await store.close()
      }),
    )
  })
}
