import type { IncomingMessage, ServerResponse } from 'node:http'
import { headerOf } from './header.ts'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
/** What a page may send besides what every page may. */
const REQUEST_HEADERS = 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Session-Id'
/** What a page may read besides what every page may. */
const ANSWER_HEADERS = 'Deprecation, Link, Retry-After'
/** Browsers ask again after this long, at the latest. */
const PREFLIGHT_SECONDS = 600

/** Lets pages on the allowed origins read answers, refusals too (Fetch standard, section 3.2); no cookies are used, so no credentials are allowed. */
export function allowCrossOrigin(request: IncomingMessage, response: ServerResponse, allowedOrigins: readonly string[]): void {
  if (allowedOrigins.length === 0) return
  response.setHeader('vary', 'Origin')
  const origin = headerOf(request, 'origin')
  if (origin === undefined || !allowedOrigins.includes(origin)) return
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('access-control-expose-headers', ANSWER_HEADERS)
}

/** Answers OPTIONS: a preflight of an allowed origin, or which methods a path has. */
export function answerOptions(request: IncomingMessage, response: ServerResponse, allow: readonly string[]): void {
  response.setHeader('allow', ['OPTIONS', ...allow].join(', '))
  response.setHeader('cache-control', 'no-store')
  if (response.hasHeader('access-control-allow-origin') && request.headers['access-control-request-method'] !== undefined) {
    response.setHeader('access-control-allow-methods', METHODS)
    response.setHeader('access-control-allow-headers', REQUEST_HEADERS)
    response.setHeader('access-control-max-age', String(PREFLIGHT_SECONDS))
  }
  response.writeHead(204).end()
}
