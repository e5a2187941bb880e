import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { HoldfastError } from '@holdfast/protocol'
import type { Arrival } from '../host.ts'
import { headerOf } from './header.ts'

const SESSION_PATH = /^\/sessions\/([^/]+)/

/** The address that was asked for; its host says nothing. Throws `invalid_request`. */
export function urlFromRequest(request: IncomingMessage): URL {
  const target = request.url ?? ''
  let url: URL
  try {
    // Never relative to a base: `//name/path` would be another host's.
    url = new URL(target.startsWith('/') ? `http://localhost${target}` : target)
  } catch (cause) {
    throw new HoldfastError('invalid_request', 'The address is not a URL.', {}, { cause })
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new HoldfastError('invalid_request', 'The address is not a URL.')
  return url
}

/** Throws `invalid_request` where a parameter is there twice with two values: never a silent pick (SEQ-10). */
export function checkParameters(query: URLSearchParams): void {
  const seen = new Map<string, string>()
  for (const [name, value] of query) {
    const before = seen.get(name)
    if (before !== undefined && before !== value)
      throw new HoldfastError('invalid_request', `The parameter "${name.slice(0, 64)}" is there twice, with two values.`, { field: name.slice(0, 64) })
    seen.set(name, value)
  }
}

/** What the guard looks at, from a request as Node gives it. Duplicated Host, Origin or Authorization headers read as one that fits nothing. */
export function arrivalFrom(request: IncomingMessage, url: URL, use: Arrival['use']): Arrival {
  const single = (name: string): string | undefined => headerOf(request, name)
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
