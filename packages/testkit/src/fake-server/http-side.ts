import type { IncomingMessage, ServerResponse } from 'node:http'
import { ERRORS, type ErrorCode } from '@holdfast/protocol/wire'
import { createCutter, type FakeFaults, type SeenAttach } from './faults.ts'
import { type FakeLog, type FakeSession, headOf, planOf, sessionOf, stateOf } from './log.ts'
import { createFakeReader, type FakeReader } from './reader.ts'

export interface HttpSide {
  handle(request: IncomingMessage, response: ServerResponse): void
  /** A comment on every stream. */
  comment(): void
  dropStreams(): void
  readonly open: number
}

interface Ports {
  readonly log: FakeLog
  readonly faults: FakeFaults
  readonly token: () => string | undefined
  readonly heartbeatMs: number
  readonly seen: SeenAttach[]
}

const EVENTS = /^\/sessions\/([^/]+)\/events$/
const INPUTS = /^\/sessions\/([^/]+)\/inputs$/
const SESSION = /^\/sessions\/([^/]+)$/
const PAGE_EVENTS = 100

interface Target {
  readonly id: string
  readonly cursor: string | undefined
}

const targetsOf = (list: string): Target[] =>
  list.split(',').map(entry => {
    const [id = '', cursor] = entry.split('@')
    return { id, cursor }
  })

function cursorOf(request: IncomingMessage, url: URL): string | undefined {
  const last = request.headers['last-event-id']
  return (typeof last === 'string' && last !== '' ? last : undefined) ?? url.searchParams.get('cursor') ?? url.searchParams.get('after') ?? undefined
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

/** The HTTP side of the contract: streams, polls, inputs and producers' events. */
export function createHttpSide(ports: Ports): HttpSide {
  const { log, faults, seen } = ports
  const streams = new Set<{ comment(): void; drop(): void }>()
  const cached = new Map<string, number>()

  const answer = (response: ServerResponse, status: number, body: unknown): void => {
    const { bytes, cut } = createCutter(faults.cutAfterBytes()).take(Buffer.from(JSON.stringify(body)))
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    if (!cut) return void response.end(bytes)
    response.write(bytes, () => response.destroy())
  }
  const refuse = (response: ServerResponse, code: ErrorCode, details: Record<string, unknown> = {}): void => {
    const { status, retryable } = ERRORS[code]
    answer(response, status ?? 400, { error: { code, message: code, retryable, details } })
  }

  /** One session by its own address, or several by `attach`, whose records' ids then name their session. */
  const stream = (targets: readonly Target[], several: boolean, url: URL, response: ServerResponse): void => {
    const mode = url.searchParams.get('mode') ?? 'replay'
    for (const { id, cursor } of targets) seen.push({ transport: 'sse', sessionId: id, cursor, mode, ...(several ? { shared: targets.length } : {}) })
    if (faults.refuseStreams) {
      response.writeHead(200, { 'content-type': 'text/html' })
      return void response.end('<html>')
    }
    const plans = targets.map(({ id, cursor }) => {
      const session = log.sessions.get(id)
      return { id, cursor, session, plan: session && planOf(session, cursor, mode) }
    })
    if (plans.some(({ session, plan }) => session && !plan)) return refuse(response, 'invalid_cursor')
    const cutter = createCutter(faults.cutAfterBytes())
    let dead = false
    const write = (text: string): void => {
      if (dead || faults.stall || faults.bufferStreams) return
      const { bytes, cut } = cutter.take(Buffer.from(text))
      response.write(bytes)
      if (cut) kill()
    }
    // What was written before still arrives; the stream then breaks off.
    const kill = (): void => {
      dead = true
      response.socket?.end()
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    const readers = new Map<string, FakeReader>()
    for (const { id, cursor, session, plan } of plans) {
      if (!session || !plan) {
        const payload = { code: 'not_found', message: 'not_found', retryable: false, details: {} }
        write(`event: control\ndata: ${JSON.stringify({ type: 'protocol.error', header: { session_id: id }, payload })}\n\n`)
        continue
      }
      const idOf = (seq: number): string => `${several ? `${id}@` : ''}${session.epoch}.${seq}`
      const sink = {
        control: (text: string, seq?: number) => write(`event: control\n${seq === undefined ? '' : `id: ${idOf(seq)}\n`}data: ${text}\n\n`),
        event: (text: string, seq: number) => write(`id: ${idOf(seq)}\ndata: ${text}\n\n`),
        flush: () => {},
        kill,
      }
      readers.set(id, createFakeReader(session, plan, faults, sink, { reconnected: cursor !== undefined, heartbeatMs: ports.heartbeatMs }))
    }
    const stop = log.listen(id => {
      if (!faults.deaf && !dead) readers.get(id)?.pump()
    })
    const own = { comment: () => write(': alive\n\n'), drop: kill }
    streams.add(own)
    response.on('close', () => {
      dead = true
      streams.delete(own)
      stop()
    })
    response.on('error', () => {})
    for (const reader of readers.values()) reader.pump()
    if (readers.size === 0) response.end()
  }

  const poll = async (session: FakeSession, url: URL, response: ServerResponse): Promise<void> => {
    const cursor = url.searchParams.get('after') ?? url.searchParams.get('cursor') ?? undefined
    const mode = url.searchParams.get('mode') ?? 'replay'
    const wait = Number(url.searchParams.get('wait') ?? 0)
    seen.push({ transport: 'poll', sessionId: session.id, cursor, mode })
    const first = planOf(session, cursor, mode)
    if (!first) return refuse(response, 'invalid_cursor')
    if (first.resume === 'ok' && first.after >= headOf(session) && wait > 0) await appended(session, wait, response)
    const plan = planOf(session, cursor, mode) ?? first
    const texts = session.texts.slice(plan.after, plan.after + PAGE_EVENTS)
    const kept = texts.filter((_text, index) => !faults.skip(plan.after + index + 1))
    const next = plan.after + texts.length
    answer(response, 200, {
      events: kept.flatMap((text, index) => (faults.duplicate(index) ? [JSON.parse(text), JSON.parse(text)] : [JSON.parse(text)])),
      epoch: session.epoch,
      head_seq: headOf(session),
      floor_seq: session.floor,
      next_after: next,
      next_cursor: `${session.epoch}.${next}`,
      has_more: next < headOf(session),
      resume: plan.resume,
      ...(plan.gap ? { gap: plan.gap } : {}),
      ...(plan.snapshotSeq === undefined ? {} : { snapshot: { seq: plan.snapshotSeq, state: stateOf(session, plan.snapshotSeq) } }),
    })
  }

  const appended = (session: FakeSession, wait: number, response: ServerResponse): Promise<void> =>
    new Promise(resolve => {
      const done = (): void => {
        clearTimeout(timer)
        stop()
        resolve()
      }
      const timer = setTimeout(done, wait)
      const stop = log.listen(id => {
        if (id === session.id && !faults.deaf) done()
      })
      response.on('close', done)
    })

  const post = (session: FakeSession, body: string, response: ServerResponse): void => {
    const parsed = JSON.parse(body) as Record<string, unknown> | Record<string, unknown>[]
    const items = Array.isArray(parsed) ? parsed : [parsed]
    const results = items.map(item => ({
      id: item['id'] as string,
      ...(log.input(session.id, 'producer', item['id'] as string, 'run.message', item) as object),
    })) as {
      id: string
      seq: number
      duplicate: boolean
    }[]
    if (faults.loseAck()) return void response.destroy()
    const seqs = results.map(result => result.seq)
    answer(response, 201, {
      ok: true,
      first_seq: Math.min(...seqs),
      last_seq: Math.max(...seqs),
      duplicate: results.every(result => result.duplicate),
      results,
    })
  }

  const input = (session: FakeSession, body: string, response: ServerResponse): void => {
    const { type, id, client_id: sender, payload } = JSON.parse(body) as { type: string; id: string; client_id: string; payload: unknown }
    const result = log.input(session.id, sender ?? 'local', id, type, payload)
    if (result === 'conflict') return refuse(response, 'conflict')
    if (faults.loseAck()) return void response.destroy()
    answer(response, 202, { ok: true, id, ...result })
  }

  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://fake')
    const method = request.method ?? 'GET'
    const body = method === 'GET' ? '' : await textOf(request)
    const status = cached.get(url.href) ?? faults.status(method, url.pathname)
    if (status !== undefined) {
      if (faults.cacheErrors) cached.set(url.href, status)
      response.writeHead(status, { 'content-type': 'text/html' })
      return void response.end('<html>')
    }
    const token = ports.token()
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return refuse(response, 'unauthorized')
    const refusal = faults.refuse(method, url.pathname, body)
    if (refusal) return refuse(response, refusal.code as ErrorCode, refusal.details)
    if (method === 'POST' && url.pathname === '/sessions') {
      const asked = JSON.parse(body) as { session_id?: string; kind?: string }
      return answer(response, 201, { ok: true, session: sessionOf(log.create(asked.session_id ?? crypto.randomUUID(), asked.kind)) })
    }
    const wantsStream = request.headers.accept?.includes('text/event-stream')
    if (wantsStream && url.pathname === '/events') return stream(targetsOf(url.searchParams.get('attach') ?? ''), true, url, response)
    const path = url.pathname === '/feed/events' ? '/sessions/_feed/events' : url.pathname
    const found = log.sessions.get(decodeURIComponent((EVENTS.exec(path) ?? INPUTS.exec(path) ?? SESSION.exec(path))?.[1] ?? ''))
    if (!found) return refuse(response, 'not_found')
    if (SESSION.test(path)) return answer(response, 200, { session: sessionOf(found) })
    if (INPUTS.test(path)) return input(found, body, response)
    if (method === 'POST') return post(found, body, response)
    return wantsStream ? stream([{ id: found.id, cursor: cursorOf(request, url) }], false, url, response) : await poll(found, url, response)
  }

  return {
    handle: (request, response) => {
      route(request, response).catch(() => response.destroy())
    },
    comment: () => {
      for (const open of [...streams]) open.comment()
    },
    dropStreams: () => {
      for (const open of [...streams]) open.drop()
    },
    get open() {
      return streams.size
    },
  }
}
