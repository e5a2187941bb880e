import { type Attachment, type Client, type ClientOptions, createClient } from '@holdfast/client'
import { type History, hashText } from '@holdfast/testkit/oracle'
import type { SeededRandom } from '@holdfast/testkit/sim'

/** A client of the library whose every word is written down for the oracle. */
export interface LoopClient {
  readonly name: string
  /** Follows a session; the answer tells where it is. */
  follow(session: string): { readonly name: string; readonly seq: () => number; readonly phase: () => string; settled(): void }
  /** Appends items until told to stop, over `client.producer`. */
  produce(session: string, item: (n: number) => Record<string, unknown>): Source
  /** The same as inputs of an attachment, through its outbox. */
  send(session: string, item: (n: number) => Record<string, unknown>): Source
  close(): void
}

export interface Source {
  readonly name: string
  readonly sent: () => number
  /** Resolves once all that was sent is acked. */
  finish(): Promise<void>
}

/** Items unacknowledged at a time. */
const IN_FLIGHT = 20

export function createLoopClient(name: string, history: History, random: SeededRandom, options: ClientOptions): LoopClient {
  const client: Client = createClient({ clientId: name, policy: { baseMs: 5, capMs: 60, connectMs: 3000, maxTries: 1_000_000, stableMs: 200 }, ...options })
  const handles = new Map<string, Attachment>()

  /** Makes items and gives each to `append`, a few at a time. */
  const source = (
    key: string,
    session: string,
    item: (n: number) => Record<string, unknown>,
    /** An item's name is the id of its event, or only the application's: then what carries it must have an id of its own. */
    as: 'id' | 'key',
    append: (item: Record<string, unknown>) => Promise<{ seq: number | null; duplicate: boolean }>,
  ): Source => {
    let sent = 0
    let open = 0
    let stopped = false
    let wake = (): void => {}
    const running = (async () => {
      while (!stopped) {
        for (let burst = 1 + random.int(6); burst > 0 && open < IN_FLIGHT; burst--) {
          const name = `${key}-${sent}`
          const made = { ...item(sent), [as]: name }
          sent++
          open++
          history.send(session, name, hashText(JSON.stringify(made)))
          void append(made).then(({ seq, duplicate }) => {
            open--
            history.ack(name, { seq: seq as number, duplicate })
            wake()
          })
        }
        // Until something is acked: a bounded rate, and the server's own pace.
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      while (open > 0)
        await new Promise<void>(resolve => {
          wake = resolve
        })
    })()
    return {
      name: key,
      sent: () => sent,
      finish: () => {
        stopped = true
        wake()
        return running
      },
    }
  }

  return {
    name,
    follow(session) {
      const reader = history.reader(`${name}-${session}`, session)
      let applied = 0
      const handle = client.attach(session, {
        onHello: hello => {
          reader.attach(applied)
          reader.hello({ epoch: hello.epoch, resume: hello.resume, head: hello.head_seq, floor: hello.floor_seq })
        },
        onGap: gap => reader.gap(gap.from_seq, gap.to_seq),
        onCaughtUp: seq => reader.caughtUp(seq),
        onEvent: event => {
          const { id, key = id } = event.payload as { id?: string; key?: string }
          const text = JSON.stringify(event)
          reader.apply(event.header.seq, hashText(text), key === undefined ? undefined : { key, body: hashText(JSON.stringify(event.payload)) })
          applied = event.header.seq
        },
      })
      handles.set(session, handle)
      return { name: `${name}-${session}`, seq: () => applied, phase: () => `${handle.state.transport} ${handle.state.phase}`, settled: () => reader.settled() }
    },
    produce(session, item) {
      const producer = client.producer(session, { batchEvents: 1 + random.int(8), lingerMs: 1 })
      return source(`${name}-${session}-producer`, session, item, 'id', made => producer.append(made))
    },
    send(session, item) {
      const handle = handles.get(session) as Attachment
      return source(`${name}-${session}-outbox`, session, item, 'key', made => handle.send('session.append', { events: [made] }))
    },
    close: () => client.close(),
  }
}
