import { type Principal, SCOPES, type Scope } from '@holdfast/core'
import type { Access } from '../host.ts'

/** The subject of requests that carry no token on tokenless loopback; no token can be minted for it. */
export const LOCAL_SUBJECT = 'local'

/** Who asks on tokenless loopback: runs only, since whatever can execute needs a token (OPS-01). */
export const LOCAL_PRINCIPAL: Principal = {
  subject: LOCAL_SUBJECT,
  scopes: new Set<Scope>(['read', 'write', 'produce']),
  kinds: new Set(['run']),
}

/** Whoever holds the data folder's token, or the one given by `--token`. */
export const ADMIN_PRINCIPAL: Principal = { subject: 'admin', scopes: new Set(SCOPES) }

/** Stands where nobody is known yet or nobody is asked for: may do nothing, sees nothing. */
export const NOBODY: Access = { principal: { subject: '', scopes: new Set<Scope>(), kinds: new Set() }, tokenId: null }
