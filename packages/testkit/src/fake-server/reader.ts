import { encodeControl } from '@holdfast/protocol/wire'
import type { FakeFaults } from './faults.ts'
import { type FakeSession, type FakePlan, hasSnapshots, headOf, helloOf, stateOf } from './log.ts'

/** Where one attachment of the fake writes to. */
export interface FakeSink {
  control(text: string, seq?: number): void
  event(text: string, seq: number): void
  /** A batch is complete. */
  flush(): void
  /** The connection dies now. */
  kill(): void
}

export interface FakeReader {
  /** Writes what is there. */
  pump(): void
  credit(seq: number): void
  readonly sent: number
}

/** The server's side of one attachment, for streams and sockets alike. */
export function createFakeReader(
  session: FakeSession,
  plan: FakePlan,
  faults: FakeFaults,
  sink: FakeSink,
  options: { readonly reconnected: boolean; readonly heartbeatMs: number; readonly replyTo?: string; readonly windowBytes?: number },
): FakeReader {
  let after = plan.after
  let greeted = false
  let caughtUp = false
  let goal = 0
  let unacked: { seq: number; bytes: number }[] = []

  const control = (type: string, payload: unknown, seq?: number): void => {
    const reply = type === 'protocol.hello' && options.replyTo !== undefined ? { reply_to: options.replyTo } : {}
    sink.control(encodeControl({ type, header: { session_id: session.id, ...reply }, payload }), seq)
  }
  const greet = (): void => {
    greeted = true
    goal = headOf(session)
    control('protocol.hello', helloOf(session, plan, options.reconnected, options.heartbeatMs))
    if (plan.gap) control('protocol.gap', plan.gap)
    if (plan.snapshotSeq !== undefined) {
      const data = JSON.stringify(stateOf(session, plan.snapshotSeq))
      const middle = Math.floor(data.length / 2)
      control('protocol.snapshot', { seq: plan.snapshotSeq, part: 1, parts: 2, data: data.slice(0, middle) })
      control('protocol.snapshot', { seq: plan.snapshotSeq, part: 2, parts: 2, data: data.slice(middle) }, plan.snapshotSeq)
    }
  }
  const room = (bytes: number): boolean =>
    options.windowBytes === undefined || unacked.length === 0 || unacked.reduce((sum, item) => sum + item.bytes, bytes) <= options.windowBytes
  const finish = (): void => {
    if (caughtUp || after < goal) return
    caughtUp = true
    sink.flush()
    control('protocol.caught_up', { seq: after }, after)
  }

  return {
    get sent() {
      return after
    },
    credit: seq => {
      unacked = unacked.filter(item => item.seq > seq)
    },
    pump: () => {
      if (faults.stall) return
      if (!greeted) greet()
      if (after < session.floor) {
        control('protocol.gap', { from_seq: after + 1, to_seq: session.floor, reason: 'trimmed' })
        after = session.floor
        if (hasSnapshots(session)) {
          after = headOf(session)
          control('protocol.snapshot', { seq: after, part: 1, parts: 1, data: JSON.stringify(stateOf(session, after)) }, after)
        }
      }
      finish()
      while (after < headOf(session)) {
        const seq = after + 1
        const text = session.texts[after] as string
        if (faults.poison(session.id, seq)) {
          sink.flush()
          return sink.kill()
        }
        const bytes = Buffer.byteLength(text)
        if (!room(bytes)) break
        if (!faults.skip(seq)) sink.event(text, seq)
        if (faults.duplicate(seq)) sink.event(text, seq)
        unacked.push({ seq, bytes })
        after = seq
        finish()
      }
      sink.flush()
    },
  }
}
