import type { Hello } from '@holdfast/protocol'
import { HEARTBEAT_MS } from '@holdfast/protocol/wire'
import { type ConnectionInput, type ConnectionPolicy, type ConnectionState, connectionAfter, initialConnection, upgradeInMs } from './connection-state.ts'
import { type Failure, failureFromBody, failureFromThrown, transportFailure } from './failure.ts'
import { encodeMessage, type Message } from './message.ts'
import type { Clock, Random, Signals, TokenSource } from './ports.ts'
import type { AttachRequest, Channel, ClientTransport } from './transport.ts'

/** Somebody who uses a connection; `ALL` as session id takes what nobody else does. */
export interface ConnectionUser {
  readonly sessionId: string
  /** Connected: attach now. */
  opened(channel: Channel): void
  /** A message of this session. */
  received(message: Message): void | Promise<void>
  /** The server's newest seq, from a heartbeat. */
  head(sessionId: string, seq: number): void
  /** `heard`: the server had said something on this connection. */
  lost(failure: Failure, heard: boolean): void
  /** The connection's state changed. */
  changed(state: ConnectionState): void
}

/** Takes the messages of every session that has no user of its own. */
export const ALL = '*'

export interface ConnectionOptions {
  readonly url: string
  readonly token: TokenSource | undefined
  readonly clientId: string
  readonly transports: readonly ClientTransport[]
  readonly clock: Clock
  readonly random: Random
  readonly signals: Signals
  readonly policy: ConnectionPolicy
  readonly onState?: (state: ConnectionState) => void
}

export interface Connection {
  readonly state: ConnectionState
  /** The transport in use or being tried. */
  readonly transport: ClientTransport
  /** The channel, once it is open. */
  readonly channel: Channel | undefined
  has(sessionId: string): boolean
  join(user: ConnectionUser): void
  leave(user: ConnectionUser): void
  /** Asks for a session over the channel that is open. */
  attach(request: AttachRequest): void
  /** Sends one message and waits for what answers its id; rejects with Failure when the connection ends or `timeoutMs` pass before. */
  request(type: string, header: Readonly<Record<string, unknown>> & { readonly id: string }, payload: unknown, timeoutMs: number): Promise<Message>
  /** Somebody got further: tries start from none again. */
  progress(): void
  /** What came is wrong: drops the channel and starts another. */
  fault(failure: Failure): void
  reconnect(): void
  close(): void
}

interface Waiter {
  settle(message: Message): void
  reject(failure: Failure): void
}

/** One connection with its timers; every decision is `connectionAfter`'s (CLI-01). */
export function createConnection(options: ConnectionOptions): Connection {
  const { clock, policy, transports, signals } = options
  const rules = { policy, transports: transports.length }
  const users = new Map<string, ConnectionUser>()
  /** Attach messages by id: their answers may name another session (`on_missing`). */
  const requests = new Map<string, string>()
  const waiters = new Map<string, Waiter>()
  let state: ConnectionState = initialConnection
  let channel: Channel | undefined
  let heartbeatMs = HEARTBEAT_MS
  let aliveAt = 0
  let refreshed = false
  let goawayMs: number | undefined
  /** Messages that somebody is still at work on, so that nothing more is read: that is not the server's silence. */
  let busy = 0
  let asked = false
  const timers = new Set<() => void>()
  let unwatch: (() => void) | undefined

  const transport = (): ClientTransport => transports[state.transport] as ClientTransport
  const current = (attempt: number): boolean => attempt === state.attempt && (state.phase === 'connecting' || state.phase === 'open')
  const later = (ms: number, callback: () => void): void => {
    const stop = clock.after(ms, () => {
      timers.delete(stop)
      callback()
    })
    timers.add(stop)
  }
  const stopTimers = (): void => {
    for (const stop of timers) stop()
    timers.clear()
  }

  const apply = (input: ConnectionInput): void => {
    const before = state
    const after = connectionAfter(before, input, rules)
    if (after === before) return
    state = after
    const connected = after.phase === 'open' || after.phase === 'connecting'
    const ended = !connected || after.attempt !== before.attempt
    if (ended) drop(input.type === 'lost' ? input.failure : transportFailure('cut', 'The connection was given up.'), before)
    // Whoever was told may have moved on; then that move has done the rest.
    if (state !== after) return
    if (after.phase === 'waiting') later(after.delayMs, () => apply({ type: 'due' }))
    if (after.phase === 'idle' || after.phase === 'closed') {
      unwatch?.()
      unwatch = undefined
    } else unwatch ??= signals.watch(hope)
    options.onState?.(after)
    for (const user of [...users.values()]) user.changed(after)
    if (state === after && after.phase === 'connecting' && ended) void connect(after.attempt)
  }

  /** Ends the channel and everything that waits for it. */
  const drop = (failure: Failure, before: ConnectionState): void => {
    const heard = before.phase === 'open' && before.heard
    stopTimers()
    const had = channel
    channel = undefined
    goawayMs = undefined
    asked = false
    busy = 0
    requests.clear()
    had?.close()
    const waiting = [...waiters.values()]
    waiters.clear()
    for (const waiter of waiting) waiter.reject(failure)
    if (had) for (const user of [...users.values()]) user.lost(failure, heard)
  }

  const lose = (attempt: number, failure: Failure): void => {
    if (!current(attempt)) return
    const planned = goawayMs === undefined ? failure : { ...failure, retryable: true, planned: true, retryInMs: goawayMs }
    const { error } = planned
    // A token that can be fetched anew gets one chance before a refusal is final.
    const fresh = !refreshed && typeof options.token === 'function' && 'code' in error && error.code === 'unauthorized'
    if (fresh) refreshed = true
    apply({ type: 'lost', failure: fresh ? { ...planned, retryable: true } : planned, roll: options.random.next(), online: signals.online() })
  }

  const connect = async (attempt: number): Promise<void> => {
    later(policy.connectMs, () => {
      if (state.phase === 'connecting') lose(attempt, transportFailure('unreachable', 'The server did not answer in time.'))
    })
    let token: string | undefined
    try {
      token = typeof options.token === 'function' ? await options.token() : options.token
    } catch (error) {
      return lose(attempt, transportFailure('unreachable', 'No token could be had.', {}, error))
    }
    if (!current(attempt)) return
    let opened: Channel | undefined
    let ready = false
    const start = (): void => {
      if (!opened || !ready || !current(attempt) || channel) return
      channel = opened
      aliveAt = clock.nowMs()
      apply({ type: 'opened' })
      for (const user of [...users.values()]) if (channel === opened) user.opened(opened)
    }
    try {
      opened = transport().open(options.url, token, {
        clientId: options.clientId,
        attempt,
        opened: () => {
          ready = true
          start()
        },
        alive: () => {
          aliveAt = clock.nowMs()
        },
        message: (message, sessionId) => (current(attempt) ? track(attempt, receive(attempt, message, sessionId)) : undefined),
        closed: failure => lose(attempt, failure),
      })
    } catch (error) {
      return lose(attempt, failureFromThrown(error))
    }
    if (current(attempt)) start()
    else opened.close()
  }

  const track = (attempt: number, work: void | Promise<void>): void | Promise<void> => {
    if (!work) return undefined
    busy++
    return work.finally(() => {
      if (!current(attempt)) return
      busy--
      aliveAt = clock.nowMs()
    })
  }

  /** Something was asked of the server: the first answer is due. */
  const ask = (): void => {
    if (asked || state.phase !== 'open' || state.heard) return
    asked = true
    const { attempt } = state
    later(policy.connectMs, () => lose(attempt, transportFailure('silent', 'The server did not answer in time.')))
  }

  const receive = (attempt: number, message: Message, sessionId: string | undefined): void | Promise<void> => {
    if (state.phase === 'open' && !state.heard) heard(attempt)
    const waiter = message.header.reply_to === undefined ? undefined : waiters.get(message.header.reply_to)
    if (waiter) {
      waiters.delete(message.header.reply_to as string)
      return waiter.settle(message)
    }
    if (message.type === 'protocol.heartbeat') {
      const heads = (message.payload as { heads?: Record<string, number> }).heads ?? {}
      for (const [id, seq] of Object.entries(heads)) (users.get(id) ?? users.get(ALL))?.head(id, seq)
      return undefined
    }
    if (message.type === 'protocol.goaway') return goaway(attempt, message)
    if (message.type === 'protocol.hello') heartbeatMs = (message.payload as Hello).heartbeat_ms || heartbeatMs
    const asking = message.header.reply_to === undefined ? undefined : requests.get(message.header.reply_to)
    const key = asking ?? sessionId ?? message.header.session_id
    const user = (key === undefined ? undefined : users.get(key)) ?? users.get(ALL)
    return user?.received(message)
  }

  /** The server's first message: from here on it must show life. */
  const heard = (attempt: number): void => {
    refreshed = false
    stopTimers()
    apply({ type: 'heard' })
    later(policy.stableMs, () => apply({ type: 'progress' }))
    watchSilence(attempt)
    if (state.transport > 0) later(upgradeInMs(state, policy), () => apply({ type: 'upgrade' }))
  }

  const watchSilence = (attempt: number): void => {
    if (!current(attempt) || !transport().heartbeats) return
    if (busy > 0) aliveAt = clock.nowMs()
    const left = aliveAt + heartbeatMs * policy.silentHeartbeats - clock.nowMs()
    if (left <= 0) lose(attempt, transportFailure('silent', 'The server fell silent.'))
    else later(left, () => watchSilence(attempt))
  }

  const goaway = (attempt: number, message: Message): void => {
    const ms = (message.payload as { reconnect_in_ms?: number }).reconnect_in_ms ?? 0
    goawayMs = ms
    // The server closes by itself; where that gets lost, the time that it named has passed by then.
    later(Math.max(ms, 1000), () => {
      goawayMs = 0
      lose(attempt, transportFailure('cut', 'The server is going away.'))
    })
  }

  /** `online`, or the page is visible again: a wait is over, and an open connection must prove itself. */
  const hope = (): void => {
    if (state.phase === 'waiting') return apply({ type: 'due' })
    if (state.phase !== 'open' || !transport().heartbeats) return
    const { attempt } = state
    const since = clock.nowMs()
    channel?.ping?.()
    const patience = channel?.ping ? policy.probeMs : heartbeatMs
    later(patience, () => {
      if (aliveAt <= since) lose(attempt, transportFailure('silent', 'The connection did not survive.'))
    })
  }

  return {
    get state() {
      return state
    },
    get transport() {
      return transport()
    },
    get channel() {
      return channel
    },
    has: sessionId => users.has(sessionId),
    join: user => {
      users.set(user.sessionId, user)
      user.changed(state)
      if (channel) user.opened(channel)
      else apply({ type: 'wanted' })
    },
    leave: user => {
      if (users.get(user.sessionId) !== user) return
      users.delete(user.sessionId)
      channel?.detach(user.sessionId)
      if (users.size === 0) apply({ type: 'unwanted' })
    },
    attach: request => {
      ask()
      requests.set(request.messageId, request.sessionId)
      channel?.attach(request)
    },
    request: (type, header, payload, timeoutMs) =>
      new Promise<Message>((resolve, reject) => {
        if (!channel?.send) return reject(transportFailure('cut', 'There is no connection.'))
        const stop = clock.after(timeoutMs, () => {
          waiters.delete(header.id)
          reject(transportFailure('silent', 'The server did not answer.'))
        })
        waiters.set(header.id, {
          settle: message => {
            stop()
            if (message.type === 'protocol.error') reject(failureFromBody(message.payload))
            else resolve(message)
          },
          reject: failure => {
            stop()
            reject(failure)
          },
        })
        ask()
        channel.send(encodeMessage(type, header, payload))
      }),
    progress: () => {
      if (state.phase === 'open' && state.tries > 0) apply({ type: 'progress' })
    },
    fault: failure => lose(state.attempt, failure),
    reconnect: () => apply({ type: 'reconnect' }),
    close: () => {
      apply({ type: 'close' })
      users.clear()
    },
  }
}
