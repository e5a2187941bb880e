import { ERRORS, type ErrorCode, HoldfastError, isErrorCode } from '@holdfast/protocol/wire'

export type TransportReason =
  /** No connection came about, or the request got no answer. */
  | 'unreachable'
  /** The connection ended without a word. */
  | 'cut'
  /** Nothing was heard for longer than the heartbeat allows. */
  | 'silent'
  /** What came is not of the contract: torn, out of order, another content type. */
  | 'bad_data'
  /** An HTTP status without a contract's error in its body. */
  | 'status'
  /** Attached again and again without getting past the same place (fault 29). */
  | 'no_progress'
  /** The application's own handler threw. */
  | 'handler'
  /** A gap, reset or snapshot came and nobody took it. */
  | 'discontinuity'
  /** Kept for longer than the server knows ids: sending it now might double it. */
  | 'expired'
  /** The caller closed it. */
  | 'closed'

/** What went wrong outside the server's own answers; those are HoldfastError. */
export class TransportError extends Error {
  readonly reason: TransportReason
  readonly details: Readonly<Record<string, unknown>>

  constructor(reason: TransportReason, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TransportError'
    this.reason = reason
    this.details = details
  }
}

export type ClientError = HoldfastError | TransportError

/** An error with what to do about it. */
export interface Failure {
  readonly error: ClientError
  /** By the contract's table, never by text. */
  readonly retryable: boolean
  /** The server's own word on when to come back. */
  readonly retryInMs?: number
  /** The server said beforehand that it would end: no fault of the transport, no try used up. */
  readonly planned?: boolean
}

const isRecord = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object' && !Array.isArray(value)

const retryInMs = (ms: unknown): { retryInMs?: number } => (typeof ms === 'number' && ms >= 0 && Number.isFinite(ms) ? { retryInMs: ms } : {})

const FINAL: ReadonlySet<TransportReason> = new Set(['handler', 'discontinuity', 'expired', 'closed'])

export const transportFailure = (reason: TransportReason, message: string, details?: Readonly<Record<string, unknown>>, cause?: unknown): Failure => ({
  error: new TransportError(reason, message, details, cause === undefined ? undefined : { cause }),
  retryable: !FINAL.has(reason),
})

/** Reads the contract's error object; a code that this version doesn't know is judged by its own `retryable`. */
export function failureFromBody(body: unknown): Failure {
  const { code, message, retryable, details } = isRecord(body) ? body : {}
  const extra = isRecord(details) ? details : {}
  const text = typeof message === 'string' ? message : 'The server gave no reason.'
  const wait = retryInMs(extra['retry_after_ms'] ?? extra['retry_in_ms'])
  if (isErrorCode(code)) return { error: new HoldfastError(code, text, extra), retryable: ERRORS[code].retryable, ...wait }
  return { error: new TransportError('status', text, { code, ...extra }), retryable: retryable === true, ...wait }
}

const RETRYABLE_STATUS = new Set([408, 425, 429])

/** Reads a refusal over HTTP; one without a contract's body (a proxy's) is judged by its status. */
export async function failureFromResponse(response: Response): Promise<Failure> {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  const wait = retryInMs(seconds * 1000)
  const body: unknown = await response.json().catch(() => undefined)
  if (isRecord(body) && isRecord(body['error'])) return { ...wait, ...failureFromBody(body['error']) }
  const retryable = response.status >= 500 || RETRYABLE_STATUS.has(response.status)
  return { error: new TransportError('status', `The answer was HTTP ${response.status}.`, { status: response.status }), retryable, ...wait }
}

/**
 * Reads a WebSocket's end: 4000 + status of the contract's table, 4408 and the 1000s being worth another try.
 * Server faults (4500 and above) are tried again: no request of ours is to blame, and tries are counted.
 */
export function failureFromClose(code: number, reason: string): Failure {
  const named = isErrorCode(reason) && ERRORS[reason].close === code ? reason : codeFromClose(code)
  if (named === undefined) return transportFailure('cut', `The socket closed with ${code}.`, { code })
  return { error: new HoldfastError(named, reason || ERRORS[named].meaning), retryable: ERRORS[named].retryable || code >= 4500 }
}

const codeFromClose = (close: number): ErrorCode | undefined => (Object.keys(ERRORS) as ErrorCode[]).find(code => ERRORS[code].close === close)

/** Whatever was thrown, as a failure; unknown things are the network's. */
export function failureFromThrown(thrown: unknown): Failure {
  if (isFailure(thrown)) return thrown
  if (thrown instanceof HoldfastError) return { error: thrown, retryable: thrown.retryable }
  if (thrown instanceof TransportError) return { error: thrown, retryable: transportFailure(thrown.reason, '').retryable }
  return transportFailure('unreachable', 'The server could not be reached.', {}, thrown)
}

const isFailure = (value: unknown): value is Failure => isRecord(value) && value['error'] instanceof Error && typeof value['retryable'] === 'boolean'
