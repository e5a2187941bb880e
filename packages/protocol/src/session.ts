import { z } from 'zod'
import { ID_PATTERN } from './ids.ts'

export const idSchema = z.string().regex(ID_PATTERN).describe('An id: [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}')

export const KIND_NAMES = ['chat', 'terminal', 'ui', 'run'] as const
export type KindName = (typeof KIND_NAMES)[number]
export const kindSchema = z.enum(KIND_NAMES)

/** The full value of a session's life. */
export const STATES = ['running', 'idle', 'waiting', 'ended', 'failed', 'expired', 'lost'] as const
export type SessionState = (typeof STATES)[number]
export const stateSchema = z.enum(STATES)

export type SessionStatus = 'running' | 'finished'

/** `status` is a view of `state`. */
export const statusFromState = (state: SessionState): SessionStatus => (state === 'running' || state === 'idle' || state === 'waiting' ? 'running' : 'finished')

const text = z.string().max(4096)
const timestamp = z.string().describe('RFC 3339, UTC, ms')
const metadataSchema = z.record(z.string(), z.unknown())

/** A session as every call shows it. */
export const sessionSchema = z
  .looseObject({
    session_id: z.string(),
    session_name: z.string().nullable(),
    kind: z.enum([...KIND_NAMES, 'feed']),
    status: z.enum(['running', 'finished']),
    state: stateSchema,
    owner: z.string(),
    project_dir: z.string().nullable(),
    working_dir: z.string().nullable(),
    project_id: z.string().nullable(),
    agent_name: z.string().nullable(),
    description: z.string().nullable(),
    parent_session_id: z.string().nullable(),
    previous_session_id: z.string().nullable(),
    is_active: z.boolean(),
    created_at: timestamp,
    last_activity_at: timestamp,
    last_resumed_at: timestamp.nullable(),
    ended_at: timestamp.nullable(),
    expires_at: timestamp.nullable(),
    epoch: z.string(),
    head_seq: z.int().min(0),
    floor_seq: z.int().min(0),
    bytes: z.int().min(0),
    metadata: metadataSchema,
  })
  .describe('A session')
export type Session = z.infer<typeof sessionSchema>

const terminalOptionsSchema = z.object({
  command: z.string().min(1),
  args: z.array(z.string()).optional(),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
  cols: z.int().min(1).max(1000).optional(),
  rows: z.int().min(1).max(1000).optional(),
  single_user: z.boolean().optional(),
})

const chatOptionsSchema = z.object({
  backend: z.string().optional(),
  model: z.string().optional(),
  agent: z.string().optional(),
  system: z.string().optional(),
  tools: z.array(z.unknown()).optional(),
})

const uiOptionsSchema = z.object({ a2ui_version: z.string().optional(), catalog: z.string().optional() })

/** The body of `POST /sessions`. */
export const createSessionSchema = z
  .object({
    session_id: idSchema.optional(),
    session_name: text.optional(),
    kind: kindSchema.default('run'),
    project_dir: text.optional(),
    working_dir: text.optional(),
    project_id: text.optional(),
    agent_name: text.optional(),
    description: text.optional(),
    parent_session_id: idSchema.optional(),
    metadata: metadataSchema.optional(),
    chat: chatOptionsSchema.optional(),
    terminal: terminalOptionsSchema.optional(),
    ui: uiOptionsSchema.optional(),
  })
  .refine(body => body.kind !== 'run' || (body.session_name ?? '') !== '', { path: ['session_name'], message: 'a run needs a session_name' })
export type CreateSession = z.infer<typeof createSessionSchema>

/** The body of `PATCH /sessions/{id}`. */
export const patchSessionSchema = z.object({ session_name: text.optional(), description: text.optional(), metadata: metadataSchema.optional() })
export type PatchSession = z.infer<typeof patchSessionSchema>
