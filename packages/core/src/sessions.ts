import {
  canonicalJson,
  createSessionSchema,
  type CreateSession,
  deeperThan,
  type EventDraft,
  HoldfastError,
  isId,
  MAX_DEPTH,
  patchSessionSchema,
  type Session,
  type SessionState,
  statusFromState,
} from '@holdfast/protocol'
import { hasScope, isVisible, requireScope } from './access.ts'
import { type Also, appendAll } from './appends.ts'
import { announce, type Context, EMPTY_RECORD, kindOf, loadFeed, loadVisible, refuseWhileDraining } from './context.ts'
import type { Principal } from './engine.ts'
import { creationsOf, inTurn, once } from './idempotency.ts'
import { Log } from './log.ts'
import type { DriverEvent, IdRow, SessionRecord, SessionRow } from './ports.ts'
import { sessionFromRow } from './view.ts'

/** Throws `invalid_request` with the first thing that is wrong. */
export function parseWith<T>(
  schema: { safeParse(value: unknown): { success: boolean; data?: T; error?: { issues: readonly { path: PropertyKey[]; message: string }[] } } },
  value: unknown,
  maxDepth = MAX_DEPTH,
): T {
  if (deeperThan(value, maxDepth)) throw new HoldfastError('invalid_request', `JSON may be nested ${MAX_DEPTH} deep.`, { limit: 'depth', max: MAX_DEPTH })
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data as T
  const issue = parsed.error?.issues[0]
  const field = issue?.path.join('.') ?? ''
  throw new HoldfastError('invalid_request', field === '' ? (issue?.message ?? 'The body is not understood.') : `${field}: ${issue?.message}`, { field })
}

/** Creates a session; the same body under the same id or key gives the first one again (RUN-01, SEQ-11). */
export async function createSession(
  context: Context,
  principal: Principal,
  body: unknown,
  idempotencyKey?: string,
): Promise<{ session: Session; created: boolean }> {
  refuseWhileDraining(context)
  const parsed = parseWith<CreateSession>(createSessionSchema, body)
  if (parsed.kind !== 'run' && principal.kinds && !principal.kinds.has(parsed.kind))
    throw new HoldfastError('unauthorized', `Creating a session of kind "${parsed.kind}" needs a token, also on loopback.`, { kind: parsed.kind })
  requireScope(principal, parsed.kind === 'run' ? 'produce' : 'exec')
  if (principal.sessionId !== undefined) throw new HoldfastError('forbidden', 'This token is bound to one session and creates none.')
  kindOf(context, parsed.kind)
  const digest = context.digest(canonicalJson(body))
  if (idempotencyKey === undefined) return createOnce(context, principal, parsed, digest)
  const key = { sessionId: '', sender: `kp:${principal.subject}`, id: idempotencyKey }
  let made: { session: Session; created: boolean } | undefined
  const id = await once<string>(context, undefined, key, digest, {
    repeated: row => row.answer,
    first: async record => {
      made = await createOnce(context, principal, parsed, digest, record)
      return made.session.session_id
    },
  })
  if (made) return made
  const log = await loadVisible(context, principal, id)
  return { session: sessionFromRow(log.row, context.store.epoch), created: false }
}

type KeyRecord = (firstSeq: number, lastSeq: number, answer: string) => IdRow

async function createOnce(
  context: Context,
  principal: Principal,
  body: CreateSession,
  digest: string,
  key?: KeyRecord,
): Promise<{ session: Session; created: boolean }> {
  const id = body.session_id ?? context.random.id()
  return inTurn(creationsOf(context), `id\n${id}`, async () => {
    const existing = body.session_id === undefined ? undefined : await context.logs.load(id)
    if (!existing) return { session: await insert(context, { owner: principal.subject, id, body, digest, key }), created: true }
    const session = sameSession(context, principal, existing, digest, id)
    if (key) await context.writer.write([], transaction => transaction.id(key(0, 0, id)))
    return { session, created: false }
  })
}

function sameSession(context: Context, principal: Principal, existing: Log | SessionRow, digest: string, id: string): Session {
  const row = existing instanceof Log ? existing.row : existing
  if (existing instanceof Log && row.owner === principal.subject && row.record.create_digest === digest) return sessionFromRow(row, context.store.epoch)
  throw new HoldfastError('conflict', row.status === 'live' ? `The id "${id}" is taken.` : `The id "${id}" was used before and is not used again.`, {
    session_id: id,
  })
}

const eventDrafts = (context: Context, events: readonly DriverEvent[]): EventDraft[] => events.map(event => ({ ...event, id: context.random.id() }))

interface Creation {
  readonly owner: string
  readonly id: string
  readonly body: CreateSession
  readonly digest: string
  readonly key?: KeyRecord | undefined
  /** What is left of the session that this one replaces. */
  readonly previous?: SessionRow
}

async function insert(context: Context, { owner, id, body, digest, key, previous }: Creation): Promise<Session> {
  const feed = await loadFeed(context, owner)
  const host = context.drivers.hostOf(body.kind)
  const count = await context.store.countSessions(owner)
  if (count >= context.limits.sessions)
    throw new HoldfastError('rate_limited', `A principal has at most ${context.limits.sessions} sessions; delete some.`, {
      limit: 'sessions',
      max: context.limits.sessions,
    })
  const now = context.now()
  const record: SessionRecord = {
    ...EMPTY_RECORD,
    session_name: body.session_name ?? null,
    project_dir: body.project_dir ?? null,
    working_dir: body.working_dir ?? null,
    project_id: body.project_id ?? null,
    agent_name: body.agent_name ?? null,
    description: body.description ?? null,
    parent_session_id: body.parent_session_id ?? null,
    previous_session_id: previous?.id ?? null,
    metadata: body.metadata ?? {},
    options: body.chat ?? body.terminal ?? body.ui ?? null,
    create_digest: digest,
  }
  // What can't be started is no session, so it runs before the session is there.
  const start = await host?.start({ id, options: record.options, workingDir: record.working_dir })
  const begun = start ? { ...record, own: start.own, shown: start.shown } : record
  const at = { createdAt: now, activityAt: now, head: 0, floor: 0, bytes: 0 }
  const row: SessionRow = { id, kind: body.kind, owner, status: 'live', life: 'running', ...at, record: begun }
  const made = context.logs.prepare(row)
  try {
    await context.writer.write([feed], transaction => {
      transaction.create(row)
      if (start) transaction.append(made, eventDrafts(context, start.events))
      const shown = sessionFromRow(transaction.rowOf(made), context.store.epoch)
      transaction.append(feed, [{ type: 'session.created', id: context.random.id(), payload: { session: shown } }], '_feed')
      if (key) transaction.id(key(0, 0, id))
      if (previous) transaction.patchRow(previous.id, { ...previous.record, next_session_id: id })
    })
  } catch (thrown) {
    await start?.abort()
    throw thrown
  }
  const log = context.logs.take(made)
  if (start) context.drivers.open(log, start)
  for (const watcher of context.watchers) watcher(log.row)
  return sessionFromRow(log.row, context.store.epoch)
}

/** For an expired or deleted session: the new one in its place, the same when asked again (`on_missing=new`); where that is gone, too, the one in its place. */
export async function replaceMissing(context: Context, principal: Principal, id: string): Promise<string> {
  const found = await context.logs.load(id)
  if (!found || found instanceof Log || !isVisible(principal, found)) return id
  const next = await inTurn(creationsOf(context), `next\n${id}`, async () => {
    const row = (await context.store.getSession(id)) ?? found
    if (row.record.next_session_id !== null) return row.record.next_session_id
    requireScope(principal, row.kind === 'run' ? 'produce' : 'exec')
    return (await insert(context, { owner: row.owner, id: context.random.id(), body: bodyFromRow(row), digest: '', previous: row })).session_id
  })
  return replaceMissing(context, principal, next)
}

function bodyFromRow(row: SessionRow): CreateSession {
  const { record } = row
  const texts = {
    session_name: record.session_name,
    project_dir: record.project_dir,
    working_dir: record.working_dir,
    project_id: record.project_id,
    agent_name: record.agent_name,
  }
  const given = Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== null))
  const options = record.options === null ? {} : { [row.kind]: record.options }
  return { kind: row.kind, ...given, ...options } as CreateSession
}

/** Changes name, description, metadata (whole); unknown fields are ignored. */
export async function patchSession(context: Context, principal: Principal, id: string, body: unknown, also?: Also<Session>): Promise<Session> {
  refuseWhileDraining(context)
  requireScope(principal, 'write')
  const log = await loadVisible(context, principal, id)
  const patch = parseWith(patchSessionSchema, body)
  if (log.row.kind === 'run' && patch.session_name === '')
    throw new HoldfastError('invalid_request', 'session_name: a run needs a name.', { field: 'session_name' })
  const feed = await loadFeed(context, log.row.owner)
  return context.writer.writeAlone(log, [feed], transaction => {
    const { record } = transaction.rowOf(log)
    transaction.patch(log, {
      ...record,
      session_name: patch.session_name ?? record.session_name,
      description: patch.description ?? record.description,
      metadata: patch.metadata ?? record.metadata,
    })
    const row = transaction.rowOf(log)
    announce(context, transaction, feed, 'session.updated', row)
    const session = sessionFromRow(row, context.store.epoch)
    also?.(transaction, session)
    return session
  })
}

/** Ends the session and erases its log, ids, snapshots and blobs; the id stays taken (SEQ-19, RUN-14). */
export async function deleteSession(context: Context, principal: Principal, id: string, children: 'keep' | 'delete'): Promise<void> {
  refuseWhileDraining(context)
  requireScope(principal, 'write')
  const log = await loadVisible(context, principal, id)
  if (children === 'delete') await deleteChildren(context, principal, log, new Set([id]))
  await dropSession(context, log, 'deleted')
}

/** Parents may form a ring, since a session may name a parent that is created later: each is visited once. */
async function deleteChildren(context: Context, principal: Principal, parent: Log, visited: Set<string>): Promise<void> {
  const rows = await context.store.listSessions({ owner: parent.row.owner, parent: parent.id, limit: context.limits.sessions })
  for (const row of rows) {
    if (visited.has(row.id) || !isVisible(principal, row)) continue
    visited.add(row.id)
    const child = await context.logs.load(row.id)
    if (!(child instanceof Log)) continue
    await deleteChildren(context, principal, child, visited)
    try {
      await dropSession(context, child, 'deleted')
    } catch (thrown) {
      // Somebody else deleted it meanwhile, which is what was asked for.
      if (!(thrown instanceof HoldfastError) || thrown.status !== 410) throw thrown
    }
  }
}

/** Drops a live session as deleted or expired, unless `spare` finds a reason not to when it comes to it; readers end with that code. */
export async function dropSession(context: Context, log: Log, status: 'deleted' | 'expired', spare: () => boolean = () => false): Promise<void> {
  const feed = await loadFeed(context, log.row.owner)
  await context.writer.writeAlone(log, [feed], transaction => {
    if (spare()) return
    const { record } = transaction.rowOf(log)
    const state: SessionState = status === 'expired' ? 'expired' : 'ended'
    const rest: SessionRecord = {
      ...record,
      description: null,
      metadata: {},
      result_text: null,
      result_seq: 0,
      state,
      ended_at: record.ended_at ?? transaction.now,
    }
    transaction.drop(log, status, rest)
    if (status === 'expired') announce(context, transaction, feed, 'session.updated', { ...transaction.rowOf(log), record: rest })
    else transaction.append(feed, [{ type: 'session.deleted', id: context.random.id(), payload: { session_id: log.id } }], '_feed')
  })
  if (log.gone) context.drivers.drop(log)
}

/** Appends `session.ended` and finishes the session; of a finished one it changes nothing. Returns the event's seq, null where there is none. */
export async function endSession(
  context: Context,
  principal: Principal,
  id: string,
  also?: Also<number | null>,
): Promise<{ session: Session; seq: number | null }> {
  refuseWhileDraining(context)
  requireScope(principal, 'write')
  const log = await loadVisible(context, principal, id)
  const feed = await loadFeed(context, log.row.owner)
  const done = await context.writer.writeAlone(log, [feed], transaction => {
    const { record } = transaction.rowOf(log)
    const ended: EventDraft = { type: 'session.ended', id: context.random.id(), payload: { reason: 'ended' } }
    const seq = record.ended_at === null ? appendAll(context, transaction, log, feed, kindOf(context, log.row.kind), [ended]) : null
    also?.(transaction, seq)
    return { session: sessionFromRow(transaction.rowOf(log), context.store.epoch), seq }
  })
  context.drivers.handleOf(log)?.end()
  return done
}

/** Reopens a finished run and notes when (RUN-09); appends nothing to a run's log. */
export async function resumeSession(
  context: Context,
  principal: Principal,
  id: string,
): Promise<{ session: Session; context_restored: boolean; messages: number; head_seq: number }> {
  refuseWhileDraining(context)
  requireScope(principal, 'write')
  const log = await loadVisible(context, principal, id)
  const feed = await loadFeed(context, log.row.owner)
  return context.writer.writeAlone(log, [feed], transaction => {
    const { record } = transaction.rowOf(log)
    // What runs on the server begins again by a respawn, not by being looked at.
    const reopened = record.ended_at !== null && !context.drivers.hostOf(log.row.kind)
    transaction.patch(
      log,
      { ...record, last_resumed_at: transaction.now, ...(reopened ? { state: 'running', ended_at: null } : {}) },
      reopened ? 'running' : undefined,
    )
    const row = transaction.rowOf(log)
    announce(context, transaction, feed, 'session.updated', row)
    return { session: sessionFromRow(row, context.store.epoch), context_restored: false, messages: 0, head_seq: row.head }
  })
}

/** One page of sessions, newest activity first; `page` is opaque. */
export async function listSessions(
  context: Context,
  principal: Principal,
  query: { kind?: string; status?: string; limit?: number; page?: string },
): Promise<{ sessions: Session[]; next_page: string | null }> {
  requireScope(principal, 'read')
  const limit = query.limit ?? 100
  if (query.status !== undefined && query.status !== 'running' && query.status !== 'finished')
    throw new HoldfastError('invalid_request', 'status is "running" or "finished".', { field: 'status' })
  if (query.kind !== undefined && !['chat', 'terminal', 'ui', 'run'].includes(query.kind))
    throw new HoldfastError('invalid_request', `There is no kind "${query.kind}".`, { field: 'kind' })
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000) throw new HoldfastError('invalid_request', 'limit is 1 to 1000.', { field: 'limit' })
  const before = query.page === undefined ? undefined : parsePage(query.page)
  if (principal.sessionId !== undefined) {
    const found = await context.logs.load(principal.sessionId)
    const shown = found instanceof Log && isVisible(principal, found.row) && !before ? [sessionFromRow(found.row, context.store.epoch)] : []
    return { sessions: shown, next_page: null }
  }
  const kinds = principal.kinds ? [...principal.kinds] : undefined
  if (kinds && query.kind !== undefined && !kinds.includes(query.kind)) return { sessions: [], next_page: null }
  const kind = query.kind ?? (kinds?.length === 1 ? kinds[0] : undefined)
  const shown: SessionRow[] = []
  for (let from = before; shown.length <= limit; ) {
    const rows = await context.store.listSessions({
      ...(hasScope(principal, 'admin') || principal.seesAllOwners === true ? {} : { owner: principal.subject }),
      ...(kind === undefined ? {} : { kind }),
      ...(query.status === undefined ? {} : { life: query.status }),
      limit: limit + 1,
      ...(from ? { before: from } : {}),
    })
    shown.push(...rows.filter(row => isVisible(principal, row)))
    from = rows.at(-1)
    if (rows.length <= limit) break
  }
  const last = shown.length > limit ? shown[limit - 1] : undefined
  const sessions = shown.slice(0, limit).map(row => sessionFromRow(row, context.store.epoch))
  return { sessions, next_page: last ? `${last.activityAt}.${last.id}` : null }
}

function parsePage(page: string): { activityAt: number; id: string } {
  const dot = page.indexOf('.')
  const activityAt = Number(page.slice(0, dot))
  const id = page.slice(dot + 1)
  if (dot < 1 || !Number.isSafeInteger(activityAt) || !isId(id))
    throw new HoldfastError('invalid_request', 'page is not one that this server gave.', { field: 'page' })
  return { activityAt, id }
}

/** `not_existent` for unknown, deleted and others' ids; never throws for an id (RUN-03). */
export async function statusOf(context: Context, principal: Principal, id: string): Promise<{ status: string; state: string | null }> {
  requireScope(principal, 'read')
  const found = await context.logs.load(id)
  const row = found instanceof Log ? found.row : found
  if (!row || row.kind === 'feed' || !isVisible(principal, row) || row.status === 'deleted') return { status: 'not_existent', state: null }
  const state = row.record.state as SessionState
  return { status: statusFromState(state), state }
}
