import type { Commit, SessionRow } from '@holdfast/core'
import { chunksFromTexts, encodeEvent } from '@holdfast/protocol'
import { openSqliteStore } from '@holdfast/store-sqlite'
import { bodyOf } from './posters.ts'
import { connectHttp } from './http-client.ts'
import type { Server } from './processes.ts'
import { authorization, JSON_BODY } from './writers.ts'

/** Whom the server's own admin token stands for. */
const OWNER = 'admin'
const SESSIONS_PER_COMMIT = 1000
const COMMITS_IN_FLIGHT = 4

export const sparseId = (n: number): string => `sparse-${n}`

/** Adds the sessions `from` … `to - 1` to a data folder that no server has, a run with one event of 200 B each, through the real store in this process: a server would take minutes for a million. Their creation is not in the feed. */
export async function addSparseSessions(dataDir: string, from: number, to: number, onProgress: (done: number) => void): Promise<void> {
  const store = await openSqliteStore({ dataDir, coldAfterMs: 3_600_000 })
  const fence = await store.acquireLease('store', 'bench', 60_000)
  let next = from
  const writer = async (): Promise<void> => {
    while (next < to) {
      const first = next
      const end = Math.min(to, first + SESSIONS_PER_COMMIT)
      next = end
      await store.commit(commitOf(first, end, fence))
      onProgress(end)
    }
  }
  try {
    await Promise.all(Array.from({ length: COMMITS_IN_FLIGHT }, writer))
  } finally {
    await store.close()
  }
}

/** A day ago: whatever the server appends is newer. */
const FIRST_AT = Date.now() - 86_400_000

function commitOf(from: number, to: number, fence: number): Commit {
  const numbers = Array.from({ length: to - from }, (_, index) => from + index)
  return { creates: numbers.map(rowOf), appends: numbers.map(appendOf), fence }
}

function rowOf(n: number): SessionRow {
  const at = FIRST_AT + n
  return {
    ...{ id: sparseId(n), kind: 'run', owner: OWNER, status: 'live', life: 'running', createdAt: at, activityAt: at, head: 0, floor: 0, bytes: 0 },
    record: {
      ...{ session_name: `Session ${n}`, project_dir: null, working_dir: null, project_id: null, agent_name: null, description: null },
      ...{ parent_session_id: null, previous_session_id: null, metadata: {}, options: null, state: 'running', ended_at: null, last_resumed_at: null },
      ...{ result_seq: 0, result_text: null, create_digest: '', next_session_id: null },
    },
  }
}

function appendOf(n: number): NonNullable<Commit['appends']>[number] {
  const id = sparseId(n)
  const draft = { type: 'run.message', id: `e-${n}`, payload: { event_type: 'message', n, content: 'x'.repeat(140) } }
  const [chunk] = chunksFromTexts([encodeEvent(draft, id, 1, new Date(FIRST_AT + n).toISOString())], 1, 65_536, () => undefined)
  if (!chunk) throw new Error('one event is one chunk')
  return { ...chunk, sessionId: id, activityAt: FIRST_AT + n }
}

/** Of the events that a log is grown with. */
export const LOG_EVENT_BYTES = 1000
const EVENTS_PER_POST = 1000
const CONNECTIONS = 4

/** Appends so many events of 1 KB, 1000 a post over a few connections; resolves with the head. */
export async function growLog(server: Server, session: string, events: number, onProgress: (done: number) => void): Promise<number> {
  let made = 0
  let head = 0
  const post = async (): Promise<void> => {
    const client = await connectHttp(server.url, { ...authorization(server), ...JSON_BODY })
    while (made < events) {
      const count = Math.min(EVENTS_PER_POST, events - made)
      made += count
      const { status, body } = await client.request('POST', `/sessions/${session}/events`, bodyOf(LOG_EVENT_BYTES, made - count + 1, count))
      if (status !== 201) throw new Error(`growing ${session}: ${status} ${body.toString()}`)
      head = Math.max(head, (JSON.parse(body.toString()) as { last_seq: number }).last_seq)
      onProgress(made)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, post))
  return head
}
