import type { AppendResult } from '@holdfast/core'
import { canonicalJson, HoldfastError } from '@holdfast/protocol'
import { hashText, type History } from '../oracle/index.ts'
import type { SeededRandom } from './random.ts'
import { isRefusal, principal, type SimSession, type SimSessions } from './sessions.ts'
import type { World } from './world.ts'

/** How a batch is made safe to repeat: ids in its items, one key for all, an input's id, or not at all. */
type Style = 'ids' | 'key' | 'input' | 'bare'

interface Item {
  readonly token: string
  readonly raw: Readonly<Record<string, unknown>>
}

interface Batch {
  readonly session: SimSession
  readonly style: Style
  readonly items: readonly Item[]
  /** The Idempotency-Key or the input's id. */
  readonly key: string
  underWay: number
  isAcked: boolean
  /** The session takes no more. */
  isOver: boolean
}

/** A client that appends, and repeats until it gets an answer. */
export interface Producer {
  append(session: SimSession): void
  /** Sends one of its batches again: an open one, one that is under way, one that was acked long ago. */
  repeat(): void
  /** Sends every open batch again; true where there is none. */
  finish(): boolean
  readonly acked: number
  readonly duplicates: number
}

export interface ProducerOptions {
  readonly name: string
  /** Without one, ids belong to the principal. */
  readonly clientId: string | undefined
  readonly world: World
  readonly sessions: SimSessions
  readonly random: SeededRandom
  readonly history: History
  readonly report: (detail: string) => void
}

export function createProducer({ name, clientId, world, sessions, random, history, report }: ProducerOptions): Producer {
  const batches: Batch[] = []
  let count = 0
  let acked = 0
  let duplicates = 0

  /** Ids of clients that have an id of their own collide on purpose (fault 34). */
  const createItem = (session: SimSession, withId: boolean): Item => {
    const token = `${name}-${++count}`
    const id = withId ? { id: clientId === undefined ? `${name}.${count}` : `m${count}` } : {}
    const pad = world.weather.padBytes > 0 && random.chance(0.5) ? { pad: 'x'.repeat(world.weather.padBytes) } : {}
    const n = random.int(1000)
    if (session.kind === 'ui') return { token, raw: { type: 'counter.add', ...id, payload: { n, token, ...pad } } }
    return {
      token,
      raw: { event_type: random.pick(['message', 'pre_tool']), role: random.pick(['user', 'assistant']), content: `text ${n}`, token, ...id, ...pad },
    }
  }

  /** What stands in the stored event: for runs the whole item. */
  const bodyOf = (session: SimSession, { raw }: Item): bigint => hashText(canonicalJson(session.kind === 'ui' ? raw.payload : raw))

  const send = (batch: Batch): void => {
    batch.underWay++
    const { session, items, style } = batch
    for (const item of items) history.send(session.id, item.token, bodyOf(session, item))
    const raws = items.map(item => item.raw)
    const own = clientId === undefined ? {} : { clientId }
    world.call<AppendResult>(
      `${name} ${style} ${session.id} ${items.map(item => item.token).join(',')}`,
      async engine => {
        if (style !== 'input') return engine.appendEvents(principal, session.id, raws, { ...own, ...(style === 'key' ? { idempotencyKey: batch.key } : {}) })
        const { seq, firstSeq, duplicate, results } = await engine.input(principal, session.id, {
          type: 'session.append',
          id: batch.key,
          ...own,
          payload: { events: raws },
        })
        return { firstSeq: firstSeq ?? 0, lastSeq: seq ?? 0, duplicate, ...(results ? { results } : {}) }
      },
      outcome => {
        batch.underWay--
        if (outcome.type === 'answer') answered(batch, outcome.value)
        else if (outcome.type === 'error') refused(batch, outcome.error)
      },
    )
  }

  const answered = (batch: Batch, { firstSeq, lastSeq, duplicate, results }: AppendResult): void => {
    batch.isAcked = true
    if (!results && lastSeq - firstSeq + 1 !== batch.items.length) report(`${name}: ${batch.items.length} events were acked as ${firstSeq}-${lastSeq}`)
    for (const [index, { token, raw }] of batch.items.entries()) {
      const result = results?.[index]
      if (result && raw.id !== undefined && result.id !== raw.id) report(`${name}: the answer for ${String(raw.id)} is for ${result.id}`)
      const ack = result ? { seq: result.seq, duplicate: result.duplicate } : { seq: firstSeq + index, duplicate }
      history.ack(token, ack)
      acked++
      if (ack.duplicate) duplicates++
    }
  }

  const refused = (batch: Batch, error: unknown): void => {
    const code = error instanceof HoldfastError ? error.code : String(error)
    if (code.startsWith('session_')) batch.isOver = true
    if (isRefusal(error)) for (const item of batch.items) history.refuse(item.token)
    if (!sessions.isExpected(batch.session.id, code))
      report(`${name} ${batch.style} ${batch.session.id}: ${error instanceof Error ? `${code} ${error.message}` : code}`)
  }

  return {
    append(session) {
      const style = random.pick<Style>(['ids', 'key', 'input', 'bare'])
      const fresh = Array.from({ length: 1 + random.int(3) }, () => createItem(session, style === 'ids' || (style === 'input' && random.chance(0.5))))
      const known = random.chance(0.3) ? batches.filter(batch => batch.style === 'ids' && batch.session === session) : []
      const repeated = style === 'ids' && known.length > 0 ? random.pick(random.pick(known).items) : undefined
      const items = !repeated ? fresh : random.chance(0.5) ? [repeated, ...fresh] : [...fresh, repeated]
      const batch: Batch = { session, style, items, key: `k${name}-${batches.length}`, underWay: 0, isAcked: false, isOver: false }
      batches.push(batch)
      send(batch)
    },
    repeat() {
      const repeatable = batches.filter(batch => batch.style !== 'bare')
      if (repeatable.length > 0) send(random.pick(repeatable))
    },
    finish() {
      const open = batches.filter(batch => batch.style !== 'bare' && !batch.isAcked && !batch.isOver)
      for (const batch of open) if (batch.underWay === 0) send(batch)
      return open.length === 0
    },
    get acked() {
      return acked
    },
    get duplicates() {
      return duplicates
    },
  }
}
