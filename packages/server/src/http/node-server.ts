import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { getRequestListener } from '@hono/node-server'
import { errorFrom, HoldfastError, isId } from '@holdfast/protocol'
import type { Hono } from 'hono'
import type { Access, Host } from '../host.ts'
import { serveStream } from '../stream/sse.ts'
import type { AppBindings } from './app.ts'
import { arrivalFrom } from './arrival.ts'
import { sendError } from './send-error.ts'

const EVENTS_PATH = /^\/sessions\/([^/]+)\/events$/

/** Idle keep-alive connections are kept longer than proxies keep theirs, so that these never meet a closed one. */
const KEEP_ALIVE_MS = 75_000

export interface NodeServerOptions {
  readonly host: Host
  readonly app: Hono<AppBindings>
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

/** The HTTP server: one guard for all, event streams below the Fetch routes. */
export function createNodeServer({ host, app, tls }: NodeServerOptions): Server {
  const accesses = new WeakMap<IncomingMessage, Access>()
  const listener = getRequestListener(
    (request, env) => app.fetch(request, { access: accesses.get((env as { incoming: IncomingMessage }).incoming) as Access }),
    { overrideGlobalObjects: false },
  )
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    let url: URL
    try {
      url = new URL(request.url ?? '/', 'http://localhost')
      const streams = isStreamRequest(request)
      const access = host.admit(arrivalFrom(request, url, streams ? 'stream' : 'request'))
      accesses.set(request, access)
      if (streams) {
        const path = streamTarget(url)
        if (path) return void serveStream(host, access, request, response, url, path.sessionId)
      }
    } catch (thrown) {
      const error = thrown instanceof TypeError ? new HoldfastError('invalid_request', 'The address is not a URL.', {}, { cause: thrown }) : errorFrom(thrown)
      host.countRefusal(error.code)
      return sendError(response, error)
    }
    void listener(request, response)
  }
  const options = { keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }
  return tls ? createTlsServer({ ...options, cert: tls.cert, key: tls.key }, onRequest) : createServer(options, onRequest)
}

const isStreamRequest = (request: IncomingMessage): boolean => request.method === 'GET' && (request.headers.accept ?? '').toLowerCase().includes('text/event-stream')

/** Which stream a path names: one session, the feed, or (undefined) several by `attach`. Throws `invalid_request` and `id_mismatch`. */
function streamTarget(url: URL): { readonly sessionId: string | undefined } | undefined {
  if (url.pathname === '/events') return { sessionId: undefined }
  if (url.pathname === '/feed/events') return { sessionId: '_feed' }
  const encoded = EVENTS_PATH.exec(url.pathname)?.[1]
  if (encoded === undefined) return undefined
  const sessionId = decodeId(encoded)
  const other = url.searchParams.get('session_id')
  if (other !== null && other !== sessionId) throw new HoldfastError('id_mismatch', 'session_id is another than the id in the path.', { session_id: sessionId })
  return { sessionId }
}

function decodeId(encoded: string): string {
  let id = encoded
  try {
    id = decodeURIComponent(encoded)
  } catch {}
  if (!isId(id)) throw new HoldfastError('invalid_request', 'A session id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'session_id' })
  return id
}
