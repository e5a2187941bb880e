import type { Chunk, Kind, SessionState } from '@holdfast/protocol'
import type { HostFold } from './folds.ts'

/** What a session's row says besides its log; JSON in the store, an object in memory. */
export interface SessionRecord {
  readonly session_name: string | null
  readonly project_dir: string | null
  readonly working_dir: string | null
  readonly project_id: string | null
  readonly agent_name: string | null
  readonly description: string | null
  readonly parent_session_id: string | null
  readonly previous_session_id: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  /** The kind's own creation options, kept for respawn and `on_missing=new`. */
  readonly options: unknown
  readonly state: string
  /** ms since 1970, null while it has not happened. */
  readonly ended_at: number | null
  readonly last_resumed_at: number | null
  /** The newest event that `result` is read from; 0 for none. */
  readonly result_seq: number
  /** The result itself, once its event was trimmed. */
  readonly result_text: string | null
  /** Digest of the creation body, so that the same body again is the same session. */
  readonly create_digest: string
  /** The session that `on_missing=new` made in place of this one. */
  readonly next_session_id: string | null
  /** What the driver keeps of it, its own business; changed in the same commit as the events that go with it. */
  readonly own?: unknown
  /** The kind's own part of a session as calls show it, under the kind's name. */
  readonly shown?: Readonly<Record<string, unknown>>
}

/** `live` rows are sessions; the others are what is left of one, so that its id stays taken. */
export type RowStatus = 'live' | 'deleted' | 'expired'

/** One session as the store keeps it. Times in ms since 1970. */
export interface SessionRow {
  readonly id: string
  readonly kind: string
  readonly owner: string
  readonly status: RowStatus
  /** `running` or `finished`: what lists filter by. */
  readonly life: string
  readonly createdAt: number
  readonly activityAt: number
  /** The newest committed seq; 0 when empty. */
  readonly head: number
  /** The newest seq no longer kept; 0 when all is kept. */
  readonly floor: number
  /** Bytes of kept events, record headers included. */
  readonly bytes: number
  readonly record: SessionRecord
}

/** Events to append: one body of whole records, `firstSeq` being the committed head + 1, else the commit is `stale`. */
export interface Append extends Chunk {
  readonly sessionId: string
  readonly activityAt: number
}

/** A change of a row that is not an append; fields left out stay. */
export interface RowPatch {
  readonly sessionId: string
  readonly record?: SessionRecord
  readonly life?: string
  readonly activityAt?: number
}

/** An id that makes something idempotent; `sessionId` is '' for ids of creations, which belong to a principal alone. */
export interface IdKey {
  readonly sessionId: string
  /** `c:<client id>` or `p:<principal>`, with `k` in front for an Idempotency-Key. */
  readonly sender: string
  readonly id: string
}

/** A stored id with the answer that a repeat gets. */
export interface IdRow extends IdKey {
  /** Digest of the body that it stands for. */
  readonly digest: string
  readonly firstSeq: number
  readonly lastSeq: number
  /** ms since 1970. */
  readonly at: number
  /** Whatever else the answer needs (a created session's id, the seqs of a batch), JSON or ''. */
  readonly answer: string
}

/** A small named record that is not a session: tokens, settings. */
export interface Doc {
  readonly collection: string
  readonly id: string
  /** null deletes. */
  readonly value: string | null
}

/** All of it on disk when `commit` resolves, nothing of it otherwise. */
export interface Commit {
  readonly creates?: readonly SessionRow[]
  readonly appends?: readonly Append[]
  readonly patches?: readonly RowPatch[]
  /** Drops the log, ids, snapshots and blobs; the row stays with this status, its record reduced to this one. */
  readonly drops?: readonly { readonly sessionId: string; readonly status: 'deleted' | 'expired'; readonly record: SessionRecord; readonly keepLog: boolean }[]
  /** Events up to and including `floor` go; `bytes` of the row is recounted by the store. */
  readonly trims?: readonly { readonly sessionId: string; readonly floor: number }[]
  readonly ids?: readonly IdRow[]
  readonly docs?: readonly Doc[]
  /** From `acquireLease('store', …)`; a lower one than the newest is refused as `fenced`. */
  readonly fence: number
}

export type StoreErrorCode =
  /** No room; later commits may succeed. Nothing of this one was stored. */
  | 'full'
  /** A write or sync failed in a way after which the state of the file is unknown: the process must end and recover at start. */
  | 'fatal'
  /** `firstSeq` of an append is not head + 1, or its session is not live. */
  | 'stale'
  /** Another holder took the lease. */
  | 'fenced'
  /** The id of a create was used before, or an id row exists already. */
  | 'exists'
  /** A checksum does not fit: the log is quarantined. */
  | 'damaged'
  | 'closed'

/** The only error that a store's methods reject with. */
export class StoreError extends Error {
  readonly code: StoreErrorCode
  readonly sessionId: string | undefined

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions & { sessionId?: string }) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
    this.sessionId = options?.sessionId
  }
}

export interface ListQuery {
  /** Undefined lists every owner's. */
  readonly owner?: string
  readonly kind?: string
  readonly life?: string
  readonly parent?: string
  readonly limit: number
  /** Where the page before ended: rows strictly after it in (activityAt, id) descending. */
  readonly before?: { readonly activityAt: number; readonly id: string }
}

export interface BlobInfo {
  readonly bytes: number
  /** The content from the start; ends early only by throwing. */
  open(): AsyncIterable<Uint8Array>
}

export interface StoreStats {
  readonly sessions: number
  readonly logBytes: number
  readonly commits: number
  readonly quarantined: readonly string[]
}

/** Flat and dumb: all logic is the Engine's. Rows of kind `feed` are sessions like others, but lists and counts leave them out unless asked for that kind. */
export interface Store {
  /** Identity of the history that these logs have. */
  readonly epoch: string
  readonly durability: 'full' | 'relaxed'
  /** One atom: on disk when it resolves, nothing of it otherwise. Commits take effect in the order of the calls. */
  commit(commit: Commit): Promise<void>
  getSession(id: string): Promise<SessionRow | undefined>
  /** Live rows, newest activity first. */
  listSessions(query: ListQuery): Promise<SessionRow[]>
  countSessions(owner: string): Promise<number>
  /** In the order of the keys; undefined where unknown. */
  findIds(keys: readonly IdKey[]): Promise<(IdRow | undefined)[]>
  /** False only where no row of this key was ever stored or is on its way; a store that can't tell without looking leaves it out. */
  mayHaveId?(key: IdKey): boolean
  /** Forgets ids older than `before` (ms) whose events are trimmed or that belong to no session. */
  expireIds(before: number): Promise<number>
  /** Whole events after `after`, ascending, at most `maxBytes` of body (one event always fits); undefined at the head. */
  read(id: string, after: number, maxBytes: number): Promise<Chunk | undefined>
  /** A hint that the head moved, after the commit's promise has settled; may be lost, never early. */
  wake(id: string, listener: (head: number) => void): () => void
  /** The JSON of a kind's state, folded up to `seq`. */
  putSnapshot(id: string, seq: number, state: string): Promise<void>
  /** The newest at or before `atOrBefore`. */
  getSnapshot(id: string, atOrBefore: number): Promise<{ seq: number; state: string } | undefined>
  /** Stores content under its SHA-256 (64 lowercase hex digits); rejects RangeError over `maxBytes` and TypeError where the name does not fit; nothing is left of either. */
  putBlob(id: string, sha256: string, content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<'stored' | 'exists'>
  getBlob(id: string, sha256: string): Promise<BlobInfo | undefined>
  getDoc(collection: string, id: string): Promise<string | undefined>
  listDocs(collection: string): Promise<{ id: string; value: string }[]>
  /** A fence number, greater than all that were given for this name before. */
  acquireLease(name: string, holder: string, ttlMs: number): Promise<number>
  stats(): Promise<StoreStats>
  close(): Promise<void>
}

/** Time comes in as a parameter. `wallMs` may jump; `steadyMs` never does and starts anywhere. */
export interface Clock {
  wallMs(): number
  steadyMs(): number
  /** Calls back once after `ms` of steady time; the return value stops it. */
  after(ms: number, callback: () => void): () => void
}

export interface Random {
  /** A UUIDv7. */
  id(): string
  /** In [0, 1). */
  fraction(): number
}

/** Structured: `fields` never hold tokens or typed input. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** What makes a kind of session run on the server; of a run nothing does, its events come from outside. */
export interface Driver {
  readonly kind: Kind
  /** Left out where nothing runs on the server. */
  readonly host?: DriverHost
}

/** The part of a driver that starts things. */
export interface DriverHost {
  /** Starts what the session needs before the session exists: it is created with these events, or `abort` is called. Throws `invalid_request`, and nothing is left then. */
  start(given: DriverCreation): Promise<DriverStart>
  /** A session's handle: of one that was just started, else as `own` tells what there was. Goes on by itself what goes on. */
  open(session: DriverSession, start?: DriverStart): DriverHandle
  /** At the engine's start: which of these have something that goes on; what belongs to none of them is cleaned up. */
  takeBack(known: readonly { readonly id: string; readonly own: unknown }[]): Promise<readonly string[]>
  /** Makes the states of snapshots where the kind's own fold is null. */
  readonly fold?: HostFold
  /** Nothing is asked of it any more. */
  close(): Promise<void>
}

export interface DriverCreation {
  readonly id: string
  readonly options: unknown
  readonly workingDir: string | null
}

export interface DriverStart {
  readonly events: readonly DriverEvent[]
  readonly own: unknown
  readonly shown: Readonly<Record<string, unknown>>
  /** The session could not be stored: ends what was started. */
  abort(): Promise<void>
}

/** An event without what the log adds. */
export interface DriverEvent {
  readonly type: string
  readonly payload: unknown
  readonly clientId?: string
}

/** What a driver changes in one commit. */
export interface DriverChange {
  readonly events?: readonly DriverEvent[]
  /** From what the record says once all earlier commits are on disk. */
  readonly own?: (before: unknown) => unknown
  readonly shown?: (before: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>
  /** Told on the feed. */
  readonly state?: SessionState
  /** Of the input that this is the effect of. */
  readonly receipt?: Receipt
  /** Only notes that the session is in use. */
  readonly isUse?: boolean
}

/** Stands for an input's id, which is stored in the same commit as its effect. */
export interface Receipt {
  readonly kind: 'receipt'
}

/** One session, as its driver sees it. */
export interface DriverSession {
  readonly id: string
  readonly options: unknown
  readonly workingDir: string | null
  /** What is on disk. */
  readonly own: unknown
  readonly state: SessionState
  readonly isEnded: boolean
  readonly head: number
  /** ms since 1970. */
  readonly activityAt: number
  /** The engine's time, ms since 1970; it never jumps. */
  now(): number
  /** Resolves with the first event's seq (0 without events) when it is on disk. Rejects with HoldfastError, nothing of it stored. */
  commit(change: DriverChange): Promise<number>
  /** The newest that is stored. */
  snapshot(): Promise<{ readonly seq: number; readonly state: string } | undefined>
  keepSnapshot(seq: number, state: string): Promise<void>
  /** Whole events after `after`; undefined at the head. */
  read(after: number, maxBytes: number): Promise<Chunk | undefined>
}

/** Who asks something of a driver. */
export interface DriverCaller {
  /** The client id, or what stands for a connection or principal that gave none. */
  readonly seat: string
  readonly clientId?: string
}

export interface DriverInput extends DriverCaller {
  readonly type: string
  readonly id: string
  /** Whose ids these are: the client's, or the principal's. */
  readonly sender: string
  /** Parsed by the input's schema. */
  readonly payload: unknown
  readonly receipt?: Receipt
}

/** Somebody's place at a session while they are attached. */
export interface DriverSeat {
  readonly role: 'writer' | 'viewer'
  leave(): void
}

/** What runs for one session. */
export interface DriverHandle {
  input(input: DriverInput): Promise<{ readonly seq: number | null; readonly duplicate: boolean }>
  /** `mayWrite`: has the scope; `isReconnect`: was attached before. */
  attach(caller: DriverCaller & { readonly mayWrite: boolean; readonly isReconnect: boolean }): DriverSeat
  /** ms since 1970: the newest use that is no event. */
  readonly usedAt: number
  /** The session was ended by request. */
  end(): void
  /** The session is gone for good, with all that it had. */
  drop(): void
  /** The server stops: lets go, what runs goes on. */
  stop(): Promise<void>
}
