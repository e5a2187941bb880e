import { FEED_ID, HEARTBEAT_MS, HoldfastError, type Kind, type Limits, messageText, PROTOCOL_VERSION, type Resume, textsFromChunk } from '@holdfast/protocol'
import { hasScope, isVisible, notFound, requireScope } from './access.ts'
import { appendEvents } from './appends.ts'
import { createAttachment } from './attachment.ts'
import { type Context, loadFeed, loadVisible, refuseWhileDraining } from './context.ts'
import type { AttachOptions, Engine, Principal } from './engine.ts'
import { callerOf, createDrivers, stateFoldOf } from './drivers.ts'
import { foldLog } from './folds.ts'
import { takeInput } from './inputs.ts'
import type { Log } from './log.ts'
import { createLogs } from './logs.ts'
import type { BlobInfo, Clock, Driver, DriverSeat, Logger, Random, SessionRow, Store } from './ports.ts'
import { isSurplus, KEEP_ALL, type Retention } from './retention.ts'
import { createSession, deleteSession, endSession, listSessions, patchSession, replaceMissing, resumeSession, statusOf } from './sessions.ts'
import { createSweep } from './sweep.ts'
import { createTailCache } from './tail.ts'
import { createSteadyTime, isoFromMs } from './time.ts'
import { sessionFromRow } from './view.ts'
import { createWriter, errorFromStore } from './writer.ts'

export interface EngineOptions {
  readonly store: Store
  readonly kinds: readonly Kind[]
  /** What runs sessions on this server; their kinds are among `kinds`. */
  readonly drivers?: readonly Driver[]
  readonly limits: Limits
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** A short text that is equal for equal texts: a cryptographic hash. */
  readonly digest: (text: string) => string
  /** Per kind, `feed` too; a kind left out keeps all. */
  readonly retention?: Readonly<Record<string, Retention>>
  /** Per kind, ms; null or left out never expires. */
  readonly idleExpiryMs?: Readonly<Record<string, number | null>>
  readonly heartbeatMs?: number
  readonly tailBytes?: { readonly perLog: number; readonly total: number }
  readonly sweepMs?: number
  /** The store can't go on: whoever owns the process ends it. */
  readonly onFatal?: (error: unknown) => void
}

const MiB = 1024 * 1024

/** Starts the product, with no network: takes the store's lease, and runs its own sweeps until `close`. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { store, limits, clock, random, logger } = options
  const fence = await store.acquireLease('store', random.id(), 0)
  const tails = createTailCache(options.tailBytes?.perLog ?? MiB, options.tailBytes?.total ?? 64 * MiB)
  const logs = createLogs(store, tails)
  const now = createSteadyTime(clock)
  const heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS

  const onFatal = (error: unknown): void => {
    logger.error('the store failed', { error: error instanceof Error ? error.message : String(error) })
    context.isDraining = true
    for (const log of logs.all()) log.end(errorFromStore(error))
    options.onFatal?.(error)
  }
  const isOver = (row: SessionRow): boolean => isSurplus(options.retention?.[row.kind] ?? KEEP_ALL, { events: row.head - row.floor, bytes: row.bytes }, 0)
  const context: Context = {
    store,
    logs,
    limits,
    clock,
    random,
    logger,
    now,
    writer: createWriter({ store, logs, clock, now, limits, fence, logger, isOver, onFatal }),
    kinds: new Map(options.kinds.map(kind => [kind.name, kind])),
    drivers: createDrivers(() => context, options.drivers ?? []),
    digest: options.digest,
    retention: options.retention ?? {},
    idleExpiryMs: options.idleExpiryMs ?? {},
    watchers: new Set(),
    counters: { appended: 0, duplicates: 0, attached: 0 },
    isDraining: false,
  }
  await context.drivers.takeBack()
  const sweep = createSweep(context, options.sweepMs)

  /** Every method: whatever a store throws reads as the contract's error. */
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (thrown) {
      const error = errorFromStore(thrown)
      if (error.code === 'internal') logger.error('a call failed', { error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) })
      throw error
    }
  }

  const orNew = async (principal: Principal, id: string, onMissing: 'error' | 'new' | undefined): Promise<string> =>
    onMissing === 'new' ? replaceMissing(context, principal, id) : id

  const attach = async (principal: Principal, id: string, attachOptions: AttachOptions) => {
    refuseWhileDraining(context)
    requireScope(principal, 'read')
    const isFeed = id === FEED_ID
    const log = isFeed
      ? await loadFeed(context, feedOwner(principal, attachOptions.owner))
      : await loadVisible(context, principal, await orNew(principal, id, attachOptions.onMissing))
    const { clientId, cursor } = attachOptions
    const known = clientId !== undefined && log.clients.has(clientId)
    if (clientId !== undefined) rememberClient(log, clientId)
    context.counters.attached++
    const seat = isFeed ? undefined : takeSeat(context, principal, log, attachOptions, cursor !== undefined || known)
    return createAttachment({
      store,
      log,
      sessionId: isFeed ? FEED_ID : log.id,
      epoch: store.epoch,
      fold: isFeed ? null : stateFoldOf(context, log.row.kind),
      mode: attachOptions.mode ?? 'replay',
      cursor,
      windowBytes: attachOptions.windowBytes,
      onClose: () => seat?.leave(),
      hello: (resume: Resume, head: number, floor: number) => ({
        session: isFeed ? { session_id: FEED_ID, kind: 'feed' } : sessionFromRow(log.row, store.epoch),
        epoch: store.epoch,
        head_seq: head,
        floor_seq: floor,
        resume,
        reconnected: cursor !== undefined || known,
        created_at: isoFromMs(log.row.createdAt),
        age_seconds: Math.max(0, now() - log.row.createdAt) / 1000,
        role: seat?.role ?? null,
        protocol: { version: PROTOCOL_VERSION, min: PROTOCOL_VERSION, max: PROTOCOL_VERSION },
        heartbeat_ms: heartbeatMs,
        limits,
        durability: store.durability,
      }),
    })
  }

  return {
    epoch: store.epoch,
    limits,
    counters: context.counters,
    createSession: (principal, body, given) => guarded(() => createSession(context, principal, body, given?.idempotencyKey)),
    getSession: (principal, id, given) =>
      guarded(async () => {
        requireScope(principal, 'read')
        const log = await loadVisible(context, principal, await orNew(principal, id, given?.onMissing))
        return sessionFromRow(log.row, store.epoch)
      }),
    listSessions: (principal, query) => guarded(() => listSessions(context, principal, query)),
    patchSession: (principal, id, patch) => guarded(() => patchSession(context, principal, id, patch)),
    deleteSession: (principal, id, children) => guarded(() => deleteSession(context, principal, id, children)),
    status: (principal, id) => guarded(() => statusOf(context, principal, id)),
    result: (principal, id, partial) => guarded(() => resultOf(context, principal, id, partial)),
    appendEvents: (principal, id, items, given) => guarded(() => appendEvents(context, principal, id, items, given)),
    input: (principal, id, input) => guarded(() => takeInput(context, principal, id, input)),
    resume: (principal, id, given) => guarded(async () => resumeSession(context, principal, await orNew(principal, id, given?.onMissing))),
    endSession: (principal, id) => guarded(async () => (await endSession(context, principal, id)).session),
    snapshot: (principal, id, at) =>
      guarded(async () => {
        requireScope(principal, 'read')
        const log = await loadVisible(context, principal, id)
        const fold = stateFoldOf(context, log.row.kind)
        if (!fold) throw new HoldfastError('invalid_request', `A session of kind "${log.row.kind}" has no snapshot.`, { kind: log.row.kind })
        if (at !== undefined && (!Number.isSafeInteger(at) || at < 0 || at > log.head))
          throw new HoldfastError('invalid_request', `at is 0 to ${log.head}.`, { field: 'at', head_seq: log.head })
        return { epoch: store.epoch, ...(await foldLog(store, log, fold, at)) }
      }),
    attach: (principal, id, given = {}) => guarded(() => attach(principal, id, given)),
    watch: (principal, kinds, onSession) => guarded(() => watch(context, principal, kinds, onSession)),
    putBlob: (principal, id, sha256, content) =>
      guarded(async () => {
        refuseWhileDraining(context)
        requireScope(principal, 'produce')
        const log = await loadVisible(context, principal, id)
        checkBlobName(sha256)
        try {
          return await store.putBlob(log.id, sha256, content, limits.blob_bytes)
        } catch (thrown) {
          if (thrown instanceof RangeError)
            throw new HoldfastError(
              'too_large',
              `A blob has at most ${limits.blob_bytes} bytes.`,
              { limit: 'blob_bytes', max: limits.blob_bytes },
              { cause: thrown },
            )
          if (thrown instanceof TypeError)
            throw new HoldfastError('invalid_request', 'The content has another SHA-256 than its name.', { sha256 }, { cause: thrown })
          throw thrown
        }
      }),
    getBlob: (principal, id, sha256) =>
      guarded(async (): Promise<BlobInfo> => {
        requireScope(principal, 'read')
        const log = await loadVisible(context, principal, id)
        checkBlobName(sha256)
        const blob = await store.getBlob(log.id, sha256)
        if (!blob) throw new HoldfastError('not_found', 'There is no such blob.', { sha256 })
        return blob
      }),
    putDoc: (collection, id, value) => guarded(() => context.writer.write([], transaction => transaction.doc({ collection, id, value }))),
    sweep: () => guarded(() => sweep.run()),
    async drain() {
      context.isDraining = true
      await context.drivers.stop()
      await context.writer.idle()
      const error = new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
      for (const log of logs.all()) log.end(error)
    },
    async close() {
      context.isDraining = true
      await sweep.stop()
      await context.drivers.stop()
      await context.writer.idle()
      await store.close()
    },
  }
}

/** A place at a session of a kind that has roles; whoever only looks takes none. */
function takeSeat(context: Context, principal: Principal, log: Log, options: AttachOptions, isReconnect: boolean): DriverSeat | undefined {
  const handle = context.drivers.handleOf(log)
  if (!handle) return undefined
  if (options.isSpectator) return { role: 'viewer', leave: () => undefined }
  return handle.attach({ ...callerOf(principal, options), mayWrite: hasScope(principal, 'write'), isReconnect })
}

/** Client ids remembered per session; the oldest goes first. */
const MAX_CLIENTS = 1000

function rememberClient(log: Log, clientId: string): void {
  log.clients.delete(clientId)
  log.clients.add(clientId)
  if (log.clients.size > MAX_CLIENTS) log.clients.delete(log.clients.values().next().value as string)
}

function feedOwner(principal: Principal, owner: string | undefined): string {
  if (principal.sessionId !== undefined && principal.sessionId !== FEED_ID) throw notFound(FEED_ID)
  if (owner !== undefined && owner !== principal.subject && !hasScope(principal, 'admin') && principal.seesAllOwners !== true)
    throw new HoldfastError('forbidden', 'Another owner\'s feed needs the scope "admin".', { scope: 'admin' })
  return owner ?? principal.subject
}

function checkBlobName(name: string): void {
  if (!/^[0-9a-f]{64}$/.test(name)) throw new HoldfastError('invalid_request', 'A blob is named by its SHA-256: 64 lowercase hex digits.', { field: 'sha256' })
}

/** The text of the last assistant message (RUN-04). */
async function resultOf(context: Context, principal: Principal, id: string, partial: boolean): Promise<string> {
  requireScope(principal, 'read')
  const log = await loadVisible(context, principal, id)
  if (!partial && log.row.record.ended_at === null)
    throw new HoldfastError('not_finished', 'The run has not finished; ?partial=true gives what there is.', { session_id: id })
  for (;;) {
    const { record } = log.row
    if (record.result_text !== null) return record.result_text
    const { result_seq: seq } = record
    if (seq === 0) break
    const chunk = log.tail.read(seq - 1, seq, 1) ?? (await context.store.read(log.id, seq - 1, 1))
    if (chunk?.firstSeq === seq) {
      const result = messageText((JSON.parse(textsFromChunk(chunk)[0] as string) as { payload: unknown }).payload)
      if (result !== undefined) return result
      break
    }
    // A trim took the event meanwhile, and left its text in the record.
    await log.settled()
    if (log.gone) throw log.gone
    if (log.row.record === record) break
  }
  throw new HoldfastError('no_result', 'The run has no assistant message with text.', { session_id: id })
}

/** All of them at once: over pages, a session that moves while they are read could be missed. */
const ALL_ROWS = 1_000_000

async function watch(
  context: Context,
  principal: Principal,
  kinds: ReadonlySet<string> | undefined,
  onSession: (id: string) => void,
): Promise<{ ids: string[]; stop(): void }> {
  requireScope(principal, 'read')
  const seen = new Set<string>()
  const early: string[] = []
  let listing = true
  const watcher = (row: { id: string; kind: string; owner: string }): void => {
    if (!isVisible(principal, row) || (kinds && !kinds.has(row.kind))) return
    if (listing) early.push(row.id)
    else onSession(row.id)
  }
  context.watchers.add(watcher)
  try {
    const rows = await context.store.listSessions({ ...(hasScope(principal, 'admin') ? {} : { owner: principal.subject }), limit: ALL_ROWS })
    for (const row of rows) if (isVisible(principal, row) && (!kinds || kinds.has(row.kind))) seen.add(row.id)
  } catch (thrown) {
    context.watchers.delete(watcher)
    throw thrown
  }
  listing = false
  // Created while the list was read: told as new ones, from their start.
  for (const id of early) {
    seen.delete(id)
    void Promise.resolve(id).then(onSession)
  }
  return { ids: [...seen], stop: () => void context.watchers.delete(watcher) }
}
