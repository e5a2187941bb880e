import { z } from 'zod'
import { ERRORS, type ErrorCode } from './errors.ts'
import { idSchema, kindSchema, sessionSchema } from './session.ts'

export const MODES = ['replay', 'snapshot', 'auto', 'live'] as const
/** How an attachment begins and what it does when it falls behind (contract section 3). */
export type Mode = (typeof MODES)[number]
export const modeSchema = z.enum(MODES)

export const RESUMES = ['new', 'ok', 'gap', 'snapshot', 'reset'] as const
export type Resume = (typeof RESUMES)[number]

export const ROLES = ['writer', 'viewer'] as const

const seq = z.int().min(0)
const limitsSchema = z.record(z.string(), z.number())
const cursorSchema = z.union([z.int().min(0), z.string()]).describe('"<epoch>.<seq>" or <seq>')

export const helloSchema = z.object({
  session: z.looseObject({ session_id: z.string(), kind: z.string() }).describe('The session; of a feed only its id and kind'),
  epoch: z.string(),
  head_seq: seq,
  floor_seq: seq,
  resume: z.enum(RESUMES),
  reconnected: z.boolean(),
  created_at: z.string(),
  age_seconds: z.number(),
  role: z.enum(ROLES).nullable(),
  protocol: z.object({ version: z.int(), min: z.int(), max: z.int() }),
  heartbeat_ms: z.int(),
  limits: limitsSchema,
  durability: z.enum(['full', 'relaxed']),
})
export type Hello = z.infer<typeof helloSchema>

export const gapSchema = z.object({ from_seq: seq, to_seq: seq, reason: z.enum(['trimmed', 'skipped']) })
export type Gap = z.infer<typeof gapSchema>

export const errorSchema = z.object({
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()),
})

/** Every control message that the server sends: never stored, never replayed, no seq (SEQ-12). */
export const SERVER_CONTROL = {
  'protocol.hello': helloSchema,
  'protocol.gap': gapSchema,
  'protocol.snapshot': z.object({ seq, part: z.int().min(1), parts: z.int().min(1), data: z.string() }),
  'protocol.caught_up': z.object({ seq }),
  'protocol.ack': z.object({
    id: z.string().nullable(),
    seq: seq.nullable(),
    duplicate: z.boolean(),
    first_seq: seq.optional(),
    results: z.array(z.object({ id: z.string(), seq, duplicate: z.boolean() })).optional(),
  }),
  'protocol.error': errorSchema,
  'protocol.pong': z.object({}),
  'protocol.heartbeat': z.object({ heads: z.record(z.string(), seq) }),
  'protocol.watching': z.object({ kinds: z.array(z.string()).nullable(), sessions: z.int().min(0) }),
  'protocol.goaway': z.object({ reconnect_in_ms: z.int().min(0) }),
} as const
export type ServerControlType = keyof typeof SERVER_CONTROL

/** Every control message that a client sends over WebSocket. */
export const CLIENT_CONTROL = {
  'protocol.auth': z.object({ token: z.string() }),
  'protocol.resume': z.object({
    last_seen_seq: cursorSchema.optional(),
    epoch: z.string().optional(),
    mode: modeSchema.optional(),
    window_bytes: z.int().min(1).optional(),
    on_missing: z.enum(['error', 'new']).optional(),
  }),
  'protocol.detach': z.object({}),
  'protocol.credit': z.object({ seq }),
  'protocol.ping': z.object({}),
  'protocol.watch': z.object({ kinds: z.array(kindSchema).optional() }),
} as const
export type ClientControlType = keyof typeof CLIENT_CONTROL

/** The outer form of every frame from a client; the payload is parsed by its type. */
export const clientFrameSchema = z.looseObject({
  type: z.string().min(1).max(128),
  header: z
    .looseObject({
      id: idSchema.optional(),
      session_id: z.string().max(128).optional(),
      client_id: idSchema.optional(),
      trace_id: z.string().max(128).optional(),
    })
    .optional(),
  payload: z.unknown().optional(),
})

export { sessionSchema }
