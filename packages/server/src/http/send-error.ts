import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
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
  response.writeHead(error.status, { ...ERROR_HEADERS, 'content-length': Buffer.byteLength(body), ...retryAfter(error) })
  response.end(body)
}

const ERROR_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

/** Answers a refusal on a bare connection, where HTTP has no answer of its own any more, and closes it. */
export function sendErrorAndClose(socket: Duplex, error: HoldfastError): void {
  if (!socket.writable) return void socket.destroy()
  const body = errorText(error.body())
  const headers = { ...ERROR_HEADERS, 'content-length': Buffer.byteLength(body), connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  // A peer that never closes its side must not keep the connection.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? 'Error'}\r\n${lines.join('')}\r\n${body}`)
}
