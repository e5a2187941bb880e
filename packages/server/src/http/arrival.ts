import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Arrival } from '../host.ts'

const SESSION_PATH = /^\/sessions\/([^/]+)/

const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.join(', ') : value)

/** What the guard looks at, from a request as Node gives it. Duplicated Host, Origin or Authorization headers read as one that fits nothing. */
export function arrivalFrom(request: IncomingMessage, url: URL, use: Arrival['use']): Arrival {
  const { headers } = request
  const all = request.headersDistinct
  const single = (name: string): string | undefined => {
    const values = all[name]
    return values && values.length > 1 ? values.join(', ') : one(headers[name])
  }
  return {
    method: request.method ?? 'GET',
    path: url.pathname,
    host: single('host'),
    origin: single('origin'),
    authorization: single('authorization'),
    ticket: url.searchParams.get('ticket') ?? undefined,
    sessionId: url.searchParams.get('session_id') ?? sessionFromPath(url.pathname),
    use,
    remoteAddress: request.socket.remoteAddress,
    forwarded: { for: single('x-forwarded-for'), proto: single('x-forwarded-proto'), host: single('x-forwarded-host'), standard: single('forwarded') },
    isTls: (request.socket as TLSSocket).encrypted === true,
  }
}

function sessionFromPath(path: string): string | undefined {
  if (path === '/feed/events') return '_feed'
  const id = SESSION_PATH.exec(path)?.[1]
  if (id === undefined) return undefined
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}
