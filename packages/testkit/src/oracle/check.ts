import { hashText } from './hash.ts'
import { type History, type SentInput, STEP } from './history.ts'
import { walkReader } from './walk.ts'

/** What a history must never show. */
export const RULES = [
  /** An acked input is not in the log at the seq of its ack. */
  'acked-lost',
  /** An input is in the log more than once. */
  'stored-twice',
  /** What is stored under an input's key is not what was sent. */
  'body-changed',
  /** An input whose every send was refused is in the log. */
  'refused-but-stored',
  /** Two acks of one input name different seqs, or both claim to be the first. */
  'acks-differ',
  /** An input sent after another's ack has no greater seq. */
  'order',
  /** Two readers saw different bytes at one (epoch, seq). */
  'bytes-differ',
  /** A reader's seqs are not dense from its start, its gap or its snapshot. */
  'hole',
  /** `caught_up` came before the head at attach was delivered, or names another seq. */
  'caught-up-early',
  /** Folds at one (epoch, seq) differ. */
  'folds-differ',
  /** A reader that nothing disturbs has not reached the head. */
  'stuck',
] as const
export type Rule = (typeof RULES)[number]

export interface Violation {
  readonly rule: Rule
  readonly session: string
  readonly detail: string
}

interface SeenEvent {
  readonly bytes: bigint
  readonly input: bigint
  readonly body: bigint
  readonly by: string
}

/** One history of one session, put together from everybody who read it. */
interface SeenLog {
  readonly events: Map<number, SeenEvent>
  readonly states: Map<number, { readonly state: bigint; readonly by: string }>
}

/** Judges a history (faults.md, the oracle); empty where everything held. */
export function check(history: History): Violation[] {
  const violations: Violation[] = []
  const report = (rule: Rule, session: string, detail: string): void => void violations.push({ rule, session, detail })
  const seen = new Map<string, SeenLog>()
  const seenLog = (session: string, epoch: string): SeenLog => {
    const name = `${session} ${epoch}`
    let log = seen.get(name)
    if (!log) {
      log = { events: new Map(), states: new Map() }
      seen.set(name, log)
    }
    return log
  }

  for (const reader of history.readers) {
    walkReader(reader, {
      report: (rule, detail) => report(rule, reader.session, `${reader.name}: ${detail}`),
      applied(epoch, index) {
        const seq = reader.seqs.at(index)
        const bytes = reader.hashes.at(index)
        const { events } = seenLog(reader.session, epoch)
        const known = events.get(seq)
        if (!known)
          events.set(seq, { bytes, input: reader.others.at(index) === 1 ? reader.inputs.at(index) : 0n, body: reader.bodies.at(index), by: reader.name })
        else if (known.bytes !== bytes) report('bytes-differ', reader.session, `${reader.name} and ${known.by} saw different bytes at ${epoch}.${seq}`)
      },
      folded(epoch, seq, state, step) {
        const { states } = seenLog(reader.session, epoch)
        const known = states.get(seq)
        if (!known) states.set(seq, { state, by: `${reader.name} (${step === STEP.snapshot ? 'snapshot' : 'fold'})` })
        else if (known.state !== state)
          report('folds-differ', reader.session, `${reader.name} (${step === STEP.snapshot ? 'snapshot' : 'fold'}) and ${known.by} differ at ${epoch}.${seq}`)
      },
      ended(epoch, seq) {
        const final = history.finals.get(reader.session)
        if (reader.settled && final && (epoch !== final.epoch || seq !== final.head))
          report('stuck', reader.session, `${reader.name} is at ${epoch}.${seq}, the head is ${final.epoch}.${final.head}`)
      },
    })
  }
  checkInputs(history, seen, report)
  return violations
}

type Report = (rule: Rule, session: string, detail: string) => void

function checkInputs(history: History, seen: ReadonlyMap<string, SeenLog>, report: Report): void {
  const places = placesOf(seen)
  for (const input of history.inputs.values()) {
    const { session, key } = input
    const final = history.finals.get(session)
    checkAcks(input, report)
    for (const [epoch, found] of places.get(`${session} ${hashText(key)}`) ?? []) {
      if (found.length > 1) report('stored-twice', session, `"${key}" is at ${found.map(place => `${epoch}.${place.seq}`).join(' and ')}`)
      const [first] = found
      if (first && first.body !== input.body) report('body-changed', session, `"${key}" at ${epoch}.${first.seq} is not what was sent`)
      if (input.refusals === input.sends) report('refused-but-stored', session, `"${key}" was refused ${input.refusals} times and is at ${epoch}.${first?.seq}`)
    }
    for (const ack of input.acks) {
      const epoch = ack.epoch ?? final?.epoch
      if (epoch === undefined) continue
      const event = seen.get(`${session} ${epoch}`)?.events.get(ack.seq)
      if (event ? event.input !== hashText(key) : final?.epoch === epoch && ack.seq > final.floor)
        report('acked-lost', session, `"${key}" was acked at ${epoch}.${ack.seq}, ${event ? 'where something else is' : 'where nothing is'}`)
    }
  }
}

function checkAcks({ session, key, acks, ackedBefore }: SentInput, report: Report): void {
  const [first] = acks
  if (!first) return
  const epochs = new Set(acks.map(ack => ack.epoch))
  if (epochs.size === 1 && acks.some(ack => ack.seq !== first.seq))
    report('acks-differ', session, `"${key}" was acked at ${acks.map(ack => ack.seq).join(', ')}`)
  if (epochs.size === 1 && acks.filter(ack => !ack.duplicate).length > 1) report('acks-differ', session, `"${key}" was acked as new more than once`)
  if (epochs.size === 1 && first.seq <= ackedBefore) report('order', session, `"${key}" got ${first.seq}, but ${ackedBefore} was acked before it was sent`)
}

/** Where each input is, per session and input: by epoch. */
function placesOf(seen: ReadonlyMap<string, SeenLog>): Map<string, Map<string, { seq: number; body: bigint }[]>> {
  const places = new Map<string, Map<string, { seq: number; body: bigint }[]>>()
  for (const [name, log] of seen) {
    const [session, epoch] = name.split(' ') as [string, string]
    for (const [seq, event] of log.events) {
      if (event.input === 0n) continue
      const place = `${session} ${event.input}`
      const byEpoch = places.get(place) ?? new Map<string, { seq: number; body: bigint }[]>()
      places.set(place, byEpoch)
      byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), { seq, body: event.body }])
    }
  }
  return places
}
