/** What main thread and worker say to each other; plain data that can be cloned. */
import type { Value } from './database.ts'

/** A place in the batch's buffer. */
export interface BodyPlace {
  readonly offset: number
  readonly bytes: number
}

export interface CreateItem {
  readonly id: string
  readonly kind: string
  readonly owner: string
  readonly status: string
  readonly life: string
  readonly parent: string | null
  readonly createdAt: number
  readonly activityAt: number
  readonly head: number
  readonly record: string
}

export interface AppendItem extends BodyPlace {
  readonly id: string
  readonly firstSeq: number
  readonly lastSeq: number
  readonly activityAt: number
}

export interface PatchItem {
  readonly id: string
  readonly record?: string
  readonly parent?: string | null
  readonly life?: string
  readonly activityAt?: number
}

export interface CommitItem {
  readonly op: 'commit'
  readonly fence: number
  readonly creates?: readonly CreateItem[]
  readonly appends?: readonly AppendItem[]
  readonly patches?: readonly PatchItem[]
  readonly drops?: readonly { readonly id: string; readonly status: string; readonly record: string; readonly keepLog: boolean }[]
  readonly trims?: readonly { readonly id: string; readonly floor: number }[]
  /** session id, sender, id, digest, first seq, last seq, at, answer */
  readonly ids?: readonly (readonly [string, string, string, string, number, number, number, string])[]
  /** The ids are known to be new: no need to look. */
  readonly isFresh?: boolean
  readonly docs?: readonly (readonly [collection: string, id: string, value: string | null])[]
}

/** One thing to be done in the next transaction; each has one result. */
export type Item =
  | CommitItem
  | { readonly op: 'snapshot'; readonly id: string; readonly seq: number; readonly state: string }
  | { readonly op: 'lease'; readonly name: string; readonly holder: string; readonly expiresAt: number }
  /** Before a blob's file gets its name: says that the file has no row yet. */
  | { readonly op: 'blob-begin'; readonly id: string; readonly sha256: string }
  | { readonly op: 'blob'; readonly id: string; readonly session: number; readonly sha256: string; readonly bytes: number }
  | { readonly op: 'quarantine'; readonly id: string; readonly reason: string }

export interface Failure {
  readonly code: 'full' | 'fatal' | 'stale' | 'fenced' | 'exists' | 'damaged' | 'closed'
  readonly message: string
  readonly sessionId?: string | undefined
}

/** A failure, a value, or undefined for done. */
export type Result = { readonly failure: Failure } | { readonly value: Value } | undefined

export type ToWorker =
  | { readonly type: 'batch'; readonly items: readonly Item[]; readonly buffer: ArrayBuffer }
  | { readonly type: 'tick'; readonly now: number }
  | { readonly type: 'fold'; readonly request: number; readonly now: number; readonly all: boolean }
  | { readonly type: 'expire'; readonly request: number; readonly before: number }
  | { readonly type: 'erase'; readonly request: number }
  /** Files what the journal holds. */
  | { readonly type: 'file'; readonly request: number }
  | { readonly type: 'close' }

export type FromWorker =
  | { readonly type: 'ready'; readonly epoch: string; readonly quarantined: readonly string[] }
  | { readonly type: 'refused'; readonly code: string; readonly message: string }
  /** For the oldest `count` items that were not settled before, by the group commit of this number; all up to `filed` is in the tables. */
  | {
      readonly type: 'settled'
      readonly commit: number
      readonly filed: number
      readonly count: number
      readonly results: readonly (readonly [index: number, result: Exclude<Result, undefined>])[]
    }
  | { readonly type: 'filed'; readonly filed: number }
  | { readonly type: 'reply'; readonly request: number; readonly value: number; readonly failure?: Failure | undefined }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  /** Segments whose files are gone. */
  | { readonly type: 'removed'; readonly segments: readonly number[] }
  | { readonly type: 'quarantined'; readonly id: string }

/** A fault to be played, for tests: at the `after`-th time that the writer passes this step. */
export interface PlayedFault {
  readonly at: string
  readonly after: number
  readonly action: 'kill' | 'ioerr'
}

export interface WorkerSettings {
  readonly dataDir: string
  readonly durability: 'full' | 'relaxed'
  readonly coldAfterMs: number
  readonly segmentBytes: number
  readonly maxPageCount: number | null
  /** The epoch that a new database, or one that was put back, gets. */
  readonly newEpoch: string
  readonly fault: PlayedFault | null
}
