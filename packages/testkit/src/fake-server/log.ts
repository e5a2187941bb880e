import { encodeEvent, parseCursor } from '@holdfast/protocol/wire'

/** One session of the fake: its whole log as texts; `floor` only hides. */
export interface FakeSession {
  readonly id: string
  readonly kind: string
  epoch: string
  floor: number
  texts: string[]
  /** Answers by `<sender>/<input id>`. */
  readonly inputs: Map<string, { readonly seq: number; readonly body: string }>
}

export interface FakeLog {
  readonly sessions: Map<string, FakeSession>
  create(id: string, kind?: string): FakeSession
  append(id: string, payload: unknown, options?: { readonly type?: string; readonly id?: string; readonly clientId?: string }): number
  /** Appends once per sender and id. */
  input(id: string, sender: string, inputId: string, type: string, payload: unknown): { readonly seq: number; readonly duplicate: boolean } | 'conflict'
  /** Calls back after every append; `undefined` for a session that was created. */
  listen(listener: (id: string, created: boolean) => void): () => void
}

export const headOf = (session: FakeSession): number => session.texts.length

/** The fold that the fake's snapshots hold: how many events, and the sum of their `n`. */
export const stateOf = (session: FakeSession, seq: number): { readonly count: number; readonly sum: number } => {
  const events = session.texts.slice(0, seq).map(text => JSON.parse(text) as { payload: { n?: number } })
  return { count: events.length, sum: events.reduce((sum, event) => sum + (event.payload.n ?? 0), 0) }
}

export const hasSnapshots = (session: FakeSession): boolean => session.kind !== 'run' && session.kind !== 'feed'

export function createFakeLog(epoch: string): FakeLog {
  const sessions = new Map<string, FakeSession>()
  const listeners = new Set<(id: string, created: boolean) => void>()
  const tell = (id: string, created: boolean): void => {
    for (const listener of [...listeners]) listener(id, created)
  }
  const get = (id: string): FakeSession => {
    const session = sessions.get(id)
    if (!session) throw new Error(`the fake has no session ${id}`)
    return session
  }
  const append: FakeLog['append'] = (id, payload, { type = 'run.message', id: own, clientId } = {}) => {
    const session = get(id)
    const seq = headOf(session) + 1
    const draft = { type, id: own ?? `${id}-${seq}`, payload, ...(clientId === undefined ? {} : { clientId }) }
    session.texts.push(encodeEvent(draft, id, seq, '2026-01-01T00:00:00.000Z'))
    tell(id, false)
    return seq
  }
  return {
    sessions,
    create: (id, kind = 'run') => {
      const session: FakeSession = { id, kind, epoch, floor: 0, texts: [], inputs: new Map() }
      sessions.set(id, session)
      tell(id, true)
      return session
    },
    append,
    input: (id, sender, inputId, type, payload) => {
      const session = get(id)
      const key = `${sender}/${inputId}`
      const body = JSON.stringify([type, payload])
      const known = session.inputs.get(key)
      if (known) return known.body === body ? { seq: known.seq, duplicate: true } : 'conflict'
      const seq = headOf(session) + 1
      session.inputs.set(key, { seq, body })
      append(id, payload, { type, id: inputId, clientId: sender })
      return { seq, duplicate: false }
    },
    listen: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** What the contract answers to a cursor and mode (section 3), written a second time so that it can disagree with the engine. */
export interface FakePlan {
  readonly resume: 'new' | 'ok' | 'gap' | 'snapshot' | 'reset'
  readonly gap?: { readonly from_seq: number; readonly to_seq: number; readonly reason: 'trimmed' | 'skipped' }
  readonly snapshotSeq?: number
  readonly after: number
}

export function planOf(session: FakeSession, cursorText: unknown, mode: string): FakePlan | undefined {
  const cursor = cursorText === undefined || cursorText === '' ? undefined : parseCursor(cursorText)
  if (cursorText !== undefined && cursorText !== '' && !cursor) return undefined
  const head = headOf(session)
  if (mode === 'live') return { resume: cursor ? 'ok' : 'new', after: head }
  const snapshot = hasSnapshots(session) ? { snapshotSeq: head, after: head } : undefined
  const seen = cursor?.seq ?? 0
  if ((cursor?.epoch !== undefined && cursor.epoch !== session.epoch) || seen > head) return { resume: 'reset', after: session.floor, ...snapshot }
  if (mode === 'snapshot' && snapshot) return { resume: 'snapshot', ...snapshot }
  if (seen < session.floor) {
    const gap = { from_seq: seen + 1, to_seq: session.floor, reason: 'trimmed' } as const
    return { resume: 'gap', gap, after: session.floor, ...snapshot }
  }
  return { resume: seen === 0 ? 'new' : 'ok', after: seen }
}

/** The payload of hello. */
export const helloOf = (session: FakeSession, plan: FakePlan, reconnected: boolean, heartbeatMs: number): Record<string, unknown> => ({
  session: sessionOf(session),
  epoch: session.epoch,
  head_seq: headOf(session),
  floor_seq: session.floor,
  resume: plan.resume,
  reconnected,
  created_at: '2026-01-01T00:00:00.000Z',
  age_seconds: 1.5,
  role: null,
  protocol: { version: 1, min: 1, max: 1 },
  heartbeat_ms: heartbeatMs,
  limits: { event_bytes: 262_144, input_bytes: 262_144, body_bytes: 4_194_304, batch_events: 1000, frame_bytes: 262_144 },
  durability: 'full',
})

export const sessionOf = (session: FakeSession): Record<string, unknown> => ({
  session_id: session.id,
  session_name: session.id,
  kind: session.kind,
  status: 'running',
  state: 'running',
  epoch: session.epoch,
  head_seq: headOf(session),
  floor_seq: session.floor,
  created_at: '2026-01-01T00:00:00.000Z',
  last_activity_at: '2026-01-01T00:00:01.500Z',
  metadata: {},
})
