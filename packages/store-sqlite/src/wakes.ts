/** Who listens for new heads, and the ring once per tick. */
export interface Wakes {
  listen(sessionId: string, listener: (head: number) => void): () => void
  /** Tells these heads after the promises that were just settled have gone on. */
  ring(heads: ReadonlyMap<string, number>): void
  close(): void
}

export function createWakes(): Wakes {
  const listeners = new Map<string, Set<(head: number) => void>>()
  let due = new Map<string, number>()
  let ringing: NodeJS.Immediate | undefined

  const tell = (): void => {
    ringing = undefined
    const heads = due
    due = new Map()
    for (const [id, head] of heads) for (const listener of [...(listeners.get(id) ?? [])]) listener(head)
  }

  return {
    listen(sessionId, listener) {
      const set = listeners.get(sessionId) ?? new Set()
      // Each call counts for itself, also with a function that listens already.
      const own = (head: number): void => listener(head)
      listeners.set(sessionId, set.add(own))
      return () => {
        set.delete(own)
        if (set.size === 0 && listeners.get(sessionId) === set) listeners.delete(sessionId)
      }
    },
    ring(heads) {
      for (const [id, head] of heads) if (listeners.has(id)) due.set(id, head)
      // Immediates come after every microtask, so that nobody hears of a head before its writer does.
      ringing ??= setImmediate(tell)
    },
    close() {
      clearImmediate(ringing)
      listeners.clear()
      due.clear()
    },
  }
}
