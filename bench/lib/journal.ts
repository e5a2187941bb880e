/** What one writer told one session and what it was answered, in order: a copy of bytes while measuring, read afterwards. */
export interface Journal {
  readonly session: string
  /** `count` events, numbered from `n` on, go out as one request. */
  sent(n: number, count: number): void
  /** `answer` is only read during the call. */
  answered(answer: Buffer): void
  /** All of it again, in the order in which it happened. */
  replay(onSent: (n: number, count: number) => void, onAnswer: (text: string) => void): void
}

const SLAB_BYTES = 256 * 1024

export function createJournal(session: string): Journal {
  /** Pairs: n and count of what was sent, or 0 and the length of an answer. */
  const steps: number[] = []
  const slabs: Buffer[] = []
  let used = SLAB_BYTES
  return {
    session,
    sent: (n, count) => void steps.push(n, count),
    answered(answer) {
      if (used + answer.length > SLAB_BYTES) {
        slabs.push(Buffer.allocUnsafe(Math.max(SLAB_BYTES, answer.length)))
        used = 0
      }
      used += answer.copy(slabs.at(-1) as Buffer, used)
      steps.push(0, answer.length)
    },
    replay(onSent, onAnswer) {
      let slab = -1
      let at = SLAB_BYTES
      for (let step = 0; step < steps.length; step += 2) {
        const n = steps[step] as number
        const size = steps[step + 1] as number
        if (n > 0) onSent(n, size)
        else {
          if (at + size > SLAB_BYTES) {
            slab++
            at = 0
          }
          onAnswer((slabs[slab] as Buffer).toString('utf8', at, at + size))
          at += size
        }
      }
    },
  }
}
