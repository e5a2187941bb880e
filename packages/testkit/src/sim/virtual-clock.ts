import type { Clock } from '@holdfast/core'

/** A clock that stands still until it is told otherwise. */
export interface VirtualClock extends Clock {
  /** Time passes, on both clocks; what falls due runs in the order of its time. */
  advance(ms: number): void
  /** The wall clock alone jumps, as if somebody set it. */
  jump(ms: number): void
  /** How far all jumps together may have carried the wall clock away. */
  readonly jumpedMs: number
}

const START_MS = Date.UTC(2026, 0, 1)

export function createVirtualClock(startMs: number = START_MS): VirtualClock {
  let steady = 0
  let wall = startMs
  let jumped = 0
  let order = 0
  let waiting: { readonly at: number; readonly order: number; readonly callback: () => void }[] = []

  return {
    wallMs: () => wall,
    steadyMs: () => steady,
    after(ms, callback) {
      const timer = { at: steady + ms, order: order++, callback }
      waiting.push(timer)
      return () => {
        waiting = waiting.filter(other => other !== timer)
      }
    },
    advance(ms) {
      const until = steady + ms
      const pass = (to: number): void => {
        wall += to - steady
        steady = to
      }
      for (;;) {
        let due: (typeof waiting)[number] | undefined
        for (const timer of waiting) if (timer.at <= until && (!due || timer.at < due.at || (timer.at === due.at && timer.order < due.order))) due = timer
        if (!due) break
        waiting = waiting.filter(timer => timer !== due)
        pass(Math.max(steady, due.at))
        due.callback()
      }
      pass(until)
    },
    jump(ms) {
      wall += ms
      jumped += Math.abs(ms)
    },
    get jumpedMs() {
      return jumped
    },
  }
}
