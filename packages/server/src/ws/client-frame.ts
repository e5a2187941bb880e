import { clientFrameSchema, deeperThan, HoldfastError, MAX_DEPTH, parseLossless } from '@holdfast/protocol'

/** A frame from a client, its payload not yet looked at. */
export interface ClientFrame {
  readonly type: string
  readonly id: string | undefined
  readonly sessionId: string | undefined
  readonly clientId: string | undefined
  readonly traceId: string | undefined
  readonly payload: unknown
}

/** What a frame adds around an item: the envelope, its payload, a list. */
const ENVELOPE_DEPTH = 3

/** Reads one text frame. Throws `invalid_request`. */
export function parseClientFrame(text: string): ClientFrame {
  let value: unknown
  try {
    value = parseLossless(text)
  } catch (cause) {
    throw new HoldfastError('invalid_request', 'A frame is one JSON object.', {}, { cause })
  }
  if (deeperThan(value, MAX_DEPTH + ENVELOPE_DEPTH)) throw new HoldfastError('invalid_request', `JSON may be nested ${MAX_DEPTH} deep.`, { limit: 'depth', max: MAX_DEPTH })
  const parsed = clientFrameSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new HoldfastError('invalid_request', `${issue?.path.join('.') || 'frame'}: ${issue?.message ?? 'not understood'}`, { field: issue?.path.join('.') ?? '' })
  }
  const { type, header, payload } = parsed.data
  return { type, id: header?.id, sessionId: header?.session_id, clientId: header?.client_id, traceId: header?.trace_id, payload }
}
