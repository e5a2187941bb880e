import type { Io } from './io.ts'

/** How far long work has come: a line on a terminal's standard error that is drawn over; nothing elsewhere. `total` 0 where it is not known. */
export function createProgress(label: string, io: Pick<Io, 'err' | 'errIsTerminal'>): { report(done: number, total: number): void; done(): void } {
  let shownAt = Number.NEGATIVE_INFINITY
  let shown = false
  return {
    report(done, total) {
      const now = performance.now()
      if (!io.errIsTerminal || now - shownAt < 100) return
      shownAt = now
      shown = true
      io.err(`\r\u001b[K${label}… ${total > 0 ? `${Math.floor((done / total) * 100)} %` : done}`)
    },
    done() {
      if (shown) io.err('\r\u001b[K')
    },
  }
}
