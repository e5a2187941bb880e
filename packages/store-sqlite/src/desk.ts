import type { Sql } from './database.ts'
import type { Ids } from './ids.ts'
import type { Journal } from './journal.ts'
import type { Logs } from './logs.ts'
import type { Paths } from './paths.ts'

/** What the items of a transaction work on. */
export interface Desk {
  readonly sql: Sql
  readonly logs: Logs
  readonly ids: Ids
  readonly journal: Journal
  readonly paths: Paths
  /** Sessions whose logs are not to be trusted. */
  readonly quarantined: Set<string>
  /** The newest fence of the lease `store`. */
  fence: number
  /** Set when something is out of reach and waits for the eraser. */
  hasRemains: boolean
}
