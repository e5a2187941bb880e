import { FEED_ID, HoldfastError } from '@holdfast/protocol'
import type { Principal, Scope } from './engine.ts'
import type { SessionRow } from './ports.ts'

/** True when the principal holds the scope; `admin` holds all. */
export const hasScope = (principal: Principal, scope: Scope): boolean => principal.scopes.has(scope) || principal.scopes.has('admin')

/** Throws `forbidden` without the scope. */
export function requireScope(principal: Principal, scope: Scope): void {
  if (!hasScope(principal, scope)) throw new HoldfastError('forbidden', `This needs the scope "${scope}".`, { scope })
}

/** True when the session exists for this principal; what is not visible reads as not found (OPS-02). */
export function isVisible(principal: Principal, row: Pick<SessionRow, 'id' | 'owner' | 'kind'>): boolean {
  if (principal.sessionId !== undefined && principal.sessionId !== row.id) return false
  if (principal.kinds && !principal.kinds.has(row.kind)) return false
  return row.owner === principal.subject || principal.scopes.has('admin') || principal.seesAllOwners === true
}

/** The row id of an owner's feed; the slash keeps it apart from every id that a client may choose. */
export const feedRowId = (owner: string): string => `${FEED_ID}/${owner}`

export const notFound = (id: string): HoldfastError => new HoldfastError('not_found', `There is no session "${id}".`, { session_id: id })

/** What a row that is no longer live answers. */
export const goneError = (row: Pick<SessionRow, 'id' | 'status'>): HoldfastError =>
  row.status === 'expired'
    ? new HoldfastError('session_expired', 'The session was idle for too long and is gone; ask with on_missing=new for a new one.', { session_id: row.id })
    : new HoldfastError('session_deleted', 'The session was deleted.', { session_id: row.id })
