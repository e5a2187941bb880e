/** Keeps a number of messages on their way: what one turn acked is answered by as many new ones in one write. */
export interface Windowed {
  /** Resolves when `count` more were acked. */
  write(count: number): Promise<void>
  /** One was acked. */
  acked(): void
  /** Rejects what waits. */
  fail(error: Error): void
}

/** `send` gets the numbers of the messages that are due, from 1. */
export function createWindowed(inFlight: number, send: (numbers: readonly number[]) => void): Windowed {
  let sent = 0
  let acked = 0
  let goal = 0
  let free = inFlight
  let isFilling = false
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  const fill = (): void => {
    isFilling = false
    const numbers: number[] = []
    for (; free > 0 && sent < goal; free--) numbers.push(++sent)
    if (numbers.length > 0) send(numbers)
  }
  return {
    write(count) {
      goal += count
      return new Promise((resolve, reject) => {
        settle = { resolve, reject }
        fill()
      })
    },
    acked() {
      free++
      if (++acked >= goal) return settle?.resolve()
      if (isFilling) return
      isFilling = true
      queueMicrotask(fill)
    },
    fail: error => settle?.reject(error),
  }
}
