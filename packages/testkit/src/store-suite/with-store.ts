import type { Store } from '@holdfast/core'
import type { StoreUnderTest } from './fixtures.ts'

/** Runs a test on a store of its own; `again` gives the store that has the same data after a restart. */
export type UseStore = {
  (test: (store: Store, again: () => Promise<Store>) => Promise<void>): () => Promise<void>
  /** False where data does not outlive the store. */
  readonly persistent: boolean
}

export function withStore(subject: StoreUnderTest): UseStore {
  const use = (test: (store: Store, again: () => Promise<Store>) => Promise<void>) => async () => {
    let store = await subject.create()
    try {
      await test(store, async () => {
        if (!subject.reopen) throw new Error('this store can not be reopened')
        store = await subject.reopen(store)
        return store
      })
    } finally {
      await (subject.destroy ? subject.destroy(store) : store.close())
    }
  }
  return Object.assign(use, { persistent: subject.reopen !== undefined })
}
