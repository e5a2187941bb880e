import { describe, expect, it } from 'vitest'
import { type AttachFacts, planAttach } from './index.ts'

const facts = (over: Partial<AttachFacts>): AttachFacts => ({
  cursor: undefined,
  mode: 'replay',
  epoch: 'mine',
  head: 10,
  floor: 4,
  hasFold: false,
  farBehind: false,
  ...over,
})
const at = (seq: number, epoch?: string) => ({ cursor: epoch === undefined ? { seq } : { epoch, seq } })
const trimmed = (fromSeq: number) => ({ from_seq: fromSeq, to_seq: 4, reason: 'trimmed' })

describe('where an attachment begins', () => {
  it.each<[string, Partial<AttachFacts>, ReturnType<typeof planAttach>]>([
    ['none, nothing trimmed', { floor: 0 }, { resume: 'new', gap: undefined, snapshot: false, after: 0 }],
    ['0, nothing trimmed', { floor: 0, ...at(0) }, { resume: 'new', gap: undefined, snapshot: false, after: 0 }],
    ['epoch.0, nothing trimmed', { floor: 0, ...at(0, 'mine') }, { resume: 'new', gap: undefined, snapshot: false, after: 0 }],
    ['none, below floor', {}, { resume: 'gap', gap: trimmed(1) as never, snapshot: false, after: 4 }],
    ['floor-1', at(3), { resume: 'gap', gap: trimmed(4) as never, snapshot: false, after: 4 }],
    ['floor-1 of a kind with snapshots', { ...at(3), hasFold: true }, { resume: 'gap', gap: trimmed(4) as never, snapshot: true, after: 4 }],
    ['floor', at(4), { resume: 'ok', gap: undefined, snapshot: false, after: 4 }],
    ['between', at(7, 'mine'), { resume: 'ok', gap: undefined, snapshot: false, after: 7 }],
    ['head', at(10, 'mine'), { resume: 'ok', gap: undefined, snapshot: false, after: 10 }],
    ['head+1', at(11), { resume: 'reset', gap: undefined, snapshot: false, after: 4 }],
    ['head+1 of a kind with snapshots', { ...at(11), hasFold: true }, { resume: 'reset', gap: undefined, snapshot: true, after: 4 }],
    ['another epoch', at(7, 'other'), { resume: 'reset', gap: undefined, snapshot: false, after: 4 }],
    ['another epoch, 0', at(0, 'other'), { resume: 'reset', gap: undefined, snapshot: false, after: 4 }],
    ['another epoch of a kind with snapshots', { ...at(7, 'other'), hasFold: true }, { resume: 'reset', gap: undefined, snapshot: true, after: 4 }],
    ['an empty log', { head: 0, floor: 0 }, { resume: 'new', gap: undefined, snapshot: false, after: 0 }],
    ['1 in an empty log', { head: 0, floor: 0, ...at(1) }, { resume: 'reset', gap: undefined, snapshot: false, after: 0 }],
    ['all trimmed, at head', { floor: 10, ...at(10) }, { resume: 'ok', gap: undefined, snapshot: false, after: 10 }],
    ['2^53-1', at(Number.MAX_SAFE_INTEGER), { resume: 'reset', gap: undefined, snapshot: false, after: 4 }],
    ['snapshot', { ...at(7), mode: 'snapshot', hasFold: true }, { resume: 'snapshot', gap: undefined, snapshot: true, after: 7 }],
    ['snapshot, below floor', { ...at(1), mode: 'snapshot', hasFold: true }, { resume: 'snapshot', gap: undefined, snapshot: true, after: 1 }],
    ['snapshot, head+1', { ...at(11), mode: 'snapshot', hasFold: true }, { resume: 'reset', gap: undefined, snapshot: true, after: 4 }],
    ['snapshot of a kind without', { ...at(7), mode: 'snapshot' }, { resume: 'ok', gap: undefined, snapshot: false, after: 7 }],
    ['auto, near', { ...at(7), mode: 'auto', hasFold: true }, { resume: 'ok', gap: undefined, snapshot: false, after: 7 }],
    [
      'auto, far',
      { ...at(7), mode: 'auto', hasFold: true, farBehind: true },
      { resume: 'snapshot', gap: { from_seq: 8, to_seq: 10, reason: 'skipped' }, snapshot: true, after: 10 },
    ],
    [
      'auto, far, below floor',
      { ...at(1), mode: 'auto', hasFold: true, farBehind: true },
      { resume: 'gap', gap: trimmed(2) as never, snapshot: true, after: 4 },
    ],
    ['auto, far, of a kind without', { ...at(7), mode: 'auto', farBehind: true }, { resume: 'ok', gap: undefined, snapshot: false, after: 7 }],
    ['live, no cursor', { mode: 'live' }, { resume: 'new', gap: undefined, snapshot: false, after: 10 }],
    ['live, a cursor', { ...at(1), mode: 'live' }, { resume: 'ok', gap: undefined, snapshot: false, after: 10 }],
    ['live, a cursor of another epoch', { ...at(99, 'other'), mode: 'live', hasFold: true }, { resume: 'ok', gap: undefined, snapshot: false, after: 10 }],
  ])('[fault 8] [fault 9] [SEQ-14] cursor %s', (_name, over, plan) => {
    expect(planAttach(facts(over))).toEqual(plan)
  })
})
