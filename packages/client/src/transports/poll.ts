import type { Gap, Resume, Session } from '@holdfast/protocol'
import { DEFAULT_LIMITS, FEED_ID, HEARTBEAT_MS, PROTOCOL_VERSION } from '@holdfast/protocol/wire'
import { failureFromThrown, transportFailure } from '../failure.ts'
import { messageFromValue } from '../message.ts'
import type { AttachRequest, ChannelListener, ClientTransport } from '../transport.ts'
import { attemptOf, eventsPath, get, type HttpOptions, queryFrom, sessionRefusal } from './http.ts'

export interface PollOptions extends HttpOptions {
  /** How long a poll may be held, at most 30 000; short enough for proxies that cut idle connections. */
  readonly waitMs?: number
}

/** One page of the contract's poll. */
interface Page {
  readonly events: readonly unknown[]
  readonly epoch: string
  readonly head_seq: number
  readonly floor_seq: number
  readonly next_after: number
  readonly next_cursor: string
  readonly has_more: boolean
  readonly resume: Resume
  readonly gap?: Gap
  readonly snapshot?: { readonly seq: number; readonly state: unknown }
}

/** Proxies cut connections that are idle for 15 s (fault 20). */
const WAIT_MS = 10_000

/** A held poll that is this late has been lost. */
const GRACE_MS = 10_000

/** Browsers keep six connections per server: so many may be held, the rest is asked in turn. */
const HELD = 3

/** Long-poll: one request after the other per reader. */
export function pollTransport(options: PollOptions = {}): ClientTransport {
  return {
    name: 'poll',
    heartbeats: false,
    open: (url, token, listener) => {
      const loops = new Map<string, AbortController>()
      let over = false
      const close = (): void => {
        over = true
        for (const loop of loops.values()) loop.abort()
        loops.clear()
      }
      const detach = (sessionId: string): void => {
        loops.get(sessionId)?.abort()
        loops.delete(sessionId)
      }
      const attempt = attemptOf(listener.attempt)
      const gate = createGate(HELD)
      const waitMs = (): number => Math.ceil((options.waitMs ?? WAIT_MS) / Math.max(1, Math.ceil(loops.size / HELD)))
      queueMicrotask(() => {
        if (!over) listener.opened()
      })
      return {
        attach: request => {
          detach(request.sessionId)
          const loop = new AbortController()
          loops.set(request.sessionId, loop)
          const fetchPage = async (cursor: string | undefined, mode: string, first: boolean): Promise<Page> => {
            const wait = first ? 0 : waitMs()
            const query = queryFrom({ after: cursor, mode, wait, on_missing: request.onMissing, client_id: listener.clientId, attempt })
            const leave = await gate(loop.signal)
            try {
              const signal = AbortSignal.any([loop.signal, AbortSignal.timeout(wait + GRACE_MS)])
              const response = await get(options, `${url}${eventsPath(request.sessionId)}${query}`, token, 'application/json', signal)
              return pageFrom(await response.json())
            } finally {
              leave()
            }
          }
          const fetchSession = async (): Promise<Session | undefined> => {
            if (request.sessionId === FEED_ID) return undefined
            const path = `${url}/sessions/${encodeURIComponent(request.sessionId)}${queryFrom({ on_missing: request.onMissing, attempt })}`
            const response = await get(options, path, token, 'application/json', AbortSignal.any([loop.signal, AbortSignal.timeout(GRACE_MS)]))
            return ((await response.json()) as { session: Session }).session
          }
          pollLoop(request, listener, loop.signal, fetchSession, fetchPage).catch(thrown => {
            if (over || loop.signal.aborted) return
            const failure = failureFromThrown(thrown)
            const refusal = sessionRefusal(failure)
            loops.delete(request.sessionId)
            if (refusal) return void listener.message(refusal, request.sessionId)
            close()
            listener.closed(failure)
          })
        },
        detach,
        close,
      }
    },
  }
}

async function pollLoop(
  request: AttachRequest,
  listener: ChannelListener,
  signal: AbortSignal,
  fetchSession: () => Promise<Session | undefined>,
  fetchPage: (cursor: string | undefined, mode: string, first: boolean) => Promise<Page>,
): Promise<void> {
  let cursor = request.cursor
  let mode: string = request.mode
  let caughtUp = false
  const tell = async (type: string, payload: unknown): Promise<void> => {
    await listener.message(messageFromValue({ type, header: { session_id: request.sessionId }, payload }), request.sessionId)
  }
  const session = await fetchSession()
  for (let first = true; !signal.aborted; first = false) {
    const page = await fetchPage(cursor, mode, first)
    if (signal.aborted) return
    listener.alive()
    const again = !first && (page.resume === 'reset' || page.resume === 'snapshot')
    if (first || again) {
      caughtUp = false
      await tell('protocol.hello', helloFromPage(page, request, session))
    }
    if (page.gap) await tell('protocol.gap', page.gap)
    if (page.snapshot) await tell('protocol.snapshot', { seq: page.snapshot.seq, part: 1, parts: 1, data: JSON.stringify(page.snapshot.state) })
    for (const event of page.events) {
      if (signal.aborted) return
      const taken = listener.message(messageFromValue(event), request.sessionId)
      if (taken) await taken
    }
    cursor = page.next_cursor
    if (mode === 'snapshot') mode = 'auto'
    if (mode === 'live') mode = 'replay'
    if (page.has_more || caughtUp) continue
    caughtUp = true
    await tell('protocol.caught_up', { seq: page.next_after })
  }
}

function pageFrom(value: unknown): Page {
  const page = value as Page
  if (!Array.isArray(page?.events) || typeof page.next_cursor !== 'string' || typeof page.epoch !== 'string')
    throw transportFailure('bad_data', 'The answer is not a page of events.')
  return page
}

/** The hello that a poll doesn't send, from what it does say. */
const helloFromPage = (page: Page, request: AttachRequest, session: Session | undefined): unknown => ({
  session: session ?? { session_id: request.sessionId, kind: 'feed' },
  epoch: page.epoch,
  head_seq: page.head_seq,
  floor_seq: page.floor_seq,
  resume: page.resume,
  reconnected: request.cursor !== undefined,
  created_at: session?.created_at ?? null,
  age_seconds: session ? Math.max(0, (Date.parse(session.last_activity_at) - Date.parse(session.created_at)) / 1000) : 0,
  role: null,
  protocol: { version: PROTOCOL_VERSION, min: PROTOCOL_VERSION, max: PROTOCOL_VERSION },
  heartbeat_ms: HEARTBEAT_MS,
  limits: DEFAULT_LIMITS,
  durability: 'full',
})

/** Lets `places` in at a time, first come first served; the answer leaves again. */
function createGate(places: number): (signal: AbortSignal) => Promise<() => void> {
  let free = places
  const queue: (() => void)[] = []
  const leave = (): void => {
    const next = queue.shift()
    if (next) next()
    else free++
  }
  return async signal => {
    if (free > 0) free--
    else await new Promise<void>(resolve => queue.push(resolve))
    if (signal.aborted) {
      leave()
      throw signal.reason
    }
    return once(leave)
  }
}

const once = (call: () => void): (() => void) => {
  let done = false
  return () => {
    if (!done) call()
    done = true
  }
}
