import type { Clock } from '@holdfast/core'

/** The time of a holder's own process; what waits does not keep it alive. */
export const holderClock: Clock = {
  wallMs: () => Date.now(),
  steadyMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
