import { createEngine, createMemoryStore, type Delivery, type Engine } from '@holdfast/core'
import { DEFAULT_LIMITS, type Event, type Hello, HoldfastError, runKind, type Session, textsFromChunk } from '@holdfast/protocol'
import { hashText, type History, type Reader } from '../oracle/index.ts'
import { type CounterState, counterFold, counterKind } from './counter-kind.ts'
import { createSeededRandom } from './random.ts'
import { inputOf, stateHash } from './reader.ts'
import { possibleNames, principal, type SimSession, type SimSessions } from './sessions.ts'
import type { SimRule } from './simulate.ts'
import { SIM_EPOCH, type World } from './world.ts'

export interface Judged {
  readonly world: World
  readonly sessions: SimSessions
  readonly history: History
  readonly report: (rule: SimRule, session: string, detail: string) => void
}

/** Reads every log once more from its start, and compares records, feed and disk with what clients were told. Returns how many events are kept. */
export async function judgeEnd({ world, sessions, history, report }: Judged): Promise<number> {
  const { engine } = world
  if (!engine) throw new Error('no server runs at the end')
  let count = 0
  const found = new Map<string, Session>()
  for (const session of sessions.all) {
    const answer = await engine.getSession(principal, session.id).catch(error => codeOf(error))
    if (typeof answer === 'string') {
      if (!sessions.isExpected(session.id, answer)) report('surprise', session.id, `at the end: ${answer}`)
      continue
    }
    found.set(session.id, answer)
    const events = await readFinal(engine, session.id, session.kind === 'ui', history)
    count += events.length
    judgeRecord(session, answer, events, detail => report('record-wrong', session.id, detail))
    if (session.deleteAcked) report('record-wrong', session.id, 'it was deleted and is there')
  }
  const feed = await readFinal(engine, '_feed', false, history)
  judgeFeed(sessions, found, feed, detail => report('feed-wrong', '_feed', detail))

  const listed = await engine.listSessions(principal, { limit: 1000 })
  const ids = listed.sessions.map(session => session.session_id).sort()
  if (ids.join() !== [...found.keys()].sort().join()) report('record-wrong', '', `the list is ${ids.join()}, there are ${[...found.keys()].join()}`)

  const again = await restarted(world)
  for (const [id, session] of found) {
    const stored = await again.getSession(principal, id).catch(error => codeOf(error))
    if (JSON.stringify(stored) !== JSON.stringify(session)) report('rows-differ', id, `in memory ${JSON.stringify(session)}, on disk ${JSON.stringify(stored)}`)
  }
  await again.close()
  await engine.close()
  return count
}

const codeOf = (error: unknown): string => (error instanceof HoldfastError ? error.code : String(error))

/** A server that starts on the same disk after all is done. */
const restarted = (world: World): Promise<Engine> =>
  createEngine({
    store: createMemoryStore({ disk: world.disk, epoch: SIM_EPOCH }),
    kinds: [counterKind, runKind],
    limits: DEFAULT_LIMITS,
    clock: world.clock,
    random: createSeededRandom(0),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    digest: text => text,
  })

async function readFinal(engine: Engine, id: string, hasFold: boolean, history: History): Promise<Event[]> {
  const reader = history.reader('final', id)
  const attachment = await engine.attach(principal, id, { cursor: { seq: 0 } })
  const events: Event[] = []
  let state: CounterState | undefined = hasFold ? counterFold.initial() : undefined
  let hello: Hello | undefined
  for (;;) {
    const delivery: Delivery | undefined = await attachment.pull(4096)
    if (!delivery) break
    if (delivery.type === 'end') throw delivery.error
    if (delivery.type === 'events') {
      for (const text of textsFromChunk(delivery.chunk)) {
        const event = JSON.parse(text) as Event
        events.push(event)
        reader.apply(event.header.seq, hashText(text), inputOf(event))
        if (state) state = foldOne(reader, state, event)
      }
    } else if (delivery.message.type === 'protocol.hello') {
      hello = delivery.message.payload as Hello
      if (hello.floor_seq === 0 || !hasFold) {
        reader.attach(0)
        reader.hello({ epoch: hello.epoch, resume: hello.resume, head: hello.head_seq, floor: hello.floor_seq })
        if (hello.floor_seq > 0) reader.gap(1, hello.floor_seq)
      } else break
    }
  }
  attachment.close()
  if (!hello) throw new Error('no hello')
  if (hasFold && hello.floor_seq > 0) events.push(...(await readBehindSnapshot(engine, id, hello, reader)))
  history.final({ session: id, epoch: hello.epoch, floor: hello.floor_seq, head: hello.head_seq })
  return events
}

/** What is kept of a trimmed log: from the state at its floor on, event by event. */
async function readBehindSnapshot(engine: Engine, id: string, { epoch, floor_seq: floor, head_seq: head }: Hello, reader: Reader): Promise<Event[]> {
  const base = await engine.snapshot(principal, id, floor)
  let state = base.state as CounterState
  reader.attach(floor)
  reader.hello({ epoch, resume: 'ok', head, floor })
  reader.state(floor, stateHash(state))
  const events: Event[] = []
  const attachment = await engine.attach(principal, id, { cursor: { seq: floor } })
  for (let delivery = await attachment.pull(4096); delivery; delivery = await attachment.pull(4096)) {
    if (delivery.type === 'end') throw delivery.error
    if (delivery.type === 'control') continue
    for (const text of textsFromChunk(delivery.chunk)) {
      const event = JSON.parse(text) as Event
      events.push(event)
      reader.apply(event.header.seq, hashText(text), inputOf(event))
      state = foldOne(reader, state, event)
    }
  }
  attachment.close()
  const whole = await engine.snapshot(principal, id)
  reader.state(whole.seq, stateHash(whole.state as CounterState))
  return events
}

function foldOne(reader: Reader, state: CounterState, event: Event): CounterState {
  const next = counterFold.reduce(state, event)
  reader.state(event.header.seq, stateHash(next))
  return next
}

function judgeRecord(asked: SimSession, session: Session, events: readonly Event[], wrong: (detail: string) => void): void {
  const names = possibleNames(asked)
  if (!names.includes(session.session_name ?? '')) wrong(`its name is ${session.session_name}, it was told ${names.join(' or ')}`)
  const ends = events.filter(event => event.type === 'session.ended').length
  const trimmed = session.floor_seq > 0
  if (asked.resumeAsked) return
  if (asked.endAcked && session.ended_at === null) wrong('its end was acked, and it goes on')
  if (!asked.endAsked && session.ended_at !== null) wrong('it ended, and nobody asked for it')
  if (ends > 1) wrong(`it ended ${ends} times`)
  if (session.ended_at !== null && ends === 0 && !trimmed) wrong('it ended, and its log does not say so')
  if (session.ended_at === null && ends > 0) wrong('its log says that it ended, and it goes on')
}

function judgeFeed({ all }: SimSessions, found: ReadonlyMap<string, Session>, feed: readonly Event[], wrong: (detail: string) => void): void {
  for (const { id, created, deleteAcked } of all) {
    const told = feed.filter(event => sessionIdOf(event) === id)
    const count = (type: string): number => told.filter(event => event.type === type).length
    if (count('session.created') > 1 || (created && count('session.created') === 0))
      wrong(`${id} was created, and the feed says so ${count('session.created')} times`)
    if (count('session.deleted') > 1) wrong(`${id} was deleted, and the feed says so ${count('session.deleted')} times`)
    const last = told.at(-1)
    const now = found.get(id)
    if (created && !now && deleteAcked && last?.type !== 'session.deleted' && (last?.payload as { session?: Session })?.session?.state !== 'expired')
      wrong(`${id} is gone, and the feed ends with ${last?.type}`)
    const shown = (last?.payload as { session?: Session } | undefined)?.session
    if (now && (shown?.state !== now.state || shown.session_name !== now.session_name))
      wrong(`${id} is ${now.state} "${now.session_name}", the feed ends with ${last?.type} ${shown?.state} "${shown?.session_name}"`)
  }
}

const sessionIdOf = (event: Event): string | undefined => {
  const payload = event.payload as { session?: Session; session_id?: string }
  return payload.session?.session_id ?? payload.session_id
}
