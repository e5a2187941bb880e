import { describe, expect, test } from 'vitest'
import { createWebStore, cursorKey, nameKey, outboxKey, type WebStorage } from './stores.ts'

const DAY = 24 * 3600 * 1000

function storage(): WebStorage & { readonly keys: () => string[] } {
  const values = new Map<string, string>()
  return {
    getItem: key => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: key => void values.delete(key),
    get length() {
      return values.size
    },
    key: index => [...values.keys()][index] ?? null,
    keys: () => [...values.keys()].sort(),
  }
}
const at = (days: number) => ({ wallMs: () => days * DAY })

describe('web store', () => {
  test('[CLI-02] what was written is read again, whatever it is', () => {
    const own = storage()
    const store = createWebStore(own, at(1))
    const values: Record<string, string> = {
      [cursorKey('c', 's')]: 'Eabc.42',
      [outboxKey('c', 's')]: '[{"id":"1:2"}]',
      [nameKey('main')]: '7:s',
      [cursorKey('c', 't')]: '42',
    }
    for (const [key, value] of Object.entries(values)) void store.set(key, value)
    for (const [key, value] of Object.entries(values)) expect(createWebStore(own, at(2)).get(key)).toBe(value)
    void store.delete(cursorKey('c', 's'))
    expect(store.get(cursorKey('c', 's')) ?? undefined).toBeUndefined()
  })

  test('[CLI-02] cursors and inputs that nobody has touched for 30 days are swept when a page starts; names and what is not ours stay', () => {
    const own = storage()
    own.setItem('other', 'x')
    own.setItem(cursorKey('older', 's'), 'Eabc.1')
    const old = createWebStore(own, at(0))
    void old.set(cursorKey('gone', 's'), 'Eabc.1')
    void old.set(cursorKey('used', 's'), 'Eabc.2')
    void old.set(outboxKey('gone', 's'), '[]')
    void old.set(nameKey('main'), 's')
    expect(createWebStore(own, at(20)).get(cursorKey('used', 's'))).toBe('Eabc.2')
    createWebStore(own, at(30))
    expect(own.keys()).toContain(cursorKey('gone', 's'))
    createWebStore(own, at(31))
    expect(own.keys()).toEqual([cursorKey('older', 's'), cursorKey('used', 's'), nameKey('main'), 'other'].sort())
  })

  test('[CLI-02] a storage that is full or forbidden keeps nothing and throws nothing', () => {
    const broken = new Proxy(
      {},
      {
        get: () => () => {
          throw new Error('denied')
        },
      },
    ) as WebStorage
    const store = createWebStore(broken, at(0))
    void store.set(cursorKey('c', 's'), 'Eabc.1')
    expect(store.get(cursorKey('c', 's'))).toBeUndefined()
    void store.delete(cursorKey('c', 's'))
  })
})
