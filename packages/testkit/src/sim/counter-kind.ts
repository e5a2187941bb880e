import { type Fold, HoldfastError, isId, type Kind } from '@holdfast/protocol'

/** What the counter's log folds to; `chain` depends on every event and on their order. */
export interface CounterState {
  readonly events: number
  readonly sum: number
  readonly chain: number
}

export const counterFold: Fold<CounterState> = {
  initial: () => ({ events: 0, sum: 0, chain: 1 }),
  reduce(state, event) {
    const { n } = event.payload as { n?: unknown }
    const value = typeof n === 'number' ? n : 0
    return { events: state.events + 1, sum: state.sum + value, chain: (Math.imul(state.chain ^ event.header.seq, 0x5f356495) + value) | 0 }
  },
}

/** The smallest kind that has snapshots: `counter.add {n}`, closed after its end. It stands in for `ui`, since names of kinds are fixed. */
export const counterKind: Kind<CounterState> = {
  name: 'ui',
  version: 1,
  fold: counterFold,
  openAfterEnd: false,
  parseEvent(item) {
    const { type, id, payload } = (item ?? {}) as { type?: unknown; id?: unknown; payload?: unknown }
    if (type !== 'counter.add') throw new HoldfastError('invalid_request', 'type must be counter.add.', { field: 'type' })
    if (id !== undefined && !isId(id)) throw new HoldfastError('invalid_request', 'id is malformed.', { field: 'id' })
    if (payload === null || typeof payload !== 'object') throw new HoldfastError('invalid_request', 'payload must be an object.', { field: 'payload' })
    return { type, payload, ...(id === undefined ? {} : { id }) }
  },
  summarize: (summary, event, atMs) => (event.type === 'session.ended' && summary.endedAt === null ? { ...summary, state: 'ended', endedAt: atMs } : summary),
}
