import http from 'node:http'
import https from 'node:https'

/** Where to ask, and as whom. */
export interface Target {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** The certificate to trust, PEM. */
  readonly ca?: string
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  /** The body as JSON; undefined where it is none. */
  readonly body: Record<string, unknown> | undefined
}

/** The error's code in an answer. */
export const codeOf = (answer: Answer): string | undefined => (answer.body?.['error'] as { code?: string } | undefined)?.code

/** The certificate to trust, and the name that it must have, whatever `Host` says. */
export const trustOf = ({ ca }: Target): { ca?: string; servername?: string } => (ca === undefined ? {} : { ca, servername: 'localhost' })

/** One request on a connection of its own, so that no answer depends on what a pool kept from a server that was killed. */
export function call(target: Target, method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = new URL(path, target.url)
    const content = body === undefined ? undefined : body instanceof Uint8Array ? body : JSON.stringify(body)
    const request = (url.protocol === 'https:' ? https : http).request(
      url,
      {
        method,
        agent: false,
        timeout: 20_000,
        headers: { ...(content === undefined ? {} : { 'content-type': 'application/json' }), ...target.headers, ...headers },
        ...trustOf(target),
      },
      response => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(parts).toString()
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: jsonFrom(text) })
        })
      },
    )
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer in 20 s`)))
    request.end(content)
  })
}

function jsonFrom(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}

/** The call, and an error unless it went well. */
export async function must(target: Target, method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer> {
  const answer = await call(target, method, path, body, headers)
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`)
  return answer
}

/** A run to report to. */
export const createRun = (target: Target, id: string): Promise<Answer> => must(target, 'POST', '/sessions', { session_id: id, session_name: id })

/** What a reporter would post; `id` makes a repeat harmless. */
export const item = (id: string, text: string): Record<string, unknown> => ({ event_type: 'message', role: 'assistant', id, content: text })

export const post = (target: Target, session: string, items: readonly Record<string, unknown>[]): Promise<Answer> =>
  call(target, 'POST', `/sessions/${session}/events`, items)

/** An event as a page shows it. */
export interface StoredEvent {
  readonly type: string
  readonly header: { readonly id: string; readonly seq: number; readonly session_id: string }
  readonly payload: Record<string, unknown>
}

export interface WholeLog {
  readonly epoch: string
  readonly floor: number
  readonly head: number
  readonly events: readonly StoredEvent[]
}

/** Everything that is kept of a log, page by page; throws where its seqs are not dense. */
export async function readLog(target: Target, session: string): Promise<WholeLog> {
  const events: StoredEvent[] = []
  for (let after = 0; ; ) {
    const { body } = await must(target, 'GET', `/sessions/${session}/events?after=${after}&limit=1000`)
    const page = body as unknown as { events: StoredEvent[]; epoch: string; head_seq: number; floor_seq: number; next_after: number; has_more: boolean }
    events.push(...page.events)
    after = page.next_after
    if (page.has_more) continue
    events.forEach((event, index) => {
      if (event.header.seq !== page.floor_seq + 1 + index) throw new Error(`${session}: seq ${event.header.seq} where ${page.floor_seq + 1 + index} was due`)
    })
    if (page.floor_seq + events.length !== page.head_seq)
      throw new Error(`${session}: ${events.length} events after ${page.floor_seq}, but the head is ${page.head_seq}`)
    return { epoch: page.epoch, floor: page.floor_seq, head: page.head_seq, events }
  }
}

/** Id and seq of each item of an answered post. */
export const resultsOf = (answer: Answer): readonly { readonly id: string; readonly seq: number; readonly duplicate: boolean }[] =>
  (answer.body?.['results'] ?? []) as { id: string; seq: number; duplicate: boolean }[]

/** What was promised to somebody, and whether a log keeps it. */
export interface Acked {
  note(answer: Answer): void
  readonly count: number
  /** The acked items that the log has not, or has elsewhere. */
  missingFrom(log: WholeLog): string[]
}

export function createAcked(): Acked {
  const seqs = new Map<string, number>()
  return {
    note(answer) {
      for (const result of resultsOf(answer)) seqs.set(result.id, result.seq)
    },
    get count() {
      return seqs.size
    },
    missingFrom(log) {
      const found = new Map(log.events.map(event => [String(event.payload['id']), event.header.seq]))
      return [...seqs].filter(([id, seq]) => seq > log.floor && found.get(id) !== seq).map(([id, seq]) => `${id} at ${seq}`)
    },
  }
}
