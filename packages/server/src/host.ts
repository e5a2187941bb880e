import type { Clock, Engine, Logger, Principal, Random } from '@holdfast/core'
import type { ErrorCode, Limits } from '@holdfast/protocol'

/** Who asks, and with what. */
export interface Access {
  readonly principal: Principal
  /** Null for the local principal. */
  readonly tokenId: string | null
}

/** What the guard looks at; every transport and endpoint passes it (OPS-02). */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly authorization: string | undefined
  readonly ticket: string | undefined
  /** The session that a ticket must be bound to, where one is named. */
  readonly sessionId: string | undefined
  /** What a ticket would be used for. */
  readonly use: 'socket' | 'stream' | 'request'
  readonly remoteAddress: string | undefined
  /** Headers that a proxy adds. */
  readonly forwarded: {
    readonly for: string | undefined
    readonly proto: string | undefined
    readonly host: string | undefined
    readonly standard: string | undefined
  }
  readonly isTls: boolean
}

export interface Admission extends Access {
  /** A WebSocket that could send no header: its first message must be `protocol.auth`. */
  readonly needsAuthMessage: boolean
  /** Tokenless loopback: a first `protocol.auth` may raise it. */
  readonly mayRaise: boolean
}

export interface Times {
  readonly heartbeatMs: number
  readonly silenceMs: number
  readonly stallMs: number
  readonly authMs: number
}

/** What every connection shares. */
export interface Host {
  readonly engine: Engine
  readonly limits: Limits
  readonly times: Times
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Throws `origin_rejected`, then `unauthorized`. */
  admit(arrival: Arrival): Admission
  /** The token of `protocol.auth`; throws `unauthorized`. */
  accessFromToken(token: string, remoteAddress: string | undefined): Access
  /** Calls back when the token is revoked or expires. */
  onRevoked(tokenId: string, listener: () => void): () => void
  /** One input or post of this principal; throws `rate_limited`. */
  countRequest(principal: Principal): void
  /** One more connection; throws `rate_limited`; call the result when it closes. */
  countConnection(principal: Principal): () => void
  /** A refusal, for `/metrics`. */
  countRefusal(code: ErrorCode): void
  readonly connections: Set<Connection>
  isDraining: boolean
}

/** A socket or a stream, as drain and metrics see it. */
export interface Connection {
  readonly transport: 'ws' | 'sse' | 'poll' | 'compat'
  /** About once a second of steady time. */
  tick(nowMs: number): void
  /** Says goodbye and closes. */
  goAway(reconnectInMs: number): void
}
