import type { InputMessage, InputResult } from '@holdfast/core'
import { clientFrameSchema, deeperThan, HoldfastError, isId, MAX_DEPTH, parseLossless } from '@holdfast/protocol'
import { ENVELOPE_DEPTH } from '../http/body.ts'

/** A frame from a client, its payload not yet looked at. */
export interface ClientFrame {
  readonly type: string
  readonly id: string | undefined
  readonly sessionId: string | undefined
  readonly clientId: string | undefined
  readonly traceId: string | undefined
  readonly payload: unknown
}

/** The JSON of one text frame. Throws `invalid_request`. */
export function jsonFromText(text: string): unknown {
  try {
    return parseLossless(text)
  } catch (cause) {
    throw new HoldfastError('invalid_request', 'A frame is one JSON object.', {}, { cause })
  }
}

/** The id of what may be no good frame, so that its refusal still names it. */
export function idOf(value: unknown): string | undefined {
  const id = (value as { header?: { id?: unknown } | null } | null)?.header?.id
  return isId(id) ? id : undefined
}

/** Reads one frame. Throws `invalid_request`. */
export function frameFromJson(value: unknown): ClientFrame {
  if (deeperThan(value, MAX_DEPTH + ENVELOPE_DEPTH))
    throw new HoldfastError('invalid_request', `JSON may be nested ${MAX_DEPTH} deep.`, { limit: 'depth', max: MAX_DEPTH })
  const parsed = clientFrameSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new HoldfastError('invalid_request', `${issue?.path.join('.') || 'frame'}: ${issue?.message ?? 'not understood'}`, {
      field: issue?.path.join('.') ?? '',
    })
  }
  const { type, header, payload } = parsed.data
  return { type, id: header?.id, sessionId: header?.session_id, clientId: header?.client_id, traceId: header?.trace_id, payload }
}

/** What the engine gets of a frame; made field by field, as there is one for each append. */
export function inputFromFrame({ type, payload, id, traceId }: ClientFrame, clientId: string | undefined, connectionId: string): InputMessage {
  const input: { -readonly [Field in keyof InputMessage]: InputMessage[Field] } = { type, payload, connectionId }
  if (id !== undefined) input.id = id
  if (clientId !== undefined) input.clientId = clientId
  if (traceId !== undefined) input.traceId = traceId
  return input
}

/** The payload of its `protocol.ack`. */
export function ackOf({ id }: ClientFrame, { seq, duplicate, firstSeq, results }: InputResult): Record<string, unknown> {
  const ack: Record<string, unknown> = { id: id ?? null, seq, duplicate }
  if (firstSeq !== undefined) ack.first_seq = firstSeq
  if (results) ack.results = results
  return ack
}
