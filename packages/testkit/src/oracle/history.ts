import { createHashColumn, createNumberColumn, type HashColumn, type NumberColumn } from './column.ts'
import { hashText } from './hash.ts'

/** Something that a client sent to be appended once, under a key that is its own in the whole history and can be read off the stored event. */
export interface SentInput {
  readonly session: string
  readonly key: string
  /** Of the body as it was sent, in whatever form the harness can make of a stored event too. */
  readonly body: bigint
  /** The greatest seq that was acked in this session when it was first sent. */
  readonly ackedBefore: number
  sends: number
  /** Answers that promise that nothing was stored. */
  refusals: number
  readonly acks: { readonly seq: number; readonly duplicate: boolean; readonly epoch: string | undefined }[]
}

/** What one step of a reader was; the columns beside it hold the numbers. */
export const STEP = { attach: 0, hello: 1, gap: 2, snapshot: 3, apply: 4, caughtUp: 5, state: 6 } as const
export type Step = (typeof STEP)[keyof typeof STEP]

export type HelloResume = 'new' | 'ok' | 'gap' | 'snapshot' | 'reset'

/** One reader of one session, through all its reconnects. Per step 5 numbers; texts are shared. */
export interface ReaderHistory {
  readonly name: string
  readonly session: string
  readonly steps: NumberColumn
  /** attach: cursor; hello: head; gap: from; else seq. */
  readonly seqs: NumberColumn
  /** hello: floor; gap: to; apply: 1 where it is an input. */
  readonly others: NumberColumn
  /** apply: of the bytes; snapshot, state: of the state. */
  readonly hashes: HashColumn
  /** apply: of the input's key; hello: which of `hellos`. */
  readonly inputs: HashColumn
  /** apply: of the input's body. */
  readonly bodies: HashColumn
  readonly hellos: { readonly epoch: string; readonly resume: HelloResume; readonly live: boolean }[]
  /** It was attached, undisturbed and without pause when the history ended, so it must have reached the head. */
  settled: boolean
}

export interface Reader {
  readonly history: ReaderHistory
  /** It presents this cursor, 0 for none. */
  attach(seq: number): void
  hello(hello: { epoch: string; resume: HelloResume; head: number; floor: number; live?: boolean }): void
  gap(fromSeq: number, toSeq: number): void
  snapshot(seq: number, state: bigint): void
  /** `input` is told of events that a client sent. */
  apply(seq: number, bytes: bigint, input?: { readonly key: string; readonly body: bigint }): void
  caughtUp(seq: number): void
  /** Its own fold after it has applied everything up to `seq`. */
  state(seq: number, state: bigint): void
  settled(): void
}

/** The log of a session as it is read at the end, from its floor to its head, by a reader that is told of by name. */
export interface FinalLog {
  readonly session: string
  readonly epoch: string
  readonly floor: number
  readonly head: number
}

/** Everything that clients did and saw; grows while a test runs, is judged by `check`. */
export interface History {
  readonly inputs: ReadonlyMap<string, SentInput>
  readonly readers: readonly ReaderHistory[]
  readonly finals: ReadonlyMap<string, FinalLog>
  /** Each time that it is sent. Throws where a key stands for two bodies: that is a fault of the harness. */
  send(session: string, key: string, body: bigint): void
  /** In real time: everything that is sent after this call is sent after the ack. */
  ack(key: string, ack: { readonly seq: number; readonly duplicate: boolean; readonly epoch?: string }): void
  /** The answer promised that nothing of it was stored. */
  refuse(key: string): void
  reader(name: string, session: string): Reader
  /** The session outlived the test; one that is gone has no final log. */
  final(log: FinalLog): void
}

export function createHistory(): History {
  const inputs = new Map<string, SentInput>()
  const readers: ReaderHistory[] = []
  const finals = new Map<string, FinalLog>()
  const acked = new Map<string, number>()

  const inputOf = (key: string): SentInput => {
    const input = inputs.get(key)
    if (!input) throw new Error(`"${key}" was never sent`)
    return input
  }

  return {
    inputs,
    readers,
    finals,
    send(session, key, body) {
      const known = inputs.get(key)
      if (!known) inputs.set(key, { session, key, body, ackedBefore: acked.get(session) ?? 0, sends: 1, refusals: 0, acks: [] })
      else if (known.session !== session || known.body !== body) throw new Error(`"${key}" stands for two inputs`)
      else known.sends++
    },
    ack(key, { seq, duplicate, epoch }) {
      const input = inputOf(key)
      input.acks.push({ seq, duplicate, epoch })
      acked.set(input.session, Math.max(seq, acked.get(input.session) ?? 0))
    },
    refuse: key => void inputOf(key).refusals++,
    reader(name, session) {
      const history = createReaderHistory(name, session)
      readers.push(history)
      return createReader(history)
    },
    final: log => void finals.set(log.session, log),
  }
}

const createReaderHistory = (name: string, session: string): ReaderHistory => ({
  name,
  session,
  steps: createNumberColumn(),
  seqs: createNumberColumn(),
  others: createNumberColumn(),
  hashes: createHashColumn(),
  inputs: createHashColumn(),
  bodies: createHashColumn(),
  hellos: [],
  settled: false,
})

function createReader(history: ReaderHistory): Reader {
  const add = (step: Step, seq: number, other = 0, hash = 0n, input = 0n, body = 0n): void => {
    history.steps.push(step)
    history.seqs.push(seq)
    history.others.push(other)
    history.hashes.push(hash)
    history.inputs.push(input)
    history.bodies.push(body)
  }
  return {
    history,
    attach: seq => add(STEP.attach, seq),
    hello({ epoch, resume, head, floor, live = false }) {
      add(STEP.hello, head, floor, 0n, BigInt(history.hellos.length))
      history.hellos.push({ epoch, resume, live })
    },
    gap: (fromSeq, toSeq) => add(STEP.gap, fromSeq, toSeq),
    snapshot: (seq, state) => add(STEP.snapshot, seq, 0, state),
    apply: (seq, bytes, input) => (input ? add(STEP.apply, seq, 1, bytes, hashText(input.key), input.body) : add(STEP.apply, seq, 0, bytes)),
    caughtUp: seq => add(STEP.caughtUp, seq),
    state: (seq, state) => add(STEP.state, seq, 0, state),
    settled() {
      history.settled = true
    },
  }
}
