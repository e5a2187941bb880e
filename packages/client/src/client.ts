import type { Event } from '@holdfast/protocol'
import { HoldfastError, isId, parseCursor } from '@holdfast/protocol/wire'
import { clientIdOfStore, clientIdOfTab } from './client-id.ts'
import { systemClock } from './clock.ts'
import { type Connection, createConnection } from './connection.ts'
import { type ConnectionPolicy, DEFAULT_POLICY, type ConnectionState } from './connection-state.ts'
import { type AttachOptions, type Attachment, applyFromHandlers, deliveriesOf, eventsOf, type Handlers, type ReadOptions } from './handle.ts'
import { openAttachment } from './open-attachment.ts'
import { createOutbox, type Outbox, type OutboxLimits } from './outbox.ts'
import type { Clock, FetchLike, KeyValueStore, Random, Signals, TokenSource, WebSocketConstructor } from './ports.ts'
import { createProducer, type Producer, type ProducerOptions } from './producer.ts'
import { systemRandom } from './random.ts'
import type { Delivery } from './reader.ts'
import { type CreateBody, createRequest, createSessionCalls, type Request, type SessionCalls } from './rest.ts'
import { systemSignals } from './signals.ts'
import { createWebStore, nameKey, outboxKey, webStorage } from './stores.ts'
import type { ClientTransport } from './transport.ts'
import { authHeader, eventsPath } from './transports/http.ts'
import { pollTransport } from './transports/poll.ts'
import { sseTransport } from './transports/sse.ts'
import { hasWebSocket, wsTransport } from './transports/ws.ts'
import { createWatch, type Watch, type WatchOptions } from './watch.ts'

export interface ClientOptions {
  /** The server's base, `http://…` or `https://…`. */
  readonly url: string
  readonly token?: TokenSource
  /** Which device or tab this is; kept by the tab (browser) or the given store where it is not told. */
  readonly clientId?: string
  /** In order of preference; the default is WebSocket, SSE, long-poll. */
  readonly transports?: readonly ClientTransport[]
  /** Where cursors and unacknowledged inputs outlive a reload; the default is `localStorage` where there is one. `null` for none. */
  readonly store?: KeyValueStore | null
  readonly clock?: Clock
  readonly random?: Random
  readonly signals?: Signals
  readonly policy?: Partial<ConnectionPolicy>
  readonly fetch?: FetchLike
  /** Needed in Node below 22, which has no global one. */
  readonly WebSocket?: WebSocketConstructor
  /** Batched binary frames over WebSocket. */
  readonly binary?: boolean
  /** Told of every change of the client's connections. */
  readonly onStatus?: (state: ConnectionState) => void
}

export interface Client {
  readonly url: string
  clientId(): Promise<string>
  readonly sessions: SessionCalls & {
    /** The session that this store knows by a name of the application's; created where there is none, or none any more. */
    ensure(name: string, body: CreateBody): ReturnType<SessionCalls['create']>
  }
  /** Any call of the contract that has no method here. */
  readonly request: Request
  /** Follows a session; `_feed` is the owner's feed. */
  attach(sessionId: string, options: AttachOptions): Attachment
  /** The same to be pulled, all deliveries. */
  deliveries(sessionId: string, options?: ReadOptions): AsyncGenerator<Delivery, void, undefined>
  /** The events alone; gaps, resets and snapshots throw unless they have a handler. */
  events(sessionId: string, options?: ReadOptions & Omit<Handlers, 'onEvent'>): AsyncGenerator<Event, void, undefined>
  producer(sessionId: string, options?: ProducerOptions): Producer
  watch(options: WatchOptions): Watch
  /** Closes every handle, watch and connection; stored cursors and inputs stay. */
  close(): void
}

/** A client of one server: connections are opened when somebody attaches and closed when nobody is left. */
export function createClient(options: ClientOptions): Client {
  const url = options.url.replace(/\/+$/, '')
  if (!/^https?:\/\//.test(url)) throw new HoldfastError('invalid_request', 'url must begin with http:// or https://.', { field: 'url' })
  if (options.clientId !== undefined && !isId(options.clientId))
    throw new HoldfastError('invalid_request', 'clientId has not the form of an id.', { field: 'clientId' })
  const clock = options.clock ?? systemClock
  const random = options.random ?? systemRandom
  const signals = options.signals ?? systemSignals()
  const policy = { ...DEFAULT_POLICY, ...options.policy }
  const { token, fetch } = options
  const socket = { ...(options.WebSocket ? { WebSocket: options.WebSocket } : {}), ...(options.binary ? { binary: true } : {}) }
  const http = fetch ? { fetch } : {}
  const defaults = [...(hasWebSocket(socket) ? [wsTransport(socket)] : []), sseTransport(http), pollTransport(http)]
  const transports = options.transports ?? defaults
  const local = webStorage('localStorage')
  const store = options.store === null ? undefined : (options.store ?? (local ? createWebStore(local) : undefined))
  const request = createRequest({ url, token, fetch })
  const sessions = createSessionCalls(request, random.id)

  let identity: Promise<string> | undefined
  const clientId = (): Promise<string> => {
    identity ??= identify(options, store, random)
    return identity
  }

  const connections: Connection[] = []
  const closers = new Set<() => void>()
  const outboxes = new Map<string, { outbox: Outbox; users: number; listeners: Set<() => void> }>()

  const connect = (id: string, ways: readonly ClientTransport[]): Connection =>
    createConnection({ url, token, clientId: id, transports: ways, clock, random, signals, policy, ...(options.onStatus ? { onState: options.onStatus } : {}) })

  /** A connection carries one reader per session: a second one of the same session gets another connection. */
  const place = (id: string, sessionId: string): Connection => {
    const free = connections.find(connection => !connection.has(sessionId))
    if (free) return free
    const made = connect(id, transports)
    connections.push(made)
    return made
  }

  const shareOutbox = (id: string, sessionId: string, limits: () => OutboxLimits) => {
    let shared = outboxes.get(sessionId)
    if (!shared) {
      const listeners = new Set<() => void>()
      const onChange = (): void => {
        for (const listener of listeners) listener()
      }
      shared = { outbox: createOutbox({ clock, random, policy, store, key: outboxKey(id, sessionId), limits, onChange }), users: 0, listeners }
      outboxes.set(sessionId, shared)
    }
    const mine = shared
    mine.users++
    return {
      outbox: mine.outbox,
      listen: (listener: () => void) => {
        mine.listeners.add(listener)
        return () => mine.listeners.delete(listener)
      },
      release: () => {
        if (--mine.users > 0) return
        mine.outbox.close()
        if (outboxes.get(sessionId) === mine) outboxes.delete(sessionId)
      },
    }
  }

  const open = (sessionId: string, read: ReadOptions, apply: (delivery: Delivery) => void | Promise<void>): Attachment => {
    if (read.cursor !== undefined && !parseCursor(read.cursor))
      throw new HoldfastError('invalid_cursor', 'The cursor must be <epoch>.<seq> or <seq>.', { cursor: read.cursor })
    const handle = openAttachment({ clock, random, policy, store, clientId, place, shareOutbox, input: sessions.input }, sessionId, read, apply, () =>
      closers.delete(handle.close),
    )
    closers.add(handle.close)
    return handle
  }

  return {
    url,
    clientId,
    request,
    sessions: {
      ...sessions,
      ensure: async (name, body) => {
        const kept = await store?.get(nameKey(name))
        const found = kept ? await sessions.get(kept, { onMissing: 'new' }).catch(error => (isGone(error) ? undefined : Promise.reject(error))) : undefined
        const session = found ?? (await sessions.create(body))
        if (session.session_id !== kept) await store?.set(nameKey(name), session.session_id)
        return session
      },
    },
    attach: (sessionId, attach) => open(sessionId, attach, applyFromHandlers(attach)),
    deliveries: (sessionId, read = {}) => deliveriesOf(open, sessionId, read),
    events: (sessionId, read = {}) => eventsOf(open, sessionId, read),
    producer: (sessionId, producing) =>
      createProducer(
        {
          clock,
          random,
          policy,
          post: async (body, signal) => {
            const given = typeof token === 'function' ? await token() : token
            const headers = { 'content-type': 'application/json', accept: 'application/json', ...authHeader(given) }
            return (fetch ?? globalThis.fetch)(url + eventsPath(sessionId), { method: 'POST', body, headers, cache: 'no-store', signal })
          },
        },
        producing,
      ),
    watch: watching => {
      const sockets = transports.filter(transport => transport.name === 'ws')
      if (sockets.length === 0) throw new HoldfastError('invalid_request', 'A watch needs the WebSocket transport.')
      // A watch answers for no terminal's role: an id of its own is enough.
      const watch = createWatch(connect(random.id(), sockets), watching, { random, policy })
      closers.add(watch.close)
      return watch
    },
    close: () => {
      for (const close of [...closers]) close()
      closers.clear()
      for (const connection of connections.splice(0)) connection.close()
    },
  }
}

/** The given id, the tab's, the given store's, or one for this process. */
async function identify(options: ClientOptions, store: KeyValueStore | undefined, random: Random): Promise<string> {
  if (options.clientId !== undefined) return options.clientId
  const tab = webStorage('sessionStorage')
  if (tab && !options.store) return clientIdOfTab(tab, globalThis as unknown as Window, random)
  return options.store && store ? clientIdOfStore(store, random) : random.id()
}

const isGone = (error: unknown): boolean => error instanceof HoldfastError && error.status === 404
