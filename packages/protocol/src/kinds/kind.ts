import type { Event } from '../envelope.ts'
import type { KindName, SessionState } from '../session.ts'

/** What a producer's item says, once it is known to be well formed; the log adds the rest. */
export interface ParsedEvent {
  readonly type: string
  /** The sender's own id, where it gave one. */
  readonly id?: string
  readonly payload: unknown
}

/** The little that a session's record keeps of its log, changed in the same commit as the events it comes from. */
export interface Summary {
  readonly state: SessionState
  /** When the session ended, ms since 1970; null while it has not. */
  readonly endedAt: number | null
  /** The newest event that `result` is read from; 0 for none. */
  readonly resultSeq: number
}

/**
 * A kind of session: pure, shared by server, client and tests.
 * `parseEvent` throws HoldfastError `invalid_request`; `summarize` is called once per event, in seq order;
 * `reduce` folds the log into the state that snapshots hold, and is null for a kind without snapshots.
 */
export interface Kind<S = unknown> {
  readonly name: KindName
  readonly version: number
  parseEvent(item: unknown): ParsedEvent
  summarize(summary: Summary, event: { readonly type: string; readonly seq: number; readonly payload: unknown }, atMs: number): Summary
  readonly fold: Fold<S> | null
  /** True where events may still be appended after the end. */
  readonly openAfterEnd: boolean
}

/** A kind's state as a fold of its log; fold(log) = fold(snapshot + tail). */
export interface Fold<S> {
  initial(): S
  reduce(state: S, event: Event): S
}
