/** What one error code means on the wire. */
export interface ErrorRule {
  /** HTTP status; null where the code only ever closes a socket. */
  readonly status: number | null
  /** WebSocket close code: 4000 + the HTTP status. */
  readonly close: number
  /** True when the same request may succeed later, unchanged. */
  readonly retryable: boolean
  readonly meaning: string
}

const rule = (status: number, retryable: boolean, meaning: string): ErrorRule => ({ status, close: 4000 + status, retryable, meaning })

/** The one table of error codes (contract section 6); `docs/errors.md` is compared with it by a test. */
export const ERRORS = {
  invalid_request: rule(400, false, 'The request is malformed, or a field is missing, unknown in value or out of range.'),
  invalid_cursor: rule(400, false, 'The cursor is not of the form `<epoch>.<seq>` or `<seq>`.'),
  id_mismatch: rule(400, false, 'One id in the path or query, another in a header or body.'),
  unauthorized: rule(401, false, 'No token where one is needed, or one that is wrong, expired or revoked.'),
  forbidden: rule(403, false, 'The token lacks the scope, or the role belongs to another client.'),
  origin_rejected: rule(403, false, "The request's Origin or Host is not the server's own and not allowed."),
  not_found: rule(404, false, 'No such session, blob, token or route, or it belongs to somebody else.'),
  not_finished: rule(404, false, 'The run has not finished, so it has no result yet; `?partial=true` gives what there is.'),
  no_result: rule(404, false, 'The run finished without an assistant message that has text.'),
  conflict: rule(409, false, 'The id or idempotency key was used before with another body.'),
  busy: rule(409, true, 'Somebody else is at work on this session just now.'),
  session_ended: rule(409, false, 'The session has ended and takes no more input; its history stays readable.'),
  session_expired: rule(410, false, 'The session was idle for too long and is gone.'),
  session_deleted: rule(410, false, 'The session was deleted; its id is not used again.'),
  too_large: rule(413, false, 'The message, event or body is over the limit named in `details`.'),
  unsupported_media_type: rule(415, false, 'The body must be `application/json` or `application/x-ndjson`.'),
  invalid_transcript: rule(422, false, 'The transcript cannot be restored whole; `?force=true` restores what can be read.'),
  unsupported_version: rule(426, false, 'No protocol version in common; `details` lists those that are spoken.'),
  rate_limited: rule(429, true, 'Over a limit of the principal; `details` names it and says when to try again.'),
  slow_consumer: { status: null, close: 4408, retryable: true, meaning: 'The reader took nothing for 30 s; it may attach again from its cursor.' },
  internal: rule(500, false, 'A fault of the server; the log has the details.'),
  backend_failed: rule(502, true, 'The model or agent behind the session failed.'),
  storage_failed: rule(503, true, 'The event could not be written (disk full, I/O error, a damaged log); nothing of it was stored.'),
  draining: rule(503, true, 'The server is stopping; reconnect in a moment.'),
} as const satisfies Record<string, ErrorRule>

export type ErrorCode = keyof typeof ERRORS

/** The body of every refusal: HTTP answers wrap it as `{error}`, `protocol.error` carries it as payload. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>
}

/** The one error that crosses a boundary of Holdfast; anything else that is thrown is a fault and reads as `internal`. */
export class HoldfastError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HoldfastError'
    this.code = code
    this.details = details
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }

  get status(): number {
    return ERRORS[this.code].status ?? 400
  }

  get closeCode(): number {
    return ERRORS[this.code].close
  }

  body(): ErrorBody {
    return { code: this.code, message: this.message, retryable: this.retryable, details: this.details }
  }
}

/** True for a string that is a code of the table. */
export const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERRORS, code)

/** Translates whatever was thrown: a HoldfastError as it is, all else `internal`, with the original as cause. */
export const errorFrom = (thrown: unknown): HoldfastError =>
  thrown instanceof HoldfastError ? thrown : new HoldfastError('internal', 'The server failed to answer; its log says why.', {}, { cause: thrown })
