import { PROTOCOL_VERSION } from './ids.ts'

/** The header of an event: what the server stamps on everything that is stored. */
export interface EventHeader {
  readonly id: string
  readonly session_id: string
  /** Dense from 1 per session. */
  readonly seq: number
  /** The server's append time, RFC 3339, UTC, ms. */
  readonly timestamp: string
  readonly version: number
  readonly client_id?: string
  readonly trace_id?: string
}

/** One stored item of a session's log. */
export interface Event<T extends string = string, P = unknown> {
  readonly type: T
  readonly header: EventHeader
  readonly payload: P
}

/** The header of anything that is not stored; there is never a seq in it. */
export interface ControlHeader {
  readonly id?: string
  readonly session_id?: string
  readonly reply_to?: string
  readonly timestamp?: string
  readonly version?: number
  readonly client_id?: string
}

/** Anything on a connection that is not an event. */
export interface Control<T extends string = string, P = unknown> {
  readonly type: T
  readonly header: ControlHeader
  readonly payload: P
}

/** What a sender says of an event; the log adds the rest. */
export interface EventDraft {
  readonly type: string
  /** The sender's own id, or a UUIDv7. */
  readonly id: string
  readonly payload: unknown
  readonly clientId?: string
  readonly traceId?: string
}

/** The JSON of an event: built here once, at append, and never again (decision 1). */
export function encodeEvent(draft: EventDraft, sessionId: string, seq: number, timestamp: string): string {
  const client = draft.clientId === undefined ? '' : `,"client_id":${JSON.stringify(draft.clientId)}`
  const trace = draft.traceId === undefined ? '' : `,"trace_id":${JSON.stringify(draft.traceId)}`
  return (
    `{"type":${JSON.stringify(draft.type)},"header":{"id":${JSON.stringify(draft.id)},"session_id":${JSON.stringify(sessionId)},` +
    `"seq":${seq},"timestamp":"${timestamp}","version":${PROTOCOL_VERSION}${client}${trace}},"payload":${JSON.stringify(draft.payload)}}`
  )
}

/** The fields of an object's JSON, with a comma in front; '' for none. */
function innerText(fields: object): string {
  const text = JSON.stringify(fields)
  return text === '{}' ? '' : `,${text.slice(1, -1)}`
}

/** The JSON of a control message. */
export const encodeControl = (message: Control): string =>
  `{"type":${JSON.stringify(message.type)},"header":{"version":${PROTOCOL_VERSION}${innerText(message.header)}},"payload":${JSON.stringify(message.payload)}}`
