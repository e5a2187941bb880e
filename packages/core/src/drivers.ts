import { type SessionState, statusFromState } from '@holdfast/protocol'
import { appendAll } from './appends.ts'
import { announce, type Context, kindOf, loadFeed } from './context.ts'
import type { Principal } from './engine.ts'
import type { StateFold } from './folds.ts'
import { Log } from './log.ts'
import type { Driver, DriverCaller, DriverChange, DriverHandle, DriverHost, DriverSession, DriverStart, Receipt, SessionRecord } from './ports.ts'
import type { Transaction } from './plan.ts'

/** What the engine's parts ask of the drivers. */
export interface Drivers {
  /** Undefined where nothing runs on the server for this kind. */
  hostOf(kind: string): DriverHost | undefined
  /** The handle of a live session; undefined where its kind has none. */
  handleOf(log: Log): DriverHandle | undefined
  /** When the session was last used in a way that is no event, ms; 0 where that is not known. */
  usedAt(log: Log): number
  /** Opens the handle of a session that was just created. */
  open(log: Log, start: DriverStart): void
  /** Opens the handles of sessions that go on. */
  takeBack(): Promise<void>
  /** The session is gone: so is what ran for it. */
  drop(log: Log): void
  stop(): Promise<void>
}

/** All of them at once, at the start. */
const ALL_ROWS = 1_000_000

/** Keeps one handle for each session that something runs for. */
export function createDrivers(context: () => Context, drivers: readonly Driver[]): Drivers {
  const hosts = new Map(drivers.flatMap(({ kind, host }) => (host ? [[kind.name as string, host] as const] : [])))
  const handles = new Map<string, DriverHandle>()

  const open = (log: Log, start?: DriverStart): DriverHandle | undefined => {
    const host = hosts.get(log.row.kind)
    if (!host || log.gone) return undefined
    const handle = host.open(sessionOf(context(), log), start)
    handles.set(log.id, handle)
    return handle
  }

  return {
    hostOf: kind => hosts.get(kind),
    handleOf: log => handles.get(log.id) ?? open(log),
    usedAt: log => handles.get(log.id)?.usedAt ?? 0,
    open,
    async takeBack() {
      const { store, logs } = context()
      for (const [kind, host] of hosts) {
        const rows = await store.listSessions({ kind, limit: ALL_ROWS })
        for (const id of await host.takeBack(rows.map(({ id, record }) => ({ id, own: record.own })))) {
          const log = await logs.load(id)
          if (log instanceof Log && !handles.has(id)) open(log)
        }
      }
    },
    drop(log) {
      const handle = handles.get(log.id) ?? (hosts.has(log.row.kind) ? hosts.get(log.row.kind)?.open(sessionOf(context(), log)) : undefined)
      handles.delete(log.id)
      handle?.drop()
    },
    async stop() {
      await Promise.all([...handles.values()].map(handle => handle.stop()))
      for (const host of hosts.values()) await host.close()
    },
  }
}

/** Whose role it is: the client id's, else the connection's, else the principal's. */
export function callerOf(principal: Principal, { clientId, connectionId }: { readonly clientId?: string; readonly connectionId?: string }): DriverCaller {
  if (clientId !== undefined) return { seat: `c:${clientId}`, clientId }
  return { seat: connectionId === undefined ? `p:${principal.subject}` : `s:${connectionId}@${principal.subject}` }
}

/** How a kind's state comes to be: its driver's fold, else its own; null where it has no snapshots. */
export const stateFoldOf = (context: Context, kind: string): StateFold | null => context.drivers.hostOf(kind)?.fold ?? context.kinds.get(kind)?.fold ?? null

export interface StoredReceipt extends Receipt {
  readonly store: (transaction: Transaction, seq: number | null) => void
  used: boolean
}

/** A receipt that stores an input's id when its effect is stored. */
export const createReceipt = (store: StoredReceipt['store']): StoredReceipt => ({ kind: 'receipt', store, used: false })

function sessionOf(context: Context, log: Log): DriverSession {
  return {
    id: log.id,
    options: log.row.record.options,
    workingDir: log.row.record.working_dir,
    get own() {
      return log.row.record.own
    },
    get state() {
      return log.row.record.state as SessionState
    },
    get isEnded() {
      return log.row.record.ended_at !== null
    },
    get activityAt() {
      return log.row.activityAt
    },
    now: context.now,
    get head() {
      return log.head
    },
    commit: change => commitChange(context, log, change),
    snapshot: () => context.store.getSnapshot(log.id, log.head),
    keepSnapshot: (seq, state) => context.store.putSnapshot(log.id, seq, state),
    read: (after, maxBytes) => Promise.resolve(log.tail.read(after, log.head, maxBytes) ?? context.store.read(log.id, after, maxBytes)),
  }
}

async function commitChange(context: Context, log: Log, change: DriverChange): Promise<number> {
  const feed = await loadFeed(context, log.row.owner)
  const plan = (transaction: Transaction): number => {
    const drafts = (change.events ?? []).map(event => ({ ...event, id: context.random.id() }))
    const { record: before } = transaction.rowOf(log)
    const record = changed(before, change)
    if (record !== before || change.isUse) transaction.patch(log, record)
    const firstSeq = drafts.length === 0 ? 0 : appendAll(context, transaction, log, feed, kindOf(context, log.row.kind), drafts)
    patchState(context, transaction, log, feed, change.state)
    const receipt = change.receipt as StoredReceipt | undefined
    if (receipt) {
      receipt.used = true
      receipt.store(transaction, firstSeq === 0 ? null : firstSeq + drafts.length - 1)
    }
    return firstSeq
  }
  return change.events?.length ? context.writer.write([log, feed], plan) : context.writer.writeAlone(log, [feed], plan)
}

const changed = (before: SessionRecord, { own, shown }: DriverChange): SessionRecord =>
  own || shown ? { ...before, ...(own ? { own: own(before.own) } : {}), ...(shown ? { shown: shown(before.shown ?? {}) } : {}) } : before

/** A state that no event says, while the session has not ended. */
function patchState(context: Context, transaction: Transaction, log: Log, feed: Log, state: SessionState | undefined): void {
  const { record } = transaction.rowOf(log)
  if (state === undefined || record.state === state || record.ended_at !== null) return
  transaction.patch(log, { ...record, state }, statusFromState(state))
  announce(context, transaction, feed, 'session.updated', transaction.rowOf(log))
}
