import { type HoldfastError as Refusal, DEFAULT_LIMITS, ERRORS, errorFrom, FEED_ID, HoldfastError, inputSchema, isId, MAX_DEPTH } from '@holdfast/protocol'
import { type Context, Hono } from 'hono'
import type { Access, Host } from '../host.ts'
import { flagFromQuery, intFromQuery, onMissingFromQuery } from '../query.ts'
import { answerAppend, checkSessionId, idempotencyKeyFrom } from './append.ts'
import { ENVELOPE_DEPTH, piecesOf, readBytes, readObject } from './body.ts'
import { exportLog } from './export.ts'
import { answerPoll } from './poll.ts'
import { errorText, retryAfter } from './send-error.ts'
import { streamAnswer } from './stream-answer.ts'

export interface AppBindings {
  Bindings: { readonly access: Access }
}
type Ctx = Context<AppBindings>

/** What operations and tokens bring to the routes; kept apart so that the session routes need nothing of them. */
export type Routes = (app: Hono<AppBindings>) => void

/** Every route as Fetch request to Fetch response; event streams and sockets live below it. The caller has passed the guard. */
export function createApp(host: Host, more: readonly Routes[] = []): Hono<AppBindings> {
  const app = new Hono<AppBindings>()
  app.onError((thrown, _context) => refusal(host, thrown))
  app.notFound(context => refusal(host, new HoldfastError('not_found', `There is nothing at ${context.req.method} ${context.req.path.slice(0, 200)}.`)))
  sessionRoutes(app, host)
  eventRoutes(app, host)
  blobRoutes(app, host)
  legacyRoutes(app, host)
  for (const add of more) add(app)
  return app
}

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** A JSON answer; nothing here may be cached. */
export const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers: { ...JSON_HEADERS, ...headers } })

const jsonBytes = (bytes: Uint8Array): Response => new Response(bytes as Uint8Array<ArrayBuffer>, { headers: JSON_HEADERS })

export function refusal(host: Host, thrown: unknown): Response {
  const error: Refusal = errorFrom(thrown)
  if (error.code === 'internal') host.logger.error('a request failed', { error: String((error.cause as Error | undefined)?.stack ?? error.cause) })
  host.countRefusal(error.code)
  return new Response(errorText(error.body()), { status: ERRORS[error.code].status ?? 400, headers: { ...JSON_HEADERS, ...retryAfter(error) } })
}

const queryOf = (context: Ctx): URLSearchParams => new URL(context.req.url).searchParams
const principalOf = (context: Ctx) => context.env.access.principal

/** The id in the path; another in the query or a header is `id_mismatch`, never a silent pick (SEQ-10). */
function sessionIdOf(context: Ctx): string {
  const id = context.req.param('id') ?? ''
  checkSessionId(id, queryOf(context), context.req.header('x-session-id'))
  return id
}

/** Where the body names the session: another in the query or a header is `id_mismatch` (SEQ-10). */
function checkNamed(context: Ctx, id: unknown): void {
  const others = [queryOf(context).get('session_id'), context.req.header('x-session-id')]
  for (const other of others)
    if (other !== null && other !== undefined && other !== id)
      throw new HoldfastError('id_mismatch', 'session_id is another than the one in the body.', { session_id: String(id).slice(0, 128) })
}

function sessionRoutes(app: Hono<AppBindings>, host: Host): void {
  const { engine, limits } = host
  app.post('/sessions', async context => {
    host.countRequest(principalOf(context))
    const key = idempotencyKeyFrom(context.req.header('idempotency-key'))
    const body = await readObject(context.req.raw, limits)
    checkNamed(context, body.session_id)
    const { session, created } = await engine.createSession(principalOf(context), body, key === undefined ? {} : { idempotencyKey: key })
    return json({ ok: true, session }, created ? 201 : 200)
  })
  app.get('/sessions', async context => {
    const query = queryOf(context)
    const limit = intFromQuery(query, 'limit', 1, 1000)
    const [kind, status, page] = [query.get('kind'), query.get('status'), query.get('page')]
    return json(
      await engine.listSessions(principalOf(context), {
        ...(kind === null ? {} : { kind }),
        ...(status === null ? {} : { status }),
        ...(page === null ? {} : { page }),
        ...(limit === undefined ? {} : { limit }),
      }),
    )
  })
  app.get('/sessions/:id', async context =>
    json({ session: await engine.getSession(principalOf(context), sessionIdOf(context), { onMissing: onMissingFromQuery(queryOf(context)) }) }),
  )
  app.patch('/sessions/:id', async context => {
    host.countRequest(principalOf(context))
    const id = sessionIdOf(context)
    return json({ session: await engine.patchSession(principalOf(context), id, await readObject(context.req.raw, limits)) })
  })
  app.delete('/sessions/:id', async context => {
    host.countRequest(principalOf(context))
    const children = queryOf(context).get('children') ?? 'keep'
    if (children !== 'keep' && children !== 'delete') throw new HoldfastError('invalid_request', 'children is "keep" or "delete".', { field: 'children' })
    await engine.deleteSession(principalOf(context), sessionIdOf(context), children)
    return json({ ok: true })
  })
  app.get('/sessions/:id/status', async context => {
    const id = context.req.param('id')
    return json(isId(id) ? await engine.status(principalOf(context), sessionIdOf(context)) : { status: 'not_existent', state: null })
  })
  app.get('/sessions/:id/result', async context =>
    json({ result: await engine.result(principalOf(context), sessionIdOf(context), flagFromQuery(queryOf(context), 'partial')) }),
  )
  app.post('/sessions/:id/resume', async context => {
    host.countRequest(principalOf(context))
    await readObject(context.req.raw, limits, { isOptional: true })
    const answer = await engine.resume(principalOf(context), sessionIdOf(context), { onMissing: onMissingFromQuery(queryOf(context)) })
    return json({ session: answer.session, resumed: true, context_restored: answer.context_restored, messages: answer.messages, head_seq: answer.head_seq })
  })
  app.post('/sessions/:id/end', async context => {
    host.countRequest(principalOf(context))
    await readObject(context.req.raw, limits, { isOptional: true })
    return json({ session: await engine.endSession(principalOf(context), sessionIdOf(context)) })
  })
  app.get('/sessions/:id/snapshot', async context => {
    const at = intFromQuery(queryOf(context), 'at', 0, Number.MAX_SAFE_INTEGER)
    return json(await engine.snapshot(principalOf(context), sessionIdOf(context), at))
  })
}

function eventRoutes(app: Hono<AppBindings>, host: Host): void {
  const { engine, limits } = host
  app.post('/sessions/:id/events', async context => {
    const { raw } = context.req
    const id = context.req.param('id')
    const header = (name: string): string | undefined => context.req.header(name)
    const text = await answerAppend(host, context.env.access, { id, query: queryOf(context), header, body: () => readBytes(raw, limits.body_bytes) })
    return new Response(text, { status: 201, headers: JSON_HEADERS })
  })
  app.post('/sessions/:id/inputs', async context => {
    host.countRequest(principalOf(context))
    const id = sessionIdOf(context)
    const body = await readObject(context.req.raw, limits, { maxDepth: MAX_DEPTH + ENVELOPE_DEPTH })
    if (body.session_id !== undefined && body.session_id !== id)
      throw new HoldfastError('id_mismatch', 'session_id is another than the id in the path.', { session_id: id })
    const parsed = inputSchema.safeParse(body)
    if (!parsed.success)
      throw new HoldfastError('invalid_request', `${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}`, {
        field: parsed.error.issues[0]?.path.join('.') ?? '',
      })
    const { type, payload, id: inputId, client_id: clientId } = parsed.data
    const size = Buffer.byteLength(JSON.stringify(payload) ?? '')
    if (size > limits.input_bytes)
      throw new HoldfastError('too_large', `An input has at most ${limits.input_bytes} bytes.`, { limit: 'input_bytes', max: limits.input_bytes })
    const result = await engine.input(principalOf(context), id, {
      type,
      payload,
      ...(inputId === undefined ? {} : { id: inputId }),
      ...(clientId === undefined ? {} : { clientId }),
    })
    return json(
      {
        ok: true,
        id: result.id,
        seq: result.seq,
        duplicate: result.duplicate,
        ...(result.results ? { first_seq: result.firstSeq, results: result.results } : {}),
      },
      202,
    )
  })
  app.get('/sessions/:id/events', context => poll(host, context, sessionIdOf(context)))
  app.get('/feed/events', context => poll(host, context, FEED_ID))
  app.get('/sessions/:id/export', context => exportLog(host, context.env.access, sessionIdOf(context), queryOf(context)))
}

const poll = async (host: Host, context: Ctx, sessionId: string): Promise<Response> =>
  jsonBytes((await answerPoll(host, context.env.access, sessionId, queryOf(context), context.req.raw.signal)).bytes)

function blobRoutes(app: Hono<AppBindings>, host: Host): void {
  const { engine } = host
  const maxBytes = host.limits.blob_bytes ?? DEFAULT_LIMITS.blob_bytes
  app.put('/sessions/:id/blobs/:sha256', async context => {
    host.countRequest(principalOf(context))
    if (Number(context.req.header('content-length') ?? 0) > maxBytes)
      throw new HoldfastError('too_large', `A blob has at most ${maxBytes} bytes.`, { limit: 'blob_bytes', max: maxBytes })
    const sha256 = context.req.param('sha256')
    const outcome = await engine.putBlob(principalOf(context), sessionIdOf(context), sha256, piecesOf(context.req.raw))
    return json({ ok: true, sha256 }, outcome === 'stored' ? 201 : 200)
  })
  app.get('/sessions/:id/blobs/:sha256', async context => {
    const blob = await engine.getBlob(principalOf(context), sessionIdOf(context), context.req.param('sha256'))
    return streamAnswer(blob.open(), {
      'content-type': 'application/octet-stream',
      'content-length': String(blob.bytes),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'content-disposition': 'attachment',
      'cache-control': 'private, max-age=31536000, immutable',
    })
  })
}

/** For reporters and readers that know no session endpoints (RUN-11, RUN-15). */
function legacyRoutes(app: Hono<AppBindings>, host: Host): void {
  const { engine, limits } = host
  const deprecated = { deprecation: 'true', link: '</sessions>; rel="successor-version"' }
  app.post('/events', async context => {
    host.countRequest(principalOf(context))
    const principal = principalOf(context)
    const body = await readObject(context.req.raw, limits)
    const id = body.session_id
    if (!isId(id)) throw new HoldfastError('invalid_request', 'session_id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'session_id' })
    checkNamed(context, id)
    if (body.event_type === 'session_start') await startOrResume(host, principal, id, body)
    const result = await engine.appendEvents(principal, id, [body])
    return json({ ok: true, first_seq: result.firstSeq, last_seq: result.lastSeq, duplicate: result.duplicate }, 201, deprecated)
  })
  app.get('/events/:id', async context => {
    const answer = await poll(host, context, sessionIdOf(context))
    answer.headers.set('deprecation', 'true')
    return answer
  })
}

async function startOrResume(host: Host, principal: Access['principal'], id: string, body: Record<string, unknown>): Promise<void> {
  if ((await host.engine.status(principal, id)).status !== 'not_existent') return void (await host.engine.resume(principal, id))
  const text = (name: string): Record<string, string> => (typeof body[name] === 'string' ? { [name]: body[name] as string } : {})
  const name = typeof body.session_name === 'string' && body.session_name !== '' ? body.session_name : id
  const options = { ...text('project_dir'), ...text('working_dir'), ...text('project_id'), ...text('agent_name'), ...text('description') }
  await host.engine.createSession(principal, { session_id: id, session_name: name, ...options })
}
