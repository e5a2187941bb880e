import { bytesFromText, chunksFromEvents, textsFromChunk, type Chunk } from '@holdfast/protocol'
import { StoreError, type Append, type IdRow, type SessionRecord, type SessionRow, type Store, type StoreErrorCode } from '@holdfast/core'
import { expect } from 'vitest'

/** What a store has to offer to be put through the suite. */
export interface StoreUnderTest {
  /** A new, empty store. */
  create(): Promise<Store>
  /** Closes the store and opens another on the same data; left out where nothing outlives the object. */
  reopen?(store: Store): Promise<Store>
  /** Closes the store and removes what it left. */
  destroy?(store: Store): Promise<void>
}

/** Room for everything that a test reads. */
export const PLENTY = 2 ** 30

/** Far below every fence of the suite's own leases; those tests that take none use it. */
export const FENCE = 1_000_000

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

export const recordOf = (fields: Partial<SessionRecord> = {}): SessionRecord => ({
  session_name: null,
  project_dir: null,
  working_dir: null,
  project_id: null,
  agent_name: null,
  description: null,
  parent_session_id: null,
  previous_session_id: null,
  metadata: {},
  options: null,
  state: 'running',
  ended_at: null,
  last_resumed_at: null,
  result_seq: 0,
  result_text: null,
  create_digest: '',
  next_session_id: null,
  ...fields,
})

export const rowOf = (id: string, fields: Partial<SessionRow> = {}): SessionRow => ({
  id,
  kind: 'run',
  owner: 'ann',
  status: 'live',
  life: 'running',
  createdAt: NOW,
  activityAt: NOW,
  head: 0,
  floor: 0,
  bytes: 0,
  record: recordOf(),
  ...fields,
})

/** An append of these texts, the first of them being `firstSeq`. */
export function appendOf(sessionId: string, firstSeq: number, texts: readonly string[], activityAt = NOW): Append {
  const chunk = chunksFromEvents(texts.map(bytesFromText), firstSeq, PLENTY)[0] as Chunk
  return { sessionId, activityAt, ...chunk }
}

export const idOf = (sessionId: string, id: string, fields: Partial<IdRow> = {}): IdRow => ({
  sessionId,
  sender: 'c:one',
  id,
  digest: `digest of ${id}`,
  firstSeq: 1,
  lastSeq: 1,
  at: NOW,
  answer: '',
  ...fields,
})

/** A text that says which event of which session it is, padded to `bytes` of JSON. */
export const textOf = (sessionId: string, seq: number, bytes = 0): string => {
  const text = JSON.stringify({ session: sessionId, seq })
  return bytes <= text.length ? text : JSON.stringify({ session: sessionId, seq, pad: 'é'.repeat(Math.max(0, (bytes - text.length - 9) >> 1)) })
}

/** Creates a session with `count` events, appended in commits of `perCommit`. */
export async function fill(store: Store, id: string, count: number, perCommit = 1, bytes = 0): Promise<void> {
  await store.commit({ creates: [rowOf(id)], fence: FENCE })
  const commits: Promise<void>[] = []
  for (let seq = 1; seq <= count; seq += perCommit) {
    const texts = Array.from({ length: Math.min(perCommit, count - seq + 1) }, (_, index) => textOf(id, seq + index, bytes))
    commits.push(store.commit({ appends: [appendOf(id, seq, texts)], fence: FENCE }))
  }
  await Promise.all(commits)
}

/** Everything after `after`, read piece by piece; checks on the way that pieces are dense and within `maxBytes`. */
export async function readAll(store: Store, id: string, after = 0, maxBytes = PLENTY): Promise<{ seq: number; text: string }[]> {
  const events: { seq: number; text: string }[] = []
  let cursor = after
  for (;;) {
    const chunk = await store.read(id, cursor, maxBytes)
    if (!chunk) return events
    const texts = textsFromChunk(chunk)
    expect(texts.length, 'seqs and records agree').toBe(chunk.lastSeq - chunk.firstSeq + 1)
    expect(chunk.firstSeq, 'a read goes on where the one before ended').toBeGreaterThan(cursor)
    if (events.length > 0) expect(chunk.firstSeq, 'no hole between reads').toBe(cursor + 1)
    if (texts.length > 1) expect(chunk.body.byteLength, 'within maxBytes').toBeLessThanOrEqual(maxBytes)
    texts.forEach((text, index) => {
      events.push({ seq: chunk.firstSeq + index, text })
    })
    cursor = chunk.lastSeq
  }
}

export const seqsOf = (events: readonly { seq: number }[]): number[] => events.map(event => event.seq)

/** From `first` to `last`, both inclusive. */
export const range = (first: number, last: number): number[] => Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)

/** Expects a StoreError with this code. */
export async function expectRefusal(promise: Promise<unknown>, code: StoreErrorCode): Promise<StoreError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(StoreError)
  expect((error as StoreError).code).toBe(code)
  return error as StoreError
}
