import type { SeededRandom } from './random.ts'
import { settle } from './settle.ts'

/** What a waiting step belongs to: the network, or one life of the server, which takes its steps along when it is killed. */
export interface Scope {
  readonly name: string
}

/** Owns every interleaving: whatever could happen in another order waits here until chance picks it. */
export interface Scheduler {
  post(label: string, scope: Scope, run: () => void): void
  /** Resolves when it is picked; never, once its scope ended. */
  pause(label: string, scope: Scope): Promise<void>
  /** Picks one of what waits, runs it, and lets all promises settle; false where nothing waits. */
  step(): Promise<boolean>
  end(scope: Scope): void
  /** Goes into the trace. */
  note(text: string): void
  readonly waiting: number
  readonly steps: number
  /** A hash of all that happened, in order. */
  readonly trace: string
  /** The labels themselves, where they were asked for. */
  readonly lines: readonly string[]
}

export function createScheduler(random: SeededRandom, keepLines: boolean): Scheduler {
  let waiting: { readonly label: string; readonly scope: Scope; readonly run: () => void }[] = []
  const lines: string[] = []
  let steps = 0
  let a = 1
  let b = 2

  const note = (text: string): void => {
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      a = Math.imul(a ^ unit, 0x9e3779b1)
      b = Math.imul(b + unit, 0x5f356495) ^ (b >>> 15)
    }
    a ^= a >>> 13
    if (keepLines) lines.push(text)
  }

  return {
    post(label, scope, run) {
      waiting.push({ label, scope, run })
    },
    pause(label, scope) {
      return new Promise(resolve => waiting.push({ label, scope, run: resolve }))
    },
    async step() {
      const index = random.int(waiting.length)
      const picked = waiting[index]
      if (!picked) return false
      // Order is the seed's, so the hole may be filled with the last one.
      const last = waiting.pop() as typeof picked
      if (last !== picked) waiting[index] = last
      steps++
      note(picked.label)
      picked.run()
      await settle()
      return true
    },
    end(scope) {
      waiting = waiting.filter(step => step.scope !== scope)
    },
    note,
    get waiting() {
      return waiting.length
    },
    get steps() {
      return steps
    },
    get trace() {
      return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0')
    },
    lines,
  }
}
