import type { KeyValueStore } from './ports.ts'

/** Writes a cursor after the state that it stands for; while one write is under way only the newest waits (CLI-02, fault 22). */
export interface CursorKeeper {
  save(cursor: string): void
  forget(): void
  /** Resolves once the newest is written. */
  settled(): Promise<void>
}

export function createCursorKeeper(store: KeyValueStore, key: () => string): CursorKeeper {
  let next: string | null | undefined
  let writing: Promise<void> | undefined

  const write = async (): Promise<void> => {
    while (next !== undefined) {
      const value = next
      next = undefined
      try {
        await (value === null ? store.delete(key()) : store.set(key(), value))
      } catch {
        // A cursor that could not be kept costs a longer replay after a reload, never an event.
      }
    }
    writing = undefined
  }
  const put = (value: string | null): void => {
    next = value
    writing ??= write()
  }

  return { save: put, forget: () => put(null), settled: async () => writing }
}
