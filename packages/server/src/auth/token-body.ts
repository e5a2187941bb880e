import { SCOPES, type Scope } from '@holdfast/core'
import { HoldfastError, idSchema } from '@holdfast/protocol'
import { z } from 'zod'
import { LOCAL_SUBJECT } from './principals.ts'
import { msFromRfc3339 } from './rfc3339.ts'

/** The body of `POST /tokens`; strict, since a misspelt `expires_at` would make a token that never expires. */
export const mintTokenSchema = z
  .strictObject({
    subject: idSchema.refine(subject => subject !== LOCAL_SUBJECT, `"${LOCAL_SUBJECT}" is reserved for requests without a token`),
    scopes: z.array(z.enum(SCOPES)).min(1).max(64),
    session_id: idSchema.optional(),
    expires_at: z
      .string()
      .refine(text => msFromRfc3339(text) !== undefined, 'must be an RFC 3339 date-time, such as 2030-01-31T12:00:00Z')
      .optional(),
  })
  .refine(body => body.session_id === undefined || !body.scopes.includes('admin'), {
    path: ['scopes'],
    message: 'a token bound to a session cannot be an admin: it could mint itself a wider one',
  })

/** What a token is asked to be, checked. */
export interface TokenRequest {
  readonly subject: string
  readonly scopes: readonly Scope[]
  readonly sessionId?: string
  /** ms since 1970. */
  readonly expiresAt?: number
}

/** Parses a body with a zod schema; the first problem as `invalid_request`, naming the field. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = issue?.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : (issue?.path.join('.') ?? '')
  throw new HoldfastError('invalid_request', field === '' ? `The body is not valid: ${issue?.message}.` : `"${field}": ${issue?.message}.`, { field })
}

/** Checks a `POST /tokens` body against the wall clock; throws `invalid_request`. */
export function parseTokenRequest(body: unknown, nowMs: number): TokenRequest {
  const parsed = parseBody(mintTokenSchema, body)
  const expiresAt = parsed.expires_at === undefined ? undefined : msFromRfc3339(parsed.expires_at)
  if (expiresAt !== undefined && expiresAt <= nowMs) throw new HoldfastError('invalid_request', '"expires_at" must lie in the future.', { field: 'expires_at' })
  return {
    subject: parsed.subject,
    scopes: SCOPES.filter(scope => parsed.scopes.includes(scope)),
    ...(parsed.session_id === undefined ? {} : { sessionId: parsed.session_id }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  }
}
