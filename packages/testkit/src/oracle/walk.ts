import type { Rule } from './check.ts'
import { type ReaderHistory, STEP, type Step } from './history.ts'

export interface ReaderVisitor {
  report(rule: Rule, detail: string): void
  /** The step at `index` is an apply. */
  applied(epoch: string, index: number): void
  folded(epoch: string, seq: number, state: bigint, step: Step): void
  /** Where the reader is after its last step. */
  ended(epoch: string | undefined, seq: number): void
}

/** Follows one reader through its steps and reports whatever is not dense. */
export function walkReader(reader: ReaderHistory, visitor: ReaderVisitor): void {
  let epoch: string | undefined
  /** The seq that must come next. */
  let next = 1
  let start = 0
  let goal = 0
  /** A snapshot may go back only where the reader dropped what it had. */
  let dropped = false
  for (let index = 0; index < reader.steps.length; index++) {
    const step = reader.steps.at(index) as Step
    const seq = reader.seqs.at(index)
    if (step === STEP.attach) {
      start = seq
      continue
    }
    if (step === STEP.hello) {
      const hello = reader.hellos[Number(reader.inputs.at(index))]
      if (!hello) throw new Error('a hello is missing')
      epoch = hello.epoch
      goal = seq
      dropped = hello.resume === 'reset'
      next = (hello.live ? seq : dropped ? reader.others.at(index) : start) + 1
      continue
    }
    if (epoch === undefined) {
      visitor.report('hole', `step ${index} comes before hello`)
      return
    }
    if (step === STEP.gap) {
      if (seq !== next) visitor.report('hole', `a gap from ${seq} where ${next} was due`)
      next = reader.others.at(index) + 1
    } else if (step === STEP.snapshot) {
      if (!dropped && seq + 1 < next) visitor.report('hole', `a snapshot at ${seq} where ${next} was due`)
      next = seq + 1
      visitor.folded(epoch, seq, reader.hashes.at(index), step)
    } else if (step === STEP.apply) {
      if (seq !== next) visitor.report('hole', `${epoch}.${seq} came where ${next} was due`)
      next = seq + 1
      visitor.applied(epoch, index)
    } else if (step === STEP.caughtUp) {
      if (seq !== next - 1 || seq < goal) visitor.report('caught-up-early', `caught_up ${seq} at ${next - 1}, the head at attach being ${goal}`)
    } else {
      visitor.folded(epoch, seq, reader.hashes.at(index), step)
    }
  }
  visitor.ended(epoch, next - 1)
}
