import { check, createHistory, type FinalLog, hashText, type History } from '@holdfast/testkit/oracle'
import { itemOf } from './events.ts'
import { connectHttp, type HttpClient } from './http-client.ts'
import type { Journal } from './journal.ts'
import type { Server } from './processes.ts'
import { authorization } from './writers.ts'

/** Reads back every session that was written to and lets the oracle judge it with all acks: dense, each event once, at the seq of its ack, nothing else. Throws where that does not hold. */
export async function verifyLogs(server: Server, journals: readonly Journal[], bytes: number): Promise<void> {
  const client = await connectHttp(server.url, authorization(server))
  for (const journal of journals) {
    // A history for each session, so that memory is that of one.
    const history = createHistory()
    const acked = tell(history, journal, bytes)
    const final = await readBack(client, history, journal.session)
    history.final(final)
    const violations = check(history).map(({ rule, detail }) => `${rule}: ${detail}`)
    if (final.head !== acked.size) violations.unshift(`${acked.size} events were acked, the head is ${final.head}`)
    throwWhere(journal.session, violations)
  }
  client.close()
}

/** Only the acks, for a server that keeps nothing: each event once, seqs dense from 1. */
export function verifyAcks(journals: readonly Journal[], bytes: number): void {
  for (const journal of journals) {
    const history = createHistory()
    const acked = tell(history, journal, bytes)
    const violations = check(history).map(({ rule, detail }) => `${rule}: ${detail}`)
    if (acked.size !== history.inputs.size) violations.push(`${history.inputs.size} events were sent, ${acked.size} acked`)
    for (let seq = 1; seq <= acked.size; seq++) if (!acked.has(seq)) violations.push(`no ack names ${seq}`)
    throwWhere(journal.session, violations)
  }
}

function throwWhere(session: string, violations: readonly string[]): void {
  if (violations.length > 0) throw new Error(`${session}: ${violations.length} violations, such as ${violations.slice(0, 3).join('; ')}`)
}

const keyOf = (session: string, n: unknown): string => `${session} ${n}`

/** Puts a journal into the history; the seqs that were acked. */
function tell(history: History, { session, replay }: Journal, bytes: number): Set<number> {
  const acked = new Set<number>()
  let last = { n: 0, count: 0 }
  replay(
    (n, count) => {
      last = { n, count }
      for (let i = 0; i < count; i++) history.send(session, keyOf(session, n + i), hashText(itemOf(bytes, n + i)))
    },
    text => {
      const { n, first, end, duplicate } = answerFrom(text)
      // An answer over HTTP names no request: there is one at a time.
      const begin = n ?? last.n
      const count = n === undefined ? last.count : 1
      if (end - first + 1 !== count) throw new Error(`${session}: ${count} events were sent, the answer is ${text}`)
      for (let i = 0; i < count; i++) {
        history.ack(keyOf(session, begin + i), { seq: first + i, duplicate })
        acked.add(first + i)
      }
    },
  )
  return acked
}

/** Of `protocol.ack`, whose `reply_to` ends with the event's number, or of an answer to a post. */
function answerFrom(text: string): { n?: number; first: number; end: number; duplicate: boolean } {
  const answer = JSON.parse(text) as {
    header?: { reply_to: string }
    payload?: { seq: number; duplicate: boolean }
    first_seq?: number
    last_seq?: number
    duplicate?: boolean
  }
  const { header, payload } = answer
  if (header && payload) {
    const n = Number(header.reply_to.slice(header.reply_to.lastIndexOf('-') + 1))
    return { n, first: payload.seq, end: payload.seq, duplicate: payload.duplicate }
  }
  return { first: answer.first_seq ?? Number.NaN, end: answer.last_seq ?? Number.NaN, duplicate: answer.duplicate ?? false }
}

interface Page {
  readonly events: readonly { readonly header: { readonly seq: number; readonly id: string }; readonly payload: { readonly n?: unknown } }[]
  readonly epoch: string
  readonly head_seq: number
  readonly floor_seq: number
  readonly next_after: number
  readonly has_more: boolean
}

async function readBack(client: HttpClient, history: History, session: string): Promise<FinalLog> {
  const reader = history.reader('the log read back', session)
  const ids = new Set<string>()
  let after = 0
  reader.attach(after)
  for (;;) {
    const { status, body } = await client.request('GET', `/sessions/${session}/events?after=${after}&limit=1000`)
    if (status !== 200) throw new Error(`GET /sessions/${session}/events: ${status} ${body.toString()}`)
    const page = JSON.parse(body.toString()) as Page
    if (after === 0) reader.hello({ epoch: page.epoch, resume: 'new', head: page.head_seq, floor: page.floor_seq })
    for (const { header, payload } of page.events) {
      if (ids.has(header.id)) throw new Error(`${session}: the id ${header.id} is there twice`)
      ids.add(header.id)
      reader.apply(header.seq, hashText(header.id), { key: keyOf(session, payload.n), body: hashText(JSON.stringify(payload)) })
    }
    after = page.next_after
    if (page.has_more) continue
    reader.caughtUp(after)
    reader.settled()
    return { session, epoch: page.epoch, floor: page.floor_seq, head: page.head_seq }
  }
}
