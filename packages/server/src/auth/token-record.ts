import { type Principal, SCOPES, type Scope } from '@holdfast/core'
import { z } from 'zod'

/** A token as the API shows it: everything but the secret. */
export interface TokenInfo {
  readonly id: string
  readonly subject: string
  readonly scopes: readonly Scope[]
  readonly session_id?: string
  /** RFC 3339, UTC. */
  readonly expires_at?: string
  readonly created_at: string
  readonly revoked: boolean
}

/** A token in memory. */
export interface TokenRecord {
  readonly info: TokenInfo
  /** SHA-256 of the whole secret. */
  readonly hash: Buffer
  /** ms since 1970; Infinity never. */
  readonly expiresAt: number
  readonly principal: Principal
}

const storedSchema = z.object({
  id: z.string(),
  subject: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  session_id: z.string().optional(),
  expires_at: z.iso.datetime().optional(),
  created_at: z.iso.datetime(),
  revoked: z.boolean(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
})

/** The record of what was just minted or read. */
export function tokenRecord(info: TokenInfo, hash: Buffer): TokenRecord {
  return {
    info,
    hash,
    expiresAt: info.expires_at === undefined ? Infinity : Date.parse(info.expires_at),
    principal: { subject: info.subject, scopes: new Set(info.scopes), ...(info.session_id === undefined ? {} : { sessionId: info.session_id }) },
  }
}

/** The document that the store keeps. */
export const docFromToken = (record: TokenRecord): string => JSON.stringify({ ...record.info, hash: record.hash.toString('hex') })

/** Undefined where the document is not one of a token with this id: such a token is refused, never guessed at. */
export function tokenFromDoc(id: string, value: string): TokenRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(value)
  } catch {
    return undefined
  }
  const parsed = storedSchema.safeParse(json)
  if (!parsed.success || parsed.data.id !== id) return undefined
  const { hash, session_id, expires_at, ...rest } = parsed.data
  const info: TokenInfo = { ...rest, ...(session_id === undefined ? {} : { session_id }), ...(expires_at === undefined ? {} : { expires_at }) }
  return tokenRecord(info, Buffer.from(hash, 'hex'))
}
