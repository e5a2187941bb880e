import type { Cursor, Gap, Mode, Resume } from '@holdfast/protocol'

/** What an attachment says and where it begins, decided once from what is known at attach. */
export interface AttachPlan {
  readonly resume: Resume
  readonly gap: Gap | undefined
  /** The state comes first, folded up to the head; `after` is set from it. */
  readonly snapshot: boolean
  /** Where the reader is once it was told of reset and gap; delivery goes on from here, or from the snapshot. */
  readonly after: number
}

export interface AttachFacts {
  readonly cursor: Cursor | undefined
  readonly mode: Mode
  readonly epoch: string
  readonly head: number
  readonly floor: number
  /** True where the kind has snapshots. */
  readonly hasFold: boolean
  /** Mode `auto` only: the reader is 1 MiB or more behind. */
  readonly farBehind: boolean
}

/** The contract's answer for every cursor and mode (contract section 3; SEQ-03, SEQ-14, fault 9). */
export function planAttach(facts: AttachFacts): AttachPlan {
  const { cursor, mode, head, floor, hasFold } = facts
  if (mode === 'live') return { resume: cursor ? 'ok' : 'new', gap: undefined, snapshot: false, after: head }
  const seen = cursor?.seq ?? 0
  const foreign = cursor?.epoch !== undefined && cursor.epoch !== facts.epoch
  if (foreign || seen > head) return { resume: 'reset', gap: undefined, snapshot: hasFold, after: floor }
  if (mode === 'snapshot' && hasFold) return { resume: 'snapshot', gap: undefined, snapshot: true, after: seen }
  if (seen < floor) return { resume: 'gap', gap: { from_seq: seen + 1, to_seq: floor, reason: 'trimmed' }, snapshot: hasFold, after: floor }
  if (mode === 'auto' && hasFold && facts.farBehind)
    return { resume: 'snapshot', gap: { from_seq: seen + 1, to_seq: head, reason: 'skipped' }, snapshot: true, after: head }
  return { resume: seen === 0 ? 'new' : 'ok', gap: undefined, snapshot: false, after: seen }
}
