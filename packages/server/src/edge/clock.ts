import type { Clock } from '@holdfast/core'

/** The machine's clocks; timers never keep the process alive. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  steadyMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Waits, and keeps the process alive meanwhile: for what must be done before it ends. */
export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
