import { createHash } from 'node:crypto'
import { appendOf, expectRefusal, FENCE, readAll, rowOf, storeSuite } from '@holdfast/testkit'
import { expect, it } from 'vitest'
import { createMemoryStore, type MemoryStore } from './memory-store.ts'
import { StoreError } from './ports.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

storeSuite('memory', {
  create: async () => createMemoryStore({ sha256 }),
  reopen: async store => {
    await store.close()
    return createMemoryStore({ sha256, disk: (store as MemoryStore).disk })
  },
})

it('[fault 4] a commit that the test refuses stores nothing, and later ones go on', async () => {
  let full = false
  const store = createMemoryStore({
    beforeCommit: () => {
      if (full) throw new StoreError('full', 'no room')
    },
  })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  full = true
  await expectRefusal(store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE }), 'full')
  full = false
  await store.commit({ appends: [appendOf('a', 1, ['"again"'])], fence: FENCE })
  expect(await readAll(store, 'a')).toEqual([{ seq: 1, text: '"again"' }])
})

it('[fault 18] a wake that the test drops is lost, the next one comes', async () => {
  let lost = 0
  const store = createMemoryStore({ dropWake: (_, head) => head === 1 && ++lost > 0 })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  const heads: number[] = []
  const heard = new Promise<void>(resolve => {
    store.wake('a', head => {
      heads.push(head)
      resolve()
    })
  })
  await store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE })
  await store.commit({ appends: [appendOf('a', 2, ['2'])], fence: FENCE })
  await heard
  expect([lost, heads]).toEqual([1, [2]])
})

it('[fault 3] a killed store neither stores nor answers what was waiting; what was stored is there for the next', async () => {
  const store = createMemoryStore()
  await store.commit({ creates: [rowOf('a')], appends: [appendOf('a', 1, ['1'])], fence: FENCE })
  let answered = false
  void store.commit({ appends: [appendOf('a', 2, ['2'])], fence: FENCE }).finally(() => {
    answered = true
  })
  store.kill()
  await store.close()
  const next = createMemoryStore({ disk: store.disk })
  await next.commit({ appends: [appendOf('a', 2, ['"other"'])], fence: FENCE })
  expect(answered).toBe(false)
  expect((await readAll(next, 'a')).map(event => event.text)).toEqual(['1', '"other"'])
})

it('[fault 5] an answer can be lost after the commit is stored', async () => {
  const store = createMemoryStore({
    afterCommit: commit => {
      if (commit.appends) throw new StoreError('fatal', 'the answer is lost')
    },
  })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  await expectRefusal(store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE }), 'fatal')
  expect(await readAll(store, 'a')).toEqual([{ seq: 1, text: '1' }])
})

it('[fault 1] a barrier between the look into the log and the answer', async () => {
  const store = createMemoryStore({
    afterRead: async (id, after) => {
      if (after === 0) await store.commit({ appends: [appendOf(id, 1, ['1'])], fence: FENCE })
    },
  })
  await store.commit({ creates: [rowOf('a')], fence: FENCE })
  expect(await store.read('a', 0, 100)).toBeUndefined()
  expect((await store.getSession('a'))?.head).toBe(1)
})
