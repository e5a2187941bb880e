import type { Clock } from './ports.ts'

/** Tells the server how far its reader has come, early enough that it never waits without need. */
export interface CreditMeter {
  /** Events up to `seq` were applied; `empty` when nothing waits behind them. */
  applied(seq: number, size: number, empty: boolean): void
  /** A new attachment starts with a fresh window. */
  reset(): void
}

/** UTF-8 takes at most three bytes for one UTF-16 unit, which is how sizes are known here. */
const BYTES_PER_UNIT = 3

/** A reader that has taken all there is says so at the latest after this, since one large event may be waiting for it. */
const IDLE_MS = 50

export function createCreditMeter(clock: Clock, windowBytes: number, send: (seq: number) => void): CreditMeter {
  let bytes = 0
  let last = 0
  let stop: (() => void) | undefined
  const flush = (): void => {
    stop?.()
    stop = undefined
    bytes = 0
    send(last)
  }
  return {
    applied: (seq, size, empty) => {
      last = seq
      bytes += size * BYTES_PER_UNIT
      if (bytes >= windowBytes / 2) flush()
      else if (empty) stop ??= clock.after(IDLE_MS, flush)
    },
    reset: () => {
      stop?.()
      stop = undefined
      bytes = 0
    },
  }
}
