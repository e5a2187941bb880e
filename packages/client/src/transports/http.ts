import { FEED_ID } from '@holdfast/protocol/wire'
import { type Failure, failureFromResponse, failureFromThrown } from '../failure.ts'
import { encodeMessage, type Message, messageFromText } from '../message.ts'
import type { FetchLike } from '../ports.ts'

export interface HttpOptions {
  /** Instead of the global one. */
  readonly fetch?: FetchLike
}

/** The path of a session's log; the feed has its own. */
export const eventsPath = (sessionId: string): string => (sessionId === FEED_ID ? '/feed/events' : `/sessions/${encodeURIComponent(sessionId)}/events`)

/** For the query of every connection but the first: another URL than the one whose error a proxy may have kept (fault 20). */
export const attemptOf = (attempt: number): number | undefined => (attempt > 1 ? attempt : undefined)

/** The query of the values that are set. */
export function queryFrom(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, String(value))
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

export const authHeader = (token: string | undefined): Record<string, string> => (token === undefined ? {} : { authorization: `Bearer ${token}` })

/** One GET past every cache; throws Failure for anything but 200. */
export async function get(options: HttpOptions, url: string, token: string | undefined, accept: string, signal: AbortSignal): Promise<Response> {
  const request = options.fetch ?? globalThis.fetch
  const response = await request(url, { headers: { accept, ...authHeader(token) }, cache: 'no-store', signal }).catch(error => {
    throw failureFromThrown(error)
  })
  if (response.status !== 200) throw await failureFromResponse(response)
  return response
}

/** A refusal that concerns one session alone, as the message that a WebSocket would bring; undefined for all others. */
export function sessionRefusal(failure: Failure): Message | undefined {
  const { error } = failure
  if (failure.retryable || !('code' in error) || error.code === 'unauthorized' || error.code === 'origin_rejected') return undefined
  return messageFromText(encodeMessage('protocol.error', {}, error.body()))
}
