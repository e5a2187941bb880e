import { FEED_ID, HoldfastError, type Kind, type Limits } from '@holdfast/protocol'
import { feedRowId, goneError, isVisible, notFound } from './access.ts'
import type { Drivers } from './drivers.ts'
import type { Principal } from './engine.ts'
import { Log } from './log.ts'
import type { Logs } from './logs.ts'
import type { Clock, Logger, Random, SessionRecord, SessionRow, Store } from './ports.ts'
import type { Retention } from './retention.ts'
import { sessionFromRow } from './view.ts'
import type { Transaction } from './plan.ts'
import type { Writer } from './writer.ts'

/** What the engine's parts share. */
export interface Context {
  readonly store: Store
  readonly logs: Logs
  readonly writer: Writer
  readonly kinds: ReadonlyMap<string, Kind>
  readonly drivers: Drivers
  readonly limits: Limits
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** A short text that is equal for equal texts: a cryptographic hash. */
  readonly digest: (text: string) => string
  readonly now: () => number
  readonly retention: Readonly<Record<string, Retention>>
  /** ms without activity after which a session of the kind expires; null never. */
  readonly idleExpiryMs: Readonly<Record<string, number | null>>
  readonly watchers: Set<(row: SessionRow) => void>
  readonly counters: Counters
  isDraining: boolean
}

/** What `/metrics` shows of the engine. */
export interface Counters {
  appended: number
  duplicates: number
  attached: number
}

export const EMPTY_RECORD: SessionRecord = {
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

/** Throws `draining` once the engine stops taking work. */
export function refuseWhileDraining(context: Context): void {
  if (context.isDraining) throw new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
}

/** The live log of a session that this principal may see. Throws `not_found`, `session_deleted`, `session_expired`. */
export async function loadVisible(context: Context, principal: Principal, id: string): Promise<Log> {
  const found = context.logs.peek(id) ?? (await context.logs.load(id))
  if (!found) throw notFound(id)
  const row = found instanceof Log ? found.row : found
  if (!isVisible(principal, row) || row.kind === 'feed') throw notFound(id)
  if (!(found instanceof Log)) throw goneError(found)
  if (found.gone) throw found.gone
  return found
}

/** The log of an owner's feed, made when it is first asked for. */
export async function loadFeed(context: Context, owner: string): Promise<Log> {
  const id = feedRowId(owner)
  const found = context.logs.peek(id) ?? (await context.logs.load(id))
  if (found instanceof Log) return found
  const now = context.now()
  const row: SessionRow = {
    id,
    kind: 'feed',
    owner,
    status: 'live',
    life: 'running',
    createdAt: now,
    activityAt: now,
    head: 0,
    floor: 0,
    bytes: 0,
    record: EMPTY_RECORD,
  }
  const making = feedsInMaking.get(context) ?? new Map<string, Promise<Log>>()
  feedsInMaking.set(context, making)
  let made = making.get(id)
  if (!made) {
    made = context.writer
      .write([], transaction => transaction.create(row))
      .then(() => context.logs.peek(id) ?? context.logs.adopt(row))
      .finally(() => making.delete(id))
    making.set(id, made)
  }
  return made
}

const feedsInMaking = new WeakMap<Context, Map<string, Promise<Log>>>()

/** Appends to the owner's feed in the very commit that changes the session (decision 8, RUN-08). */
export function announce(context: Context, transaction: Transaction, feed: Log, type: 'session.created' | 'session.updated', row: SessionRow): void {
  transaction.append(feed, [{ type, id: context.random.id(), payload: { session: sessionFromRow(row, context.store.epoch) } }], FEED_ID)
}

/** The kind of a row; throws `invalid_request` for a kind that this server does not run. */
export function kindOf(context: Context, name: string): Kind {
  const kind = context.kinds.get(name)
  if (!kind) throw new HoldfastError('invalid_request', `This server runs no sessions of kind "${name}".`, { kinds: [...context.kinds.keys()] })
  return kind
}
