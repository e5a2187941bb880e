import { systemClock } from './clock.ts'
import type { KeyValueStore } from './ports.ts'

/** The part of Web Storage that is used. */
export interface WebStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
  readonly length?: number
  key?(index: number): string | null
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

/** What a tab leaves behind when it is closed for good: nobody asks for it again. */
const LEFT_BEHIND = /^holdfast:(?:cursor|outbox):/
/** `<written, ms since 1970>:<value>`; no cursor and no list of inputs begins like that. */
const STAMP = /^([0-9]{1,16}):/
const KEPT_MS = 30 * 24 * 3600 * 1000

/**
 * `localStorage` as a store. A full or forbidden storage keeps nothing: a reload then replays more, and loses nothing.
 * Cursors and inputs that were neither written nor read for 30 days are removed when it is made.
 */
export function createWebStore(storage: WebStorage, clock: { wallMs(): number } = systemClock): KeyValueStore {
  const quietly = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch {
      return undefined
    }
  }
  const put = (key: string, value: string): void => storage.setItem(key, LEFT_BEHIND.test(key) ? `${clock.wallMs()}:${value}` : value)
  quietly(() => sweep(storage, clock.wallMs() - KEPT_MS))
  return {
    get: key =>
      quietly(() => {
        const text = storage.getItem(key)
        if (text === null || !LEFT_BEHIND.test(key)) return text
        const value = text.replace(STAMP, '')
        // Asked for means in use.
        quietly(() => put(key, value))
        return value
      }),
    set: (key, value) => quietly(() => put(key, value)),
    delete: key => quietly(() => storage.removeItem(key)),
  }
}

function sweep(storage: WebStorage, beforeMs: number): void {
  const keys = Array.from({ length: storage.length ?? 0 }, (_, index) => storage.key?.(index) ?? '')
  for (const key of keys) {
    const written = LEFT_BEHIND.test(key) ? STAMP.exec(storage.getItem(key) ?? '')?.[1] : undefined
    if (written !== undefined && Number(written) < beforeMs) storage.removeItem(key)
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
