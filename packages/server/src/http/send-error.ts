import type { ServerResponse } from 'node:http'
import { type ErrorBody, HoldfastError } from '@holdfast/protocol'

/** Seconds after which a retryable refusal may be tried again. */
export function retryAfter(error: HoldfastError): Record<string, string> {
  if (!error.retryable) return {}
  const ms = error.details.retry_after_ms
  return { 'retry-after': String(typeof ms === 'number' ? Math.max(1, Math.ceil(ms / 1000)) : 1) }
}

export const errorText = (body: ErrorBody): string => JSON.stringify({ error: body })

/** Answers a refusal on a raw response. */
export function sendError(response: ServerResponse, error: HoldfastError): void {
  const body = errorText(error.body())
  response.writeHead(error.status, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': Buffer.byteLength(body), ...retryAfter(error) })
  response.end(body)
}
