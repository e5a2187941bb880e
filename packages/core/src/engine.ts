import type { Chunk, Control, Cursor, HoldfastError, Limits, Mode, Session } from '@holdfast/protocol'
import type { Counters } from './context.ts'
import type { BlobInfo } from './ports.ts'

export const SCOPES = ['read', 'write', 'produce', 'exec', 'admin'] as const
/** What a principal may do (contract section 9); `admin` holds all of them, on every owner's sessions. */
export type Scope = (typeof SCOPES)[number]

/** Who asks. */
export interface Principal {
  /** A token's subject, or `local` on tokenless loopback. */
  readonly subject: string
  readonly scopes: ReadonlySet<Scope>
  /** Bound to one session: every other reads as not found. */
  readonly sessionId?: string
  /** Sees every owner's sessions without being an admin: a ticket that an admin took. */
  readonly seesAllOwners?: boolean
  /** Only sessions of these kinds exist for it; undefined means all. */
  readonly kinds?: ReadonlySet<string>
}

/** What an attachment hands over, in the contract's order. */
export type Delivery =
  /** A control message; `seq` is the place that a reader has with it (snapshot's last part, caught_up). */
  | { readonly type: 'control'; readonly message: Control; readonly seq?: number }
  | { readonly type: 'events'; readonly chunk: Chunk }
  /** The attachment is over: deleted, expired, damaged, or the server drains. */
  | { readonly type: 'end'; readonly error: HoldfastError }

export interface AttachOptions {
  /** Absent means none was given. */
  readonly cursor?: Cursor
  readonly mode?: Mode
  readonly clientId?: string
  /** Tells connections apart that give no client id. */
  readonly connectionId?: string
  /** Takes no role: an export, a look back. */
  readonly isSpectator?: boolean
  /** Events' JSON bytes that may be unacknowledged; needs `credit`. */
  readonly windowBytes?: number
  readonly onMissing?: 'error' | 'new'
  /** Admins: whose feed, for session `_feed`. */
  readonly owner?: string
}

/** One reader of one session: a loop that reads the log from its cursor and waits at the head. */
export interface Attachment {
  /** As clients know it: `_feed` for a feed. */
  readonly sessionId: string
  /** The newest committed seq of the log. */
  readonly head: number
  /** The last seq handed over. */
  readonly cursor: number
  /** True while it waits for credit rather than for the log. */
  readonly starved: boolean
  /** The next delivery, at most `maxBytes` of events; undefined when there is none now, a promise when the store must be asked. One pull at a time. */
  pull(maxBytes: number): Delivery | undefined | Promise<Delivery | undefined>
  /** Called (once per need, synchronously) when a pull that gave undefined may give something. */
  onWake(listener: () => void): void
  /** Cumulative; throws `invalid_request` beyond what was sent. */
  credit(seq: number): void
  close(): void
}

export interface AppendResult {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly duplicate: boolean
  /** Where at least one item had an id. */
  readonly results?: readonly { readonly id: string; readonly seq: number; readonly duplicate: boolean }[]
}

export interface InputResult {
  readonly id: string
  readonly seq: number | null
  readonly duplicate: boolean
  readonly firstSeq?: number
  readonly results?: AppendResult['results']
}

export interface InputMessage {
  readonly type: string
  readonly id?: string
  readonly clientId?: string
  readonly connectionId?: string
  readonly traceId?: string
  readonly payload: unknown
}

/** The whole product, with no network. Every method rejects with HoldfastError and nothing else. */
export interface Engine {
  readonly epoch: string
  readonly limits: Limits
  createSession(principal: Principal, body: unknown, options?: { readonly idempotencyKey?: string }): Promise<{ session: Session; created: boolean }>
  getSession(principal: Principal, id: string, options?: { readonly onMissing?: 'error' | 'new' }): Promise<Session>
  listSessions(
    principal: Principal,
    query: { kind?: string; status?: string; limit?: number; page?: string },
  ): Promise<{ sessions: Session[]; next_page: string | null }>
  patchSession(principal: Principal, id: string, patch: unknown): Promise<Session>
  deleteSession(principal: Principal, id: string, children: 'keep' | 'delete'): Promise<void>
  status(principal: Principal, id: string): Promise<{ status: string; state: string | null }>
  result(principal: Principal, id: string, partial: boolean): Promise<string>
  /** Items as a producer sent them; all or nothing. */
  appendEvents(
    principal: Principal,
    id: string,
    items: readonly unknown[],
    options?: { readonly idempotencyKey?: string; readonly clientId?: string; readonly traceId?: string },
  ): Promise<AppendResult>
  input(principal: Principal, id: string, input: InputMessage): Promise<InputResult>
  resume(
    principal: Principal,
    id: string,
    options?: { readonly onMissing?: 'error' | 'new' },
  ): Promise<{ session: Session; context_restored: boolean; messages: number; head_seq: number }>
  endSession(principal: Principal, id: string): Promise<Session>
  snapshot(principal: Principal, id: string, at?: number): Promise<{ seq: number; epoch: string; state: unknown }>
  attach(principal: Principal, id: string, options?: AttachOptions): Promise<Attachment>
  /** The ids of every live session that the principal may see, and a call for each that is created later. */
  watch(
    principal: Principal,
    kinds: ReadonlySet<string> | undefined,
    onSession: (id: string) => void,
  ): Promise<{ readonly ids: readonly string[]; stop(): void }>
  putBlob(principal: Principal, id: string, sha256: string, content: AsyncIterable<Uint8Array>): Promise<'stored' | 'exists'>
  getBlob(principal: Principal, id: string, sha256: string): Promise<BlobInfo>
  /** A small named record beside the sessions (a token); null deletes it. */
  putDoc(collection: string, id: string, value: string | null): Promise<void>
  /** Expiry, retention, old ids: once; the engine does it by itself every minute. */
  sweep(): Promise<void>
  /** Ends every attachment with `draining` and refuses what comes later; resolves once what was accepted is on disk. */
  drain(): Promise<void>
  /** What `/metrics` shows. */
  readonly counters: Readonly<Counters>
  close(): Promise<void>
}
