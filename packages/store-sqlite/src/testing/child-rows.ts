import { bytesFromText, chunksFromEvents, type Chunk } from '@holdfast/protocol'
import type { Append, SessionRecord, SessionRow } from '@holdfast/core'

/** Rows for programs outside of vitest, which the suite's own need. */
export const recordOfChild: SessionRecord = {
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
}

export const rowOfChild = (id: string): SessionRow => ({
  id,
  kind: 'run',
  owner: 'ann',
  status: 'live',
  life: 'running',
  createdAt: 1,
  activityAt: 1,
  head: 0,
  floor: 0,
  bytes: 0,
  record: recordOfChild,
})

export const FENCE_OF_CHILD = 1_000_000

export const appendOf = (sessionId: string, firstSeq: number, texts: readonly string[]): Append => ({
  sessionId,
  activityAt: Date.now(),
  ...(chunksFromEvents(texts.map(bytesFromText), firstSeq, 2 ** 30)[0] as Chunk),
})
