import type { Event, InputType, Session } from '@holdfast/protocol'
import { failureFromResponse, failureFromThrown } from './failure.ts'
import type { FetchLike, TokenSource } from './ports.ts'
import { authHeader, eventsPath, queryFrom } from './transports/http.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
}

export interface RestOptions {
  readonly url: string
  readonly token: TokenSource | undefined
  readonly fetch: FetchLike | undefined
}

interface RequestOptions extends CallOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** One call; gives the body of a 2xx as JSON, throws HoldfastError for the contract's refusals, TransportError for all else. */
export type Request = <T>(method: string, path: string, options?: RequestOptions) => Promise<T>

export function createRequest(options: RestOptions): Request {
  return async (method, path, { body, headers, signal } = {}) => {
    for (let again = typeof options.token === 'function'; ; again = false) {
      const token = typeof options.token === 'function' ? await options.token() : options.token
      const request = options.fetch ?? globalThis.fetch
      const response = await request(options.url + path, {
        method,
        cache: 'no-store',
        headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...authHeader(token), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      }).catch(error => {
        signal?.throwIfAborted()
        throw failureFromThrown(error).error
      })
      if (response.ok) return await response.json().catch(error => Promise.reject(failureFromThrown(error).error))
      if (response.status === 401 && again) continue
      throw (await failureFromResponse(response)).error
    }
  }
}

/** The body of `POST /sessions`; which options belong to which kind is in the protocol. */
export interface CreateBody {
  readonly session_id?: string
  readonly session_name?: string
  readonly kind?: 'chat' | 'terminal' | 'ui' | 'run'
  readonly project_dir?: string
  readonly working_dir?: string
  readonly project_id?: string
  readonly agent_name?: string
  readonly description?: string
  readonly parent_session_id?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly chat?: Readonly<Record<string, unknown>>
  readonly terminal?: { readonly command: string } & Readonly<Record<string, unknown>>
  readonly ui?: Readonly<Record<string, unknown>>
}

export interface PageBefore {
  readonly events: readonly Event[]
  readonly epoch: string
  readonly head_seq: number
  readonly floor_seq: number
  readonly has_more: boolean
  readonly prev_before?: number
}

export type AnyInputType = InputType | (string & {})

/** The calls of `/sessions`, as they are (contract section 4). */
export function createSessionCalls(request: Request, newId: () => string) {
  const path = (id: string, rest = ''): string => `/sessions/${encodeURIComponent(id)}${rest}`
  const session = async (answer: Promise<{ session: Session }>): Promise<Session> => (await answer).session
  return {
    /** Creates, or gives back what the same call created before; a key of its own makes a repeat after a lost answer safe. */
    create: (body: CreateBody = {}, options: CallOptions & { readonly idempotencyKey?: string } = {}): Promise<Session> => {
      const { idempotencyKey = newId(), ...call } = options
      return session(request('POST', '/sessions', { body, headers: { 'idempotency-key': idempotencyKey }, ...call }))
    },
    get: (id: string, options: CallOptions & { readonly onMissing?: 'new' } = {}): Promise<Session> => {
      const { onMissing, ...call } = options
      return session(request('GET', path(id, queryFrom({ on_missing: onMissing })), call))
    },
    list: (
      query: { readonly kind?: string; readonly status?: string; readonly limit?: number; readonly page?: string } = {},
      options?: CallOptions,
    ): Promise<{ readonly sessions: readonly Session[]; readonly next_page: string | null }> => request('GET', `/sessions${queryFrom(query)}`, options),
    patch: (
      id: string,
      body: { readonly session_name?: string; readonly description?: string; readonly metadata?: Readonly<Record<string, unknown>> },
      options?: CallOptions,
    ) => session(request('PATCH', path(id), { body, ...options })),
    delete: async (id: string, options: CallOptions & { readonly children?: 'keep' | 'delete' } = {}): Promise<void> => {
      const { children, ...call } = options
      await request('DELETE', path(id, queryFrom({ children })), call)
    },
    end: (id: string, options?: CallOptions) => session(request('POST', path(id, '/end'), options)),
    resume: (
      id: string,
      options: CallOptions & { readonly force?: boolean; readonly onMissing?: 'new' } = {},
    ): Promise<{
      readonly session: Session
      readonly resumed: true
      readonly context_restored: boolean
      readonly messages: number
      readonly head_seq: number
    }> => {
      const { force, onMissing, ...call } = options
      return request('POST', path(id, `/resume${queryFrom({ force, on_missing: onMissing })}`), call)
    },
    status: (id: string, options?: CallOptions): Promise<{ readonly status: 'running' | 'finished' | 'not_existent'; readonly state: string | null }> =>
      request('GET', path(id, '/status'), options),
    result: async (id: string, options: CallOptions & { readonly partial?: boolean } = {}): Promise<string> => {
      const { partial, ...call } = options
      return (await request<{ result: string }>('GET', path(id, `/result${queryFrom({ partial })}`), call)).result
    },
    snapshot: (
      id: string,
      options: CallOptions & { readonly at?: number } = {},
    ): Promise<{ readonly seq: number; readonly epoch: string; readonly state: unknown }> => {
      const { at, ...call } = options
      return request('GET', path(id, `/snapshot${queryFrom({ at })}`), call)
    },
    /** The page of events before a seq, ascending, for scrolling back. */
    before: (id: string, before: number, options: CallOptions & { readonly limit?: number } = {}): Promise<PageBefore> => {
      const { limit, ...call } = options
      return request('GET', `${eventsPath(id)}${queryFrom({ before, limit })}`, call)
    },
    /** Sends one input without attaching; give an `id` to make a repeat safe. */
    input: (
      id: string,
      input: { readonly type: AnyInputType; readonly payload: unknown; readonly id?: string; readonly client_id?: string },
      options?: CallOptions,
    ): Promise<{ readonly id: string; readonly seq: number | null; readonly duplicate: boolean }> =>
      request('POST', path(id, '/inputs'), { body: input, ...options }),
  }
}

export type SessionCalls = ReturnType<typeof createSessionCalls>
