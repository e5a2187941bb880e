import type { Clock } from './ports.ts'

/** The longest that a runtime's timer can wait; beyond, it would not wait at all. */
const MAX_MS = 2 ** 31 - 1

/** The runtime's own clock. */
export const systemClock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, Math.min(ms, MAX_MS))
    return () => clearTimeout(timer)
  },
} satisfies Clock
