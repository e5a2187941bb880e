import type { Io } from './io.ts'

/** How far long work has come; `total` 0 where it is not known. */
export interface Progress {
  readonly done: number
  readonly total: number
  /** What is being done, where that changes. */
  readonly what?: string
}

/** A line on a terminal's standard error that is drawn over; nothing elsewhere. */
export function createProgress(label: string, io: Pick<Io, 'err' | 'errIsTerminal'>): { report(progress: Progress): void; done(): void } {
  let shownAt = 0
  let shown = false
  return {
    report({ done, total, what }) {
      const now = performance.now()
      if (!io.errIsTerminal || now - shownAt < 100) return
      shownAt = now
      shown = true
      const amount = total > 0 ? `${Math.floor((done / total) * 100)} %` : String(done)
      io.err(`\r\u001b[K${label} ${what ? `${what} ` : ''}${amount}`)
    },
    done() {
      if (shown) io.err('\r\u001b[K')
    },
  }
}
