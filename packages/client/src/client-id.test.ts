import { describe, expect, test } from 'vitest'
import { clientIdOfStore, clientIdOfTab } from './client-id.ts'
import { createMemoryStore, type WebStorage } from './stores.ts'

let made = 0
const random = { next: () => 0, id: () => `id-${++made}` }

function page(copyOf?: { readonly values: ReadonlyMap<string, string> }) {
  const values = new Map<string, string>(copyOf?.values)
  const storage: WebStorage = {
    getItem: key => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: key => void values.delete(key),
  }
  const listeners = new Map<string, () => void>()
  const events = { addEventListener: (type: string, listener: () => void) => void listeners.set(type, listener) }
  return { values, load: () => clientIdOfTab(storage, events, random), fire: (type: string) => listeners.get(type)?.() }
}

describe('client id', () => {
  test('[CLI-02] a tab keeps its id over a reload, and its copy still gets another', () => {
    const tab = page()
    const id = tab.load()
    tab.fire('pagehide')
    expect(tab.load()).toBe(id)
    expect(page(tab).load()).not.toBe(id)
  })

  test('[fault 22] a tab that was duplicated, or comes back from the page cache, shares no id', () => {
    const tab = page()
    const id = tab.load()
    expect(page(tab).load()).not.toBe(id)
    tab.fire('pagehide')
    tab.fire('pageshow')
    expect(page(tab).load()).not.toBe(id)
  })

  test('[CLI-02] a store of one keeps the id that was made first', async () => {
    const store = createMemoryStore()
    expect(await clientIdOfStore(store, random)).toBe(await clientIdOfStore(store, random))
  })
})
