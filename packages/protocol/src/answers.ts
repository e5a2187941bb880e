import { z } from 'zod'
import { errorSchema, gapSchema, RESUMES } from './control.ts'
import { FEED_ID } from './ids.ts'
import { idSchema, sessionSchema, stateSchema } from './session.ts'

const seq = z.int().min(0)
const ok = z.literal(true)
const timestamp = z.string().describe('RFC 3339, UTC, ms')

/** What the server stamps on an event when it appends: `seq` orders, `version` only negotiates (SEQ-15). */
export const eventHeaderSchema = z
  .looseObject({
    id: z.string().describe("The sender's own id, or a UUIDv7"),
    session_id: z.string(),
    seq: z.int().min(1).describe('Position in the session, dense from 1'),
    timestamp: timestamp.describe("The server's append time, RFC 3339, UTC, ms"),
    version: z.int().min(1).describe("The protocol's major, for negotiation only"),
    client_id: z.string().optional(),
    trace_id: z.string().optional(),
  })
  .describe('Unknown fields are ignored')

/** Any event, as a reader meets it (types it knows, and later ones). */
export const eventSchema = z
  .looseObject({ type: z.string(), header: eventHeaderSchema, payload: z.unknown() })
  .describe('One stored item of a log; unknown types and fields are ignored and still advance the cursor')

/** The body of every refusal over HTTP. */
export const errorAnswerSchema = z.object({ error: errorSchema })

const itemResults = z.array(z.object({ id: z.string(), seq, duplicate: z.boolean() }))

/** A token, without its secret. */
export const tokenSchema = z.looseObject({
  id: z.string(),
  subject: z.string(),
  scopes: z.array(z.enum(['read', 'write', 'produce', 'exec', 'admin'])),
  session_id: z.string().nullable().optional(),
  expires_at: timestamp.nullable().optional(),
  created_at: timestamp.optional(),
  revoked: z.boolean().optional(),
})

/** The body of every successful answer, by what it says (contract sections 3 and 4). */
export const ANSWERS = {
  created: z.object({ ok, session: sessionSchema }),
  session: z.object({ session: sessionSchema }),
  sessions: z.object({ sessions: z.array(sessionSchema), next_page: z.string().nullable() }),
  ok: z.object({ ok }),
  status: z.object({ status: z.enum(['running', 'finished', 'not_existent']), state: stateSchema.nullable() }),
  result: z.object({ result: z.string() }),
  appended: z.object({ ok, first_seq: seq, last_seq: seq, duplicate: z.boolean(), results: itemResults.optional() }),
  page: z.object({
    events: z.array(eventSchema),
    epoch: z.string(),
    head_seq: seq,
    floor_seq: seq,
    next_after: seq.optional().describe('The cursor of the next page in this epoch'),
    next_cursor: z.string().optional().describe('The same as `<epoch>.<seq>`; keep this one over restarts'),
    prev_before: seq.optional().describe('With `before`: where the page before this one ends'),
    has_more: z.boolean(),
    resume: z.enum(RESUMES).optional(),
    gap: gapSchema.optional(),
    snapshot: z.object({ seq, state: z.unknown() }).optional(),
  }),
  accepted: z.object({ ok, id: z.string(), seq: seq.nullable(), duplicate: z.boolean(), first_seq: seq.optional(), results: itemResults.optional() }),
  resumed: z.object({ session: sessionSchema, resumed: z.literal(true), context_restored: z.boolean(), messages: z.int().min(0), head_seq: seq }),
  snapshot: z.object({ seq, epoch: z.string(), state: z.unknown() }),
  blob: z.object({ ok, sha256: z.string() }),
  token: tokenSchema.extend({ token: z.string().describe('Shown this once') }),
  tokens: z.object({ tokens: z.array(tokenSchema) }),
  ticket: z.object({ ticket: z.string(), expires_at: timestamp }),
  document: z.looseObject({}),
} as const

/** The body of `POST /tokens`. */
export const createTokenSchema = z.object({
  subject: z.string().min(1),
  scopes: z.array(z.enum(['read', 'write', 'produce', 'exec', 'admin'])).min(1),
  session_id: idSchema.optional(),
  expires_at: z.string().optional().describe('RFC 3339, in the future; without it the token does not expire'),
})

/** The body of `POST /tickets`: for URLs, which get logged, instead of a token, which must not. */
export const createTicketSchema = z.object({
  session_id: z.union([z.literal(FEED_ID), idSchema]).optional(),
  scope: z.enum(['read', 'write', 'produce']),
  stream: z.boolean().optional().describe('For an EventSource: 5 min, reusable, bound to session and scope; else 30 s and one use'),
})
