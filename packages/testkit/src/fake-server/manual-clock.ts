/** A clock for tests: time passes only when told. Fits the client's `Clock`. */
export interface ManualClock {
  nowMs(): number
  after(ms: number, callback: () => void): () => void
  /** Lets time pass; timers fire in order, those that they set too. */
  advance(ms: number): void
  /** Times at which something is due, ascending. */
  readonly due: readonly number[]
}

export function createManualClock(): ManualClock {
  let now = 0
  let timers: { at: number; callback: () => void }[] = []
  const next = () => timers.reduce<(typeof timers)[number] | undefined>((first, timer) => (!first || timer.at < first.at ? timer : first), undefined)
  return {
    nowMs: () => now,
    after: (ms, callback) => {
      const timer = { at: now + Math.max(0, ms), callback }
      timers.push(timer)
      return () => {
        timers = timers.filter(other => other !== timer)
      }
    },
    advance: ms => {
      const end = now + ms
      for (let timer = next(); timer && timer.at <= end; timer = next()) {
        const fired = timer
        timers = timers.filter(other => other !== fired)
        now = fired.at
        fired.callback()
      }
      now = end
    },
    get due() {
      return timers.map(timer => timer.at).sort((a, b) => a - b)
    },
  }
}
