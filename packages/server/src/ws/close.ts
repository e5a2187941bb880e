import { ERRORS, type HoldfastError } from '@holdfast/protocol'
import type { WebSocket } from 'ws'

/** A close reason has at most 123 bytes (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123

/** Closes with 4000 + the HTTP status and the code's name first, which is what a browser can read. */
export function closeWith(socket: WebSocket, error: HoldfastError): void {
  const reason = Buffer.from(`${error.code}: ${error.message}`)
  const cut = reason.byteLength <= MAX_REASON_BYTES ? reason.toString() : error.code
  socket.close(ERRORS[error.code].close, cut)
}
