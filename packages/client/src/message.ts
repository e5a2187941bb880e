import type { Event } from '@holdfast/protocol'
import { TransportError } from './failure.ts'

/** Any envelope off the wire; unknown types and fields are let through. */
export interface Message {
  readonly type: string
  readonly header: { readonly id?: string; readonly session_id?: string; readonly reply_to?: string; readonly seq?: number }
  readonly payload: unknown
  /** Length of its JSON in UTF-16 units, where it came as text; 0 otherwise. */
  readonly size: number
}

/** Reads one envelope; throws TransportError `bad_data`. */
export function messageFromText(text: string): Message {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new TransportError('bad_data', 'A message is not JSON.', { length: text.length }, { cause: error })
  }
  return messageFromValue(value, text.length)
}

/** The same for JSON that is parsed already. */
export function messageFromValue(value: unknown, size = 0): Message {
  const { type, header, payload } = (value ?? {}) as Record<string, unknown>
  if (typeof type !== 'string' || header === null || typeof header !== 'object') throw new TransportError('bad_data', 'A message is not an envelope.')
  return { type, header, payload, size }
}

/** True for an event: only those carry a seq. */
export const isEvent = (message: Message): boolean => Number.isSafeInteger(message.header.seq)

/** The event that a message is, for the application. */
export const eventFromMessage = (message: Message): Event => ({ type: message.type, header: message.header as Event['header'], payload: message.payload })

/** An envelope of a control message or input, as text. */
export const encodeMessage = (type: string, header: Readonly<Record<string, unknown>>, payload: unknown): string => JSON.stringify({ type, header, payload })
