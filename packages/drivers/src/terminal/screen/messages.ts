import type { Attention } from './attention.ts'
import type { PlainTextOptions } from './plain-text.ts'
import type { ScreenState } from './screen.ts'

/** A screen, and the mark (a seq, or any number that only grows) of the last write or resize that it stands for. */
export interface MarkedState {
  readonly state: ScreenState
  readonly mark: number
}

export interface Size {
  readonly cols: number
  readonly rows: number
}

/** To the worker. Each is answered once, in the order in which they came. */
export type ToWorker = { readonly id: string; readonly request: number } & (
  | { readonly type: 'open'; readonly size: Size; readonly from?: MarkedState }
  | { readonly type: 'write'; readonly mark: number; readonly bytes: Uint8Array; readonly live: boolean }
  | { readonly type: 'resize'; readonly mark: number; readonly size: Size }
  | { readonly type: 'snapshot' }
  | { readonly type: 'text'; readonly options: PlainTextOptions }
  | { readonly type: 'drop' }
)

export type Answer = MarkedState | string | undefined

export type FromWorker =
  | { readonly type: 'answer'; readonly request: number; readonly answer: Answer }
  | { readonly type: 'refused'; readonly request: number; readonly reason: 'unknown' | 'failed'; readonly message: string }
  | { readonly type: 'reply'; readonly id: string; readonly text: string }
  | { readonly type: 'attention'; readonly id: string; readonly attention: Attention }
