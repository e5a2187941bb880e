import type { KeyValueStore } from './ports.ts'

/** The part of Web Storage that is used. */
export interface WebStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** A store that ends with the process. */
export function createMemoryStore(): KeyValueStore {
  const values = new Map<string, string>()
  return {
    get: key => values.get(key),
    set: (key, value) => {
      values.set(key, value)
    },
    delete: key => {
      values.delete(key)
    },
  }
}

/** `localStorage` as a store. A full or forbidden storage keeps nothing: a reload then replays more, and loses nothing. */
export function createWebStore(storage: WebStorage): KeyValueStore {
  const quietly = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch {
      return undefined
    }
  }
  return {
    get: key => quietly(() => storage.getItem(key)),
    set: (key, value) => quietly(() => storage.setItem(key, value)),
    delete: key => quietly(() => storage.removeItem(key)),
  }
}

/** A global of Web Storage; undefined where there is none or reading it is forbidden. */
export function webStorage(name: 'localStorage' | 'sessionStorage'): WebStorage | undefined {
  // Node has the global but warns when it is read without a file to keep it in.
  if (!('document' in globalThis)) return undefined
  try {
    return (globalThis as unknown as Record<string, WebStorage | undefined>)[name]
  } catch {
    return undefined
  }
}

export const CLIENT_ID_KEY = 'holdfast:client_id'
export const cursorKey = (clientId: string, sessionId: string): string => `holdfast:cursor:${clientId}:${sessionId}`
export const outboxKey = (clientId: string, sessionId: string): string => `holdfast:outbox:${clientId}:${sessionId}`
export const nameKey = (name: string): string => `holdfast:session:${name}`
