import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorFrom, HoldfastError, PAGE } from '@holdfast/protocol'
import type { Access, Host } from '../host.ts'
import { attachOptionsFromQuery, cursorFromQuery, intFromQuery, modeFromQuery, waitFromQuery } from '../query.ts'
import { type PageAnswer, pageBefore, pollPage } from '../stream/poll.ts'
import { checkSessionId } from './append.ts'
import { headerOf } from './header.ts'
import { sendError } from './send-error.ts'

/** `GET /sessions/{id}/events` and `GET /feed/events` as a poll: the page. Throws what the contract says. */
export async function answerPoll(host: Host, access: Access, sessionId: string, query: URLSearchParams, signal: AbortSignal): Promise<PageAnswer> {
  const limit = intFromQuery(query, 'limit', 1, PAGE.maxLimit) ?? PAGE.limit
  const before = intFromQuery(query, 'before', 1, Number.MAX_SAFE_INTEGER)
  if (before !== undefined) {
    modeFromQuery(query)
    if (['after', 'wait', 'cursor', 'last_seen_seq'].some(name => query.has(name)))
      throw new HoldfastError('invalid_request', 'before goes without after and wait.', { field: 'before' })
    return pageBefore(host, access, sessionId, before, limit, query.get('owner') ?? undefined)
  }
  const waitMs = waitFromQuery(query)
  const options = attachOptionsFromQuery(query, cursorFromQuery(query, ['after', 'cursor', 'last_seen_seq']))
  return pollPage(host, access, { sessionId, options, limit, waitMs, signal })
}

/** The same on Node's own request and response: pages are large, and each copy of them is felt. `id` is undefined for the feed. */
export function servePoll(
  host: Host,
  access: Access,
  request: IncomingMessage,
  response: ServerResponse,
  sessionId: string,
  query: URLSearchParams,
  isFeed: boolean,
): void {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const answer = async (): Promise<void> => {
    if (!isFeed) checkSessionId(sessionId, query, headerOf(request, 'x-session-id'))
    const page = await answerPoll(host, access, sessionId, query, gone.signal)
    if (response.destroyed) return page.release()
    response.once('close', page.release)
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': page.bytes.byteLength })
    response.end(page.bytes)
  }
  answer().catch((thrown: unknown) => {
    const error = errorFrom(thrown)
    if (error.code === 'internal') host.logger.error('a request failed', { error: String((error.cause as Error | undefined)?.stack ?? error.cause) })
    host.countRefusal(error.code)
    if (!response.destroyed) sendError(response, error)
  })
}
