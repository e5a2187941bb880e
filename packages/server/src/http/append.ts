import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorFrom, HoldfastError, isId } from '@holdfast/protocol'
import type { Access, Host } from '../host.ts'
import { clientIdFromQuery } from '../query.ts'
import { itemsFromBytes, readMessageBytes } from './body.ts'
import { headerOf } from './header.ts'
import { sendError } from './send-error.ts'

export interface AppendRequest {
  /** As it stands in the path. */
  readonly id: string
  readonly query: URLSearchParams
  /** A header by its lower-case name. */
  readonly header: (name: string) => string | undefined
  readonly body: () => Promise<Uint8Array>
}

/** `POST /sessions/{id}/events`: the JSON of its 201. Throws what the contract says. */
export async function answerAppend(host: Host, access: Access, { id, query, header, body }: AppendRequest): Promise<string> {
  host.countRequest(access.principal)
  checkSessionId(id, query, header('x-session-id'))
  const key = idempotencyKeyFrom(header('idempotency-key'))
  const clientId = clientIdFromQuery(query)
  const items = itemsFromBytes(header('content-type'), await body())
  const result = await host.engine.appendEvents(access.principal, id, items, {
    ...(key === undefined ? {} : { idempotencyKey: key }),
    ...(clientId === undefined ? {} : { clientId }),
  })
  return JSON.stringify({
    ok: true,
    first_seq: result.firstSeq,
    last_seq: result.lastSeq,
    duplicate: result.duplicate,
    ...(result.results ? { results: result.results } : {}),
  })
}

/** The same on Node's own request and response: the call that reporters make most, without the Fetch objects in between. */
export function serveAppend(host: Host, access: Access, request: IncomingMessage, response: ServerResponse, id: string, query: URLSearchParams): void {
  const header = (name: string): string | undefined => headerOf(request, name)
  answerAppend(host, access, { id, query, header, body: () => readMessageBytes(request, host.limits.body_bytes) }).then(
    text => {
      response.writeHead(201, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': Buffer.byteLength(text) })
      response.end(text)
    },
    (thrown: unknown) => {
      const error = errorFrom(thrown)
      if (error.code === 'internal') host.logger.error('a request failed', { error: String((error.cause as Error | undefined)?.stack ?? error.cause) })
      host.countRefusal(error.code)
      if (response.destroyed) return
      // What was not read of the body is not read any more.
      if (!request.complete) response.shouldKeepAlive = false
      sendError(response, error)
    },
  )
}

/** The id in the path; another in the query or a header is `id_mismatch`, never a silent pick (SEQ-10). */
export function checkSessionId(id: string, query: URLSearchParams, headerId: string | undefined): void {
  for (const other of [query.get('session_id'), headerId])
    if (other !== null && other !== undefined && other !== id)
      throw new HoldfastError('id_mismatch', 'session_id is another than the id in the path.', { session_id: id })
  if (!isId(id)) throw new HoldfastError('invalid_request', 'A session id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'session_id' })
}

export function idempotencyKeyFrom(key: string | undefined): string | undefined {
  if (key === undefined) return undefined
  if (key.length < 1 || key.length > 255 || !/^[\x21-\x7e]+$/.test(key))
    throw new HoldfastError('invalid_request', 'Idempotency-Key has 1 to 255 visible ASCII characters.', { field: 'Idempotency-Key' })
  return key
}
