import {
  canonicalJson,
  deeperThan,
  type EventDraft,
  HoldfastError,
  type Kind,
  MAX_DEPTH,
  type ParsedEvent,
  type SessionState,
  statusFromState,
  type Summary,
} from '@holdfast/protocol'
import { feedRowId, isVisible, requireScope } from './access.ts'
import { announce, type Context, kindOf, loadFeed, loadVisible, refuseWhileDraining } from './context.ts'
import type { AppendResult, InputResult, Principal } from './engine.ts'
import { once } from './idempotency.ts'
import type { Log } from './log.ts'
import type { IdKey, IdRow, SessionRecord } from './ports.ts'
import type { Transaction } from './plan.ts'

export interface AppendOptions {
  readonly idempotencyKey?: string
  readonly clientId?: string
  readonly traceId?: string
}

interface Item extends ParsedEvent {
  readonly raw: unknown
}

/** Appends what a producer sent, all or nothing, each id once (SEQ-05, SEQ-18, RUN-05). */
export async function appendEvents(
  context: Context,
  principal: Principal,
  id: string,
  items: readonly unknown[],
  options: AppendOptions = {},
  also?: Also<AppendResult>,
): Promise<AppendResult> {
  refuseWhileDraining(context)
  requireScope(principal, 'produce')
  const log = await loadVisible(context, principal, id)
  const kind = kindOf(context, log.row.kind)
  const parsed = parseItems(context, kind, id, items, options.idempotencyKey !== undefined)
  const feed = await loadFeed(context, log.row.owner)
  const digestOf = (value: unknown): string => context.digest(canonicalJson(value, 'timestamp'))

  const sender = options.clientId === undefined ? `p:${principal.subject}` : `c:${options.clientId}`
  return log.inOrder(planned => {
    const write: ItemWrite = { context, log, feed, kind, items: parsed, options, digestOf, sender, planned }
    if (options.idempotencyKey === undefined) return parsed.some(item => item.id !== undefined) ? appendWithIds(write, also) : appendAtOnce(write, also)
    const key: IdKey = { sessionId: id, sender: `kp:${principal.subject}`, id: options.idempotencyKey }
    const whole = items.length === 1 ? digestOf(items[0]) : context.digest(`[${items.map(item => canonicalJson(item, 'timestamp')).join(',')}]`)
    return once<AppendResult>(context, log, key, whole, {
      repeated: row => ({
        firstSeq: row.firstSeq,
        lastSeq: row.lastSeq,
        duplicate: true,
        ...(row.answer === '' ? {} : { results: repeatedResults(row.answer) }),
      }),
      first: record =>
        appendAtOnce(write, (transaction, result) =>
          transaction.id(record(result.firstSeq, result.lastSeq, result.results ? JSON.stringify(result.results) : '')),
        ),
    })
  })
}

/**
 * The same for one producer's message whose id is new, in one step: undefined where anything has to be waited for, and the long way is taken.
 * Most appends go here; every promise less is felt.
 */
export function appendNow(
  context: Context,
  principal: Principal,
  id: string,
  items: readonly unknown[],
  { key, digest, sender }: NewAppend,
): Promise<InputResult> | undefined {
  const log = context.logs.peek(id)
  if (!log || log.gone || log.isSettling || log.isInTurn || !isVisible(principal, log.row) || log.row.kind === 'feed') return undefined
  const feed = context.logs.peek(feedRowId(log.row.owner))
  if (!feed || feed.gone || feed.isSettling) return undefined
  const name = `${key.sender}\n${key.id}`
  if (log.idsInFlight.has(name) || context.store.mayHaveId?.(key) !== false) return undefined
  const kind = kindOf(context, log.row.kind)
  const parsed = parseItems(context, kind, id, items, false)
  if (parsed.some(item => item.id !== undefined)) return undefined
  const drafts = draftsFrom(context, parsed, sender)
  const done = context.writer.writeNow([log, feed], transaction => {
    refuseEnded(transaction, log, kind)
    const firstSeq = appendAll(context, transaction, log, feed, kind, drafts)
    const lastSeq = firstSeq + drafts.length - 1
    const result: InputResult = { id: key.id, seq: lastSeq, duplicate: false, firstSeq }
    transaction.id({ ...key, digest: digest(), firstSeq, lastSeq, at: transaction.now, answer: '' })
    return result
  })
  const free = (): void => void log.idsInFlight.delete(name)
  log.idsInFlight.set(name, done.then(free, free))
  return done
}

export interface NewAppend {
  readonly key: IdKey
  readonly digest: () => string
  readonly sender: { readonly clientId?: string; readonly traceId?: string }
}

const repeatedResults = (answer: string): NonNullable<AppendResult['results']> =>
  (JSON.parse(answer) as NonNullable<AppendResult['results']>).map(result => ({ ...result, duplicate: true }))

/** What else goes into the commit of an append. */
export type Also<T> = (transaction: Transaction, result: T) => void

interface ItemWrite {
  readonly context: Context
  readonly log: Log
  readonly feed: Log
  readonly kind: Kind
  readonly items: readonly Item[]
  readonly options: AppendOptions
  readonly digestOf: (value: unknown) => string
  readonly sender: string
  /** The seqs are given: the next append may go on. */
  readonly planned: () => void
}

/** Appends all items, whatever ids they have. */
function appendAtOnce({ context, log, feed, kind, items, options, planned }: ItemWrite, also?: Also<AppendResult>): Promise<AppendResult> {
  const drafts = draftsFrom(context, items, options)
  return context.writer.write([log, feed], transaction => {
    refuseEnded(transaction, log, kind)
    const firstSeq = appendAll(context, transaction, log, feed, kind, drafts)
    planned()
    const results = items.some(item => item.id !== undefined)
      ? drafts.map((draft, index) => ({ id: draft.id, seq: firstSeq + index, duplicate: false }))
      : undefined
    const result = { firstSeq, lastSeq: firstSeq + items.length - 1, duplicate: false, ...(results ? { results } : {}) }
    also?.(transaction, result)
    return result
  })
}

/** Asked when the seqs are given: what is known by its id is answered after the end, too. */
function refuseEnded(transaction: Transaction, log: Log, kind: Kind): void {
  if (!kind.openAfterEnd && transaction.rowOf(log).record.ended_at !== null)
    throw new HoldfastError('session_ended', 'The session has ended.', { session_id: log.id })
}

function parseItems(context: Context, kind: Kind, sessionId: string, items: readonly unknown[], keyed: boolean): Item[] {
  if (items.length === 0) throw new HoldfastError('invalid_request', 'A batch holds at least one event.')
  if (items.length > context.limits.batch_events)
    throw new HoldfastError('too_large', `A batch holds at most ${context.limits.batch_events} events, this one ${items.length}.`, {
      limit: 'batch_events',
      max: context.limits.batch_events,
    })
  if (deeperThan(items, MAX_DEPTH + 1)) throw new HoldfastError('invalid_request', `JSON may be nested ${MAX_DEPTH} deep.`, { limit: 'depth', max: MAX_DEPTH })
  const seen = new Set<string>()
  return items.map((raw, index) => {
    const own = (raw ?? {}) as { seq?: unknown; header?: { seq?: unknown } | null; session_id?: unknown }
    if (own.seq !== undefined || own.header?.seq !== undefined)
      throw new HoldfastError('invalid_request', 'seq is given by the server; send none.', { field: 'seq', index })
    if (own.session_id !== undefined && own.session_id !== sessionId)
      throw new HoldfastError('id_mismatch', `The event names another session than the path ("${sessionId}").`, { session_id: sessionId, index })
    let item: ParsedEvent
    try {
      item = kind.parseEvent(raw)
    } catch (error) {
      throw error instanceof HoldfastError && items.length > 1
        ? new HoldfastError(error.code, `Event ${index}: ${error.message}`, { ...error.details, index })
        : error
    }
    if (item.id !== undefined && !keyed) {
      if (seen.has(item.id)) throw new HoldfastError('invalid_request', `The id "${item.id}" is there twice in one batch.`, { id: item.id, index })
      seen.add(item.id)
    }
    return { ...item, raw }
  })
}

const draftsFrom = (context: Context, items: readonly ParsedEvent[], { clientId, traceId }: AppendOptions): EventDraft[] =>
  items.map(item => {
    const draft: { -readonly [Field in keyof EventDraft]: EventDraft[Field] } = { type: item.type, id: item.id ?? context.random.id(), payload: item.payload }
    if (clientId !== undefined) draft.clientId = clientId
    if (traceId !== undefined) draft.traceId = traceId
    return draft
  })

/** Appends, and carries the record and the feed along in the same commit. Returns the first seq. */
export function appendAll(context: Context, transaction: Transaction, log: Log, feed: Log, kind: Kind, drafts: readonly EventDraft[]): number {
  const firstSeq = transaction.append(log, drafts)
  const record = transaction.rowOf(log).record
  const before: Summary = { state: record.state as SessionState, endedAt: record.ended_at, resultSeq: record.result_seq }
  const after = drafts.reduce(
    (summary, draft, index) => kind.summarize(summary, { type: draft.type, seq: firstSeq + index, payload: draft.payload }, transaction.now),
    before,
  )
  if (after !== before) patchSummary(context, transaction, log, feed, record, before, after)
  context.counters.appended += drafts.length
  return firstSeq
}

function patchSummary(context: Context, transaction: Transaction, log: Log, feed: Log, record: SessionRecord, before: Summary, after: Summary): void {
  const text = after.resultSeq === before.resultSeq ? record.result_text : null
  transaction.patch(
    log,
    { ...record, state: after.state, ended_at: after.endedAt, result_seq: after.resultSeq, result_text: text },
    statusFromState(after.state),
  )
  if (after.state !== before.state) announce(context, transaction, feed, 'session.updated', transaction.rowOf(log))
}

/** Items with ids: known ones are skipped, those in flight waited for, the rest appended in one commit. */
async function appendWithIds(write: ItemWrite, also?: Also<AppendResult>): Promise<AppendResult> {
  const { context, log, feed, kind, items, options, digestOf, sender, planned } = write
  const keys = items.flatMap(item => (item.id === undefined ? [] : [{ sessionId: log.id, sender, id: item.id }]))
  const names = keys.map(key => `${sender}\n${key.id}`)
  for (;;) {
    const waiting = names.flatMap(name => log.idsInFlight.get(name) ?? [])
    if (waiting.length > 0) {
      await Promise.allSettled(waiting)
      continue
    }
    const rows = await context.store.findIds(keys)
    if (log.isSettling) await log.settled()
    if (names.some(name => log.idsInFlight.has(name))) continue
    if (log.gone) throw log.gone
    const known = knownItems(items, rows, digestOf)
    const fresh = items.filter(item => !known.has(item))
    context.counters.duplicates += known.size
    if (fresh.length === 0) return resultFrom(items, known, new Map())
    const drafts = draftsFrom(context, fresh, options)
    const done = context.writer.write([log, feed], transaction => {
      refuseEnded(transaction, log, kind)
      const firstSeq = appendAll(context, transaction, log, feed, kind, drafts)
      planned()
      const given = new Map(fresh.map((item, index) => [item, { id: (drafts[index] as EventDraft).id, seq: firstSeq + index, duplicate: false }]))
      for (const [item, { seq }] of given)
        if (item.id !== undefined)
          transaction.id({ sessionId: log.id, sender, id: item.id, digest: digestOf(item.raw), firstSeq: seq, lastSeq: seq, at: transaction.now, answer: '' })
      const result = resultFrom(items, known, given)
      also?.(transaction, result)
      return result
    })
    const settled = done.then(
      () => undefined,
      () => undefined,
    )
    for (const name of names)
      log.idsInFlight.set(
        name,
        settled.finally(() => log.idsInFlight.delete(name)),
      )
    return done
  }
}

type ItemResult = NonNullable<AppendResult['results']>[number]

/** Those that are stored already, with their answers. Throws `conflict` where the body differs. */
function knownItems(items: readonly Item[], rows: readonly (IdRow | undefined)[], digestOf: (value: unknown) => string): Map<Item, ItemResult> {
  const byId = new Map(rows.flatMap(row => (row ? [[row.id, row] as const] : [])))
  const known = new Map<Item, ItemResult>()
  for (const item of items) {
    const row = item.id === undefined ? undefined : byId.get(item.id)
    if (!row) continue
    if (row.digest !== digestOf(item.raw))
      throw new HoldfastError('conflict', `The id "${row.id}" was used before with another body.`, { id: row.id, seq: row.lastSeq })
    known.set(item, { id: row.id, seq: row.lastSeq, duplicate: true })
  }
  return known
}

function resultFrom(items: readonly Item[], known: ReadonlyMap<Item, ItemResult>, given: ReadonlyMap<Item, ItemResult>): AppendResult {
  const results = items.map(item => (known.get(item) ?? given.get(item)) as ItemResult)
  const seqs = results.map(result => result.seq)
  return { firstSeq: Math.min(...seqs), lastSeq: Math.max(...seqs), duplicate: known.size === items.length, results }
}
