import { z } from 'zod'
import { ANSWERS, createTicketSchema, createTokenSchema } from './answers.ts'
import { modeSchema } from './control.ts'
import type { ErrorCode } from './errors.ts'
import { inputSchema } from './inputs.ts'
import { runItemSchema } from './kinds/run.ts'
import { PAGE } from './limits.ts'
import { createSessionSchema, idSchema, kindSchema, patchSessionSchema } from './session.ts'

/** What one HTTP call takes and gives (contract sections 3, 4 and 9). */
export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** With `{name}` for parameters. */
  readonly path: string
  readonly summary: string
  /** The scope that it needs; `open` asks for no token. */
  readonly scope: 'open' | 'read' | 'write' | 'produce' | 'admin'
  readonly query?: z.ZodObject
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: { readonly types: readonly string[]; readonly schema: z.ZodType | null }
  readonly answers: readonly Answer[]
  /** Besides those that every call may give. */
  readonly errors: readonly ErrorCode[]
  readonly deprecated?: true
}

export interface Answer {
  readonly status: number
  readonly type: string
  /** null where the body is no JSON of ours. */
  readonly schema: z.ZodType | null
  readonly meaning?: string
}

const JSON_TYPE = 'application/json'
const json = (status: number, schema: z.ZodType, meaning?: string): Answer => ({
  status,
  type: JSON_TYPE,
  schema,
  ...(meaning === undefined ? {} : { meaning }),
})
const other = (type: string, meaning: string, status = 200): Answer => ({ status, type, schema: null, meaning })
const body = (schema: z.ZodType) => ({ types: [JSON_TYPE], schema })

const ITEMS = {
  types: [JSON_TYPE, 'application/x-ndjson'],
  schema: z.union([runItemSchema, z.looseObject({ type: z.string(), id: idSchema.optional(), payload: z.unknown() }), z.array(z.looseObject({})).min(1)]),
}

const flag = z.enum(['true', 'false']).optional()
const cursor = z.string().describe('`<epoch>.<seq>` or `<seq>`, exclusive; 0 is the start')
const onMissing = z.enum(['error', 'new']).optional().describe('`new`: in place of an expired or deleted session a new one of the same kind and options')
const sha256 = '64 lowercase hex digits'

/** Errors of every call that has a session in its path. */
const SESSION: readonly ErrorCode[] = ['invalid_request', 'forbidden', 'not_found', 'session_expired', 'session_deleted']
const BODY: readonly ErrorCode[] = ['too_large', 'unsupported_media_type', 'storage_failed']
const IDEMPOTENCY = { 'Idempotency-Key': 'Makes the call repeatable: the same key and body give the first answer again, for 7 days' }

const READING = z.object({
  after: cursor.optional(),
  cursor: cursor.optional(),
  limit: z.int().min(1).max(PAGE.maxLimit).default(PAGE.limit).optional(),
  wait: z.int().min(0).optional().describe('ms to hold the answer until there is something; more than 30000 counts as 30000'),
  before: z.int().min(1).optional().describe('The page before this seq, ascending; without `after` and `wait`'),
  mode: modeSchema.optional(),
  client_id: idSchema.optional(),
  ticket: z.string().optional().describe('Of POST /tickets with stream: true, for an EventSource'),
  on_missing: onMissing,
})
const READ_ANSWERS = [json(200, ANSWERS.page, 'A page of events'), other('text/event-stream', 'With Accept: text/event-stream: the events, then live')]
const READ_HEADERS = { 'Last-Event-ID': 'The cursor of an SSE reader; goes before the query, an empty one counts as absent' }
const READ_ERRORS: readonly ErrorCode[] = [...SESSION, 'invalid_cursor', 'storage_failed']

/** Every HTTP call, in the order of the docs; the OpenAPI document is made from it. */
export const ROUTES: readonly Route[] = [
  {
    method: 'post',
    path: '/sessions',
    summary: 'Create a session. A run needs `produce`, whatever can execute `exec`.',
    scope: 'produce',
    headers: IDEMPOTENCY,
    body: body(createSessionSchema),
    answers: [json(201, ANSWERS.created), json(200, ANSWERS.created, 'The same id and body, or the same Idempotency-Key, again')],
    errors: ['invalid_request', 'forbidden', 'conflict', 'rate_limited', ...BODY],
  },
  {
    method: 'get',
    path: '/sessions',
    summary: 'Sessions that the caller may see, newest activity first',
    scope: 'read',
    query: z.object({
      kind: kindSchema.optional(),
      status: z.enum(['running', 'finished']).optional(),
      limit: z.int().min(1).max(1000).optional(),
      page: z.string().optional().describe('`next_page` of the page before'),
    }),
    answers: [json(200, ANSWERS.sessions)],
    errors: ['invalid_request'],
  },
  {
    method: 'get',
    path: '/sessions/{id}',
    summary: 'One session',
    scope: 'read',
    query: z.object({ on_missing: onMissing }),
    answers: [json(200, ANSWERS.session)],
    errors: SESSION,
  },
  {
    method: 'patch',
    path: '/sessions/{id}',
    summary: 'Change name, description or metadata (replaced whole); unknown fields are ignored',
    scope: 'write',
    body: body(patchSessionSchema),
    answers: [json(200, ANSWERS.session)],
    errors: [...SESSION, ...BODY],
  },
  {
    method: 'delete',
    path: '/sessions/{id}',
    summary: 'Delete a session; its events and blobs are erased within 10 s',
    scope: 'write',
    query: z.object({ children: z.enum(['keep', 'delete']).default('keep').optional() }),
    answers: [json(200, ANSWERS.ok)],
    errors: [...SESSION, 'storage_failed'],
  },
  {
    method: 'get',
    path: '/sessions/{id}/status',
    summary: 'Status and state; `not_existent` for unknown, deleted and others’ ids',
    scope: 'read',
    answers: [json(200, ANSWERS.status)],
    errors: [],
  },
  {
    method: 'get',
    path: '/sessions/{id}/result',
    summary: 'Text of the last assistant message',
    scope: 'read',
    query: z.object({ partial: flag.describe('Also before the run has finished') }),
    answers: [json(200, ANSWERS.result)],
    errors: [...SESSION, 'not_finished', 'no_result'],
  },
  {
    method: 'post',
    path: '/sessions/{id}/events',
    summary: 'Append events: an object, an array or NDJSON, all or nothing',
    scope: 'produce',
    query: z.object({ client_id: idSchema.optional().describe('Whose ids the items carry; the principal’s without it') }),
    headers: IDEMPOTENCY,
    body: ITEMS,
    answers: [json(201, ANSWERS.appended)],
    errors: [...SESSION, 'id_mismatch', 'conflict', 'session_ended', 'rate_limited', ...BODY],
  },
  {
    method: 'get',
    path: '/sessions/{id}/events',
    summary: 'Read events after a cursor: a page, a long poll, or a stream',
    scope: 'read',
    query: READING,
    headers: READ_HEADERS,
    answers: READ_ANSWERS,
    errors: READ_ERRORS,
  },
  {
    method: 'post',
    path: '/sessions/{id}/inputs',
    summary: 'Any input that a WebSocket client could send',
    scope: 'write',
    body: body(inputSchema),
    answers: [json(202, ANSWERS.accepted)],
    errors: [...SESSION, 'id_mismatch', 'conflict', 'busy', 'session_ended', 'rate_limited', 'backend_failed', ...BODY],
  },
  {
    method: 'post',
    path: '/sessions/{id}/resume',
    summary: 'Restore a session and make it the active one; reopens a finished run',
    scope: 'write',
    query: z.object({ force: flag.describe('Restore what can be read of a damaged transcript'), on_missing: onMissing }),
    answers: [json(200, ANSWERS.resumed)],
    errors: [...SESSION, 'busy', 'invalid_transcript', 'backend_failed', 'storage_failed'],
  },
  {
    method: 'post',
    path: '/sessions/{id}/end',
    summary: 'End a session; its history stays readable',
    scope: 'write',
    answers: [json(200, ANSWERS.session)],
    errors: [...SESSION, 'storage_failed'],
  },
  {
    method: 'get',
    path: '/sessions/{id}/snapshot',
    summary: 'State folded up to a seq; a run has none',
    scope: 'read',
    query: z.object({ at: z.int().min(0).optional() }),
    answers: [json(200, ANSWERS.snapshot)],
    errors: SESSION,
  },
  {
    method: 'put',
    path: '/sessions/{id}/blobs/{sha256}',
    summary: `Store content under its SHA-256 (${sha256}), at most 64 MiB`,
    scope: 'produce',
    body: { types: ['*/*'], schema: null },
    answers: [json(201, ANSWERS.blob), json(200, ANSWERS.blob, 'It was there already')],
    errors: [...SESSION, 'too_large', 'storage_failed'],
  },
  {
    method: 'get',
    path: '/sessions/{id}/blobs/{sha256}',
    summary: 'Stored content',
    scope: 'read',
    answers: [other('application/octet-stream', 'The content, never to be sniffed')],
    errors: SESSION,
  },
  {
    method: 'get',
    path: '/sessions/{id}/export',
    summary: 'The log, streamed',
    scope: 'read',
    query: z.object({ format: z.enum(['jsonl', 'asciicast', 'markdown', 'text']).optional() }),
    answers: [other('*/*', 'In the form asked for')],
    errors: [...SESSION, 'storage_failed'],
  },
  {
    method: 'get',
    path: '/feed/events',
    summary: 'The owner’s feed: the life of every session, read like any other log',
    scope: 'read',
    query: READING.extend({ owner: z.string().optional().describe('Admins: whose feed') }),
    headers: READ_HEADERS,
    answers: READ_ANSWERS,
    errors: ['invalid_request', 'invalid_cursor', 'forbidden', 'storage_failed'],
  },
  {
    method: 'get',
    path: '/events',
    summary: 'Several sessions on one stream',
    scope: 'read',
    query: z.object({
      attach: z.string().describe('`<id>@<cursor>,…`'),
      mode: modeSchema.optional(),
      client_id: idSchema.optional(),
      ticket: z.string().optional(),
    }),
    answers: [other('text/event-stream', 'Records with ids `<session_id>@<epoch>.<seq>`')],
    errors: ['invalid_request', 'invalid_cursor', 'forbidden'],
  },
  {
    method: 'get',
    path: '/ws',
    summary: 'WebSocket: `holdfast.v1+json` or `holdfast.v1+binary`',
    scope: 'read',
    query: z.object({
      session_id: z.string().optional(),
      cursor: cursor.optional(),
      last_seen_seq: cursor.optional(),
      mode: modeSchema.optional(),
      client_id: idSchema.optional(),
      ticket: z.string().optional(),
    }),
    answers: [other('*/*', 'The socket; refusals but `origin_rejected` come as a close code', 101)],
    errors: [],
  },
  {
    method: 'post',
    path: '/events',
    summary: 'For reporters that know no sessions: `session_start` creates or resumes, others append',
    scope: 'produce',
    headers: IDEMPOTENCY,
    body: body(runItemSchema),
    answers: [json(201, ANSWERS.appended)],
    errors: [...SESSION, 'id_mismatch', 'conflict', 'rate_limited', ...BODY],
    deprecated: true,
  },
  {
    method: 'get',
    path: '/events/{session_id}',
    summary: 'The same as GET /sessions/{id}/events',
    scope: 'read',
    query: READING,
    answers: READ_ANSWERS,
    errors: READ_ERRORS,
    deprecated: true,
  },
  {
    method: 'post',
    path: '/tokens',
    summary: 'Mint a token; it is shown once',
    scope: 'admin',
    body: body(createTokenSchema),
    answers: [json(201, ANSWERS.token)],
    errors: ['invalid_request', 'forbidden', ...BODY],
  },
  { method: 'get', path: '/tokens', summary: 'Tokens, without their secret', scope: 'admin', answers: [json(200, ANSWERS.tokens)], errors: ['forbidden'] },
  {
    method: 'delete',
    path: '/tokens/{id}',
    summary: 'Revoke a token: its sockets close, its streams end, its tickets die',
    scope: 'admin',
    answers: [json(200, ANSWERS.ok)],
    errors: ['forbidden', 'not_found', 'storage_failed'],
  },
  {
    method: 'post',
    path: '/tickets',
    summary: 'A short-lived stand-in for a token, for a URL',
    scope: 'read',
    body: body(createTicketSchema),
    answers: [json(201, ANSWERS.ticket)],
    errors: ['invalid_request', 'forbidden', 'not_found', ...BODY],
  },
  { method: 'get', path: '/healthz', summary: 'The process lives', scope: 'open', answers: [json(200, ANSWERS.document)], errors: [] },
  {
    method: 'get',
    path: '/readyz',
    summary: 'It can serve: the store writes and it is not draining',
    scope: 'open',
    answers: [json(200, ANSWERS.document)],
    errors: ['draining', 'storage_failed'],
  },
  { method: 'get', path: '/schema.json', summary: 'JSON Schema of the protocol', scope: 'open', answers: [json(200, ANSWERS.document)], errors: [] },
  { method: 'get', path: '/openapi.json', summary: 'This document', scope: 'open', answers: [json(200, ANSWERS.document)], errors: [] },
  {
    method: 'get',
    path: '/metrics',
    summary: 'Prometheus metrics',
    scope: 'read',
    answers: [other('text/plain', 'Prometheus text format')],
    errors: ['forbidden'],
  },
  {
    method: 'get',
    path: '/compat/sessions/ws',
    summary: 'Plain old broadcast socket: init, session_created, event, session_updated',
    scope: 'read',
    answers: [other('*/*', 'The socket', 101)],
    errors: [],
    deprecated: true,
  },
  {
    method: 'get',
    path: '/compat/terminal/ws',
    summary: 'Plain old terminal socket: session, output, input, resize',
    scope: 'read',
    query: z.object({ session_id: z.string() }),
    answers: [other('*/*', 'The socket', 101)],
    errors: [],
    deprecated: true,
  },
]

/** Errors that any guarded call may give, besides its own. */
export const COMMON_ERRORS: readonly ErrorCode[] = ['unauthorized', 'origin_rejected', 'rate_limited', 'internal', 'draining']
