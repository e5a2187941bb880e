import type { Attachment, Delivery } from '@holdfast/core'
import {
  bytesFromText,
  canonicalJson,
  type Cursor,
  type Event,
  type Gap,
  type Hello,
  HoldfastError,
  MODES,
  type Mode,
  textsFromChunk,
} from '@holdfast/protocol'
import { hashText, type History, type Reader } from '../oracle/index.ts'
import { type CounterState, counterFold } from './counter-kind.ts'
import { createLink, type Link } from './link.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import { principal } from './sessions.ts'
import { SIM_EPOCH, type World } from './world.ts'

/** A client's reader of one session, as the contract has it: it resumes after what it applied, and drops its state when told to. */
export interface SimReader {
  readonly session: string
  readonly isAttached: boolean
  /** The session is gone. */
  readonly isOver: boolean
  attach(): void
  cut(): void
  halfOpen(): void
  pause(): void
  unpause(): void
  /** Forgets all, and comes back with a cursor and mode that chance gives. */
  wander(): void
  /** Sends the credit it holds back. */
  credit(): void
  settled(): void
}

export interface ReaderOptions {
  readonly name: string
  readonly session: string
  readonly hasFold: boolean
  readonly world: World
  readonly random: SeededRandom
  readonly scheduler: Scheduler
  readonly history: History
  /** True when this code is no surprise for this session now. */
  readonly isExpected: (session: string, code: string) => boolean
  readonly report: (detail: string) => void
}

/** Names an event that a client of the simulation sent: every payload has a token of its own. */
export function inputOf(event: Event): { key: string; body: bigint } | undefined {
  const { token } = event.payload as { token?: unknown }
  return typeof token === 'string' ? { key: token, body: hashText(canonicalJson(event.payload)) } : undefined
}

export const stateHash = (state: CounterState): bigint => hashText(JSON.stringify(state))

export function createSimReader(options: ReaderOptions): SimReader {
  const { name, session, hasFold, world, random, scheduler, history, report } = options
  let link: Link | undefined
  let attaching = false
  let over = false
  /** Cursor and state, as they would be stored together; no cursor before anything was seen. */
  let cursor: Cursor | undefined
  let state: CounterState | undefined = hasFold ? counterFold.initial() : undefined
  let mode: Mode = random.pick(MODES)
  let parts: string[] = []
  let record: Reader = history.reader(name, session)
  let lives = 0
  let credited = 0
  /** What came and was not yet credited where the server is: never more than the window, unless it is one event. */
  let unacknowledged: { seq: number; bytes: number }[] = []
  let windowBytes: number | undefined
  /** Hello came, so the cursor is one of this attachment. */
  let greeted = false

  const fail = (code: string, where: string): void => {
    if (code === 'session_deleted' || code === 'session_expired') over = true
    if (!options.isExpected(session, code)) report(`${name}: ${where} with ${code}`)
  }

  const receive = (delivery: Delivery): void => {
    if (delivery.type === 'end') {
      link?.cut()
      link = undefined
      fail(delivery.error.code, 'ended')
    } else if (delivery.type === 'control') control(delivery.message.type, delivery.message.payload)
    else apply(textsFromChunk(delivery.chunk))
  }

  const apply = (texts: readonly string[]): void => {
    for (const text of texts) {
      const event = JSON.parse(text) as Event
      const { seq, session_id } = event.header
      if (session_id !== session) report(`${name}: an event of ${session_id}`)
      record.apply(seq, hashText(text), inputOf(event))
      if (windowBytes !== undefined) takeOfWindow(seq, bytesFromText(text).byteLength, windowBytes)
      if (state) state = counterFold.reduce(state, event)
      cursor = { epoch: SIM_EPOCH, seq }
    }
    if (state && cursor) record.state(cursor.seq, stateHash(state))
    if (random.chance(0.7)) sendCredit()
  }

  const takeOfWindow = (seq: number, bytes: number, limit: number): void => {
    unacknowledged.push({ seq, bytes })
    const sum = unacknowledged.reduce((total, event) => total + event.bytes, 0)
    if (unacknowledged.length > 1 && sum > limit) report(`${name}: ${sum} bytes are unacknowledged, its window is ${limit}`)
  }

  const control = (type: string, payload: unknown): void => {
    if (type === 'protocol.hello') {
      const hello = payload as Hello
      greeted = true
      record.hello({ epoch: hello.epoch, resume: hello.resume, head: hello.head_seq, floor: hello.floor_seq, live: mode === 'live' })
      if (mode === 'live') {
        if ((cursor?.seq ?? 0) !== hello.head_seq) state = undefined
        cursor = { epoch: hello.epoch, seq: hello.head_seq }
      } else if (hello.resume === 'reset') {
        state = undefined
        cursor = { epoch: hello.epoch, seq: hello.floor_seq }
        if (hasFold && hello.floor_seq === 0) state = counterFold.initial()
      }
    } else if (type === 'protocol.gap') {
      const gap = payload as Gap
      unacknowledged = []
      record.gap(gap.from_seq, gap.to_seq)
      state = undefined
      cursor = { epoch: SIM_EPOCH, seq: gap.to_seq }
      if (random.chance(0.5)) sendCredit()
    } else if (type === 'protocol.snapshot') {
      const part = payload as { seq: number; part: number; parts: number; data: string }
      parts = part.part === 1 ? [part.data] : [...parts, part.data]
      if (part.part < part.parts) return
      state = JSON.parse(parts.join('')) as CounterState
      cursor = { epoch: SIM_EPOCH, seq: part.seq }
      record.snapshot(part.seq, stateHash(state))
    } else if (type === 'protocol.caught_up') {
      const { seq } = payload as { seq: number }
      record.caughtUp(seq)
      if (state) record.state(seq, stateHash(state))
    } else if (type === 'protocol.error') {
      const { code } = payload as { code: string }
      if (!options.isExpected(session, code)) report(`${name}: told of ${code}`)
    } else report(`${name}: an unknown control message ${type}`)
  }

  const sendCredit = (): void => {
    const current = link
    if (!current || !greeted || !cursor || cursor.seq <= credited) return
    const seq = cursor.seq
    credited = seq
    scheduler.post(`${name} credit ${seq}`, world.network, () => {
      if (link !== current) return
      try {
        current.attachment.credit(seq)
        unacknowledged = unacknowledged.filter(event => event.seq > seq)
      } catch (error) {
        report(`${name}: credit for ${seq} refused: ${String(error)}`)
      }
    })
  }

  const opened = (attachment: Attachment): void => {
    parts = []
    credited = 0
    unacknowledged = []
    greeted = false
    record.attach(cursor?.seq ?? 0)
    link = createLink({
      name,
      attachment,
      scheduler,
      network: world.network,
      maxBytes: random.pick([1, 500, 65_536]),
      receive,
      failed: error => report(`${name}: a pull failed: ${String(error)}`),
    })
  }

  const drop = (): void => {
    link?.cut()
    link = undefined
  }
  world.onKill(drop)

  return {
    session,
    get isAttached() {
      return link !== undefined
    },
    get isOver() {
      return over
    },
    attach() {
      if (link || attaching || over) return
      attaching = true
      const shown = cursor && random.chance(0.3) ? { seq: cursor.seq } : cursor
      const asked = random.chance(0.3) ? 1 + random.int(900) : undefined
      const life = world.engine
      const options = { mode, clientId: name, ...(shown ? { cursor: shown } : {}), ...(asked === undefined ? {} : { windowBytes: asked }) }
      world.call<Attachment>(
        `${name} attach ${mode} ${shown?.epoch ?? ''}.${shown?.seq ?? ''}`,
        engine => engine.attach(principal, session, options),
        outcome => {
          attaching = false
          if (outcome.type === 'answer') {
            if (world.engine !== life) return
            windowBytes = asked
            opened(outcome.value)
          } else if (outcome.type === 'error') fail(outcome.error instanceof HoldfastError ? outcome.error.code : String(outcome.error), 'attach refused')
        },
      )
    },
    cut: drop,
    halfOpen() {
      const current = link
      if (!current) return
      link = undefined
      current.halfOpen()
      scheduler.post(`${name} noticed`, world.network, () => current.cut())
    },
    pause: () => link?.pause(true),
    unpause: () => link?.pause(false),
    wander() {
      if (attaching) return
      drop()
      record = history.reader(`${name}.${++lives}`, session)
      mode = random.pick(MODES)
      const seq = random.int(12)
      cursor = random.pick([undefined, { seq: 0 }, { seq }, { epoch: SIM_EPOCH, seq }, { epoch: 'other', seq }])
      state = hasFold && (cursor === undefined || cursor.seq === 0) ? counterFold.initial() : undefined
    },
    credit: sendCredit,
    settled() {
      if (link && !link.isPaused && !over) record.settled()
    },
  }
}
