import { FEED_ID, HoldfastError, isId } from '@holdfast/protocol'
import { jsonSchema, openApi } from '@holdfast/protocol/schema'
import { hasScope } from '@holdfast/core'
import type { Tickets } from '../auth/tickets.ts'
import type { Tokens } from '../auth/tokens.ts'
import type { Access, Host } from '../host.ts'
import type { Metrics } from '../metrics.ts'
import { json, type Routes } from './app.ts'
import { readObject } from './body.ts'

export interface OpsOptions {
  readonly host: Host
  readonly metrics: Metrics
  readonly tokens: Tokens
  readonly tickets: Tickets
  /** Throws when the store can't be asked. */
  readonly checkReady: () => Promise<void>
}

/** Health, metrics, schemas (OPS-05, SEQ-07), tokens and tickets (OPS-01). */
export function opsRoutes({ host, metrics, tokens, tickets, checkReady }: OpsOptions): Routes {
  return app => {
    app.get('/healthz', () => json({ ok: true }))
    app.get('/readyz', async () => {
      if (host.isDraining) throw new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
      await checkReady()
      return json({ ok: true, epoch: host.engine.epoch })
    })
    const schema = JSON.stringify(jsonSchema())
    const openapi = JSON.stringify(openApi())
    const document = (text: string): Response => new Response(text, { headers: { 'content-type': 'application/json', 'cache-control': 'no-cache' } })
    app.get('/schema.json', () => document(schema))
    app.get('/openapi.json', () => document(openapi))
    app.get('/metrics', async context => {
      mayRead(context.env.access)
      return new Response(await metrics.text(), { headers: { 'content-type': metrics.contentType, 'cache-control': 'no-store' } })
    })
    app.post('/tokens', async context => {
      requireAdmin(context.env.access)
      host.countRequest(context.env.access.principal)
      return json(await tokens.mint(await readObject(context.req.raw, host.limits)), 201)
    })
    app.get('/tokens', context => {
      requireAdmin(context.env.access)
      return json({ tokens: tokens.list() })
    })
    app.delete('/tokens/:id', async context => {
      requireAdmin(context.env.access)
      const id = context.req.param('id')
      await tokens.revoke(id)
      return json({ ok: true })
    })
    app.post('/tickets', async context => {
      const { access } = context.env
      host.countRequest(access.principal)
      const body = await readObject(context.req.raw, host.limits)
      const sessionId = body.session_id
      // A ticket for a session that the holder can't see would only fail later, and less clearly.
      if (isId(sessionId)) await host.engine.getSession(access.principal, sessionId)
      else if (sessionId !== undefined && sessionId !== FEED_ID) throw new HoldfastError('invalid_request', 'session_id is not an id.', { field: 'session_id' })
      return json(tickets.issue(access, body), 201)
    })
  }
}

function requireAdmin(access: Access): void {
  if (!hasScope(access.principal, 'admin')) throw new HoldfastError('forbidden', 'This needs the scope "admin".', { scope: 'admin' })
}

/** Metrics tell of everybody's sessions in sum: any unbound reader may see them. */
function mayRead(access: Access): void {
  if (!hasScope(access.principal, 'read') || access.principal.sessionId !== undefined)
    throw new HoldfastError('forbidden', 'This needs the scope "read" on all of your sessions.', { scope: 'read' })
}
