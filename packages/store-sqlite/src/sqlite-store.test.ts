import { storeSuite } from '@holdfast/testkit'
import { openSqliteStore, type SqliteStore } from './sqlite-store.ts'
import { removeFolder, tempFolder } from './testing/folders.ts'

const folders = new WeakMap<object, string>()
const openIn = async (dataDir: string, segmentBytes?: number): Promise<SqliteStore> => {
  const store = await openSqliteStore({ dataDir, ...(segmentBytes === undefined ? {} : { segmentBytes }) })
  folders.set(store, dataDir)
  return store
}
const folderOf = (store: object): string => folders.get(store) as string

storeSuite('sqlite', {
  create: () => openIn(tempFolder()),
  reopen: async store => {
    await store.close()
    return openIn(folderOf(store))
  },
  destroy: async store => {
    await store.close()
    removeFolder(folderOf(store))
  },
})

/** Everything is folded before it is read or trimmed, so that reads and trims meet segments of a few blocks. */
const folding = (store: SqliteStore): SqliteStore => ({
  ...store,
  async commit(commit) {
    if (commit.trims) await store.fold()
    await store.commit(commit)
  },
  async read(id, after, maxBytes) {
    await store.fold()
    return store.read(id, after, maxBytes)
  },
})

storeSuite('sqlite, folded at once', {
  create: async () => {
    const store = await openIn(tempFolder(), 4000)
    const folded = folding(store)
    folders.set(folded, folderOf(store))
    return folded
  },
  reopen: async store => {
    await store.close()
    const next = await openIn(folderOf(store), 4000)
    const folded = folding(next)
    folders.set(folded, folderOf(next))
    return folded
  },
  destroy: async store => {
    await store.close()
    removeFolder(folderOf(store))
  },
})
