import type { Clock } from './ports.ts'

/** The runtime's own clock. */
export const systemClock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
} satisfies Clock
