import { z } from 'zod'
import { HoldfastError } from '../errors.ts'
import { isId } from '../ids.ts'
import type { Kind, ParsedEvent, Summary } from './kind.ts'

/** `event_type` of a reporter's item (contract section 4). */
export const EVENT_TYPE_PATTERN = /^[a-z][a-z0-9_.-]{0,63}$/

/** The object that a reporter posts; it is stored whole, fields that are not named here too. */
export const runItemSchema = z
  .looseObject({
    event_type: z.string().regex(EVENT_TYPE_PATTERN).describe('message, session_start, pre_tool, post_tool, session_stop, or your own'),
    id: z.string().optional().describe('makes the item idempotent'),
    session_id: z.string().optional().describe('must be the id in the path'),
    timestamp: z.unknown().optional().describe("the reporter's own time; stored, never used for order"),
    role: z.unknown().optional(),
    content: z.unknown().optional().describe('a string or an array of blocks, text blocks being {"type":"text","text":…}'),
    tool_name: z.unknown().optional(),
    exit_code: z.unknown().optional().describe('of session_stop: the run failed where it is not 0'),
  })
  .describe("A reporter's item")

/** The event types of a run that have a meaning of their own; every other `run.<event_type>` is stored as it is. */
export const RUN_EVENTS = [
  'run.message',
  'run.session_start',
  'run.pre_tool',
  'run.post_tool',
  'run.session_stop',
  'run.agent_stop',
  'run.notification',
] as const

function parseEvent(item: unknown): ParsedEvent {
  if (item === null || typeof item !== 'object' || Array.isArray(item)) throw new HoldfastError('invalid_request', 'An event is a JSON object.')
  const { event_type: eventType, type, id, payload } = item as { event_type?: unknown; type?: unknown; id?: unknown; payload?: unknown }
  if (id !== undefined && !isId(id)) throw new HoldfastError('invalid_request', 'id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'id' })
  const own = id === undefined ? {} : { id }
  if (eventType === undefined && typeof type === 'string' && type.startsWith('run.')) {
    if (!EVENT_TYPE_PATTERN.test(type.slice(4))) throw new HoldfastError('invalid_request', 'type must be run.<event_type>.', { field: 'type' })
    if (payload === null || typeof payload !== 'object' || Array.isArray(payload))
      throw new HoldfastError('invalid_request', 'payload must be an object.', { field: 'payload' })
    return { type, payload, ...own }
  }
  if (typeof eventType !== 'string' || !EVENT_TYPE_PATTERN.test(eventType))
    throw new HoldfastError('invalid_request', 'event_type must match [a-z][a-z0-9_.-]{0,63}.', { field: 'event_type' })
  return { type: `run.${eventType}`, payload: item, ...own }
}

/** The text of a message: a string content is one block, text blocks are joined by newlines; undefined where there is none. */
export function messageText(payload: unknown): string | undefined {
  const content = (payload as { content?: unknown } | null)?.content
  const blocks = typeof content === 'string' ? [content] : Array.isArray(content) ? content.flatMap(textOfBlock) : []
  const text = blocks.join('\n')
  return text === '' ? undefined : text
}

const textOfBlock = (block: unknown): string[] => {
  if (typeof block === 'string') return [block]
  const { type, text } = (block ?? {}) as { type?: unknown; text?: unknown }
  return type === 'text' && typeof text === 'string' ? [text] : []
}

function summarize(summary: Summary, event: { type: string; seq: number; payload: unknown }, atMs: number): Summary {
  const item = event.payload as { role?: unknown; exit_code?: unknown }
  if (event.type === 'session.ended') return ended(summary) ? summary : { ...summary, state: 'ended', endedAt: atMs }
  if (event.type === 'run.message' && item.role === 'assistant') return messageText(item) === undefined ? summary : { ...summary, resultSeq: event.seq }
  if (ended(summary)) return summary
  if (event.type === 'run.session_stop') {
    const failed = item.exit_code !== undefined && item.exit_code !== null && item.exit_code !== 0
    return { ...summary, state: failed ? 'failed' : 'ended', endedAt: atMs }
  }
  if (event.type === 'run.agent_stop') return { ...summary, state: 'idle' }
  if (event.type === 'run.notification') return { ...summary, state: 'waiting' }
  const active = event.type === 'run.pre_tool' || event.type === 'run.post_tool' || (event.type === 'run.message' && item.role === 'user')
  return active && summary.state !== 'running' ? { ...summary, state: 'running' } : summary
}

const ended = (summary: Summary): boolean => summary.endedAt !== null

/** Runs: other programs report here (RUN-01 … RUN-15). */
export const runKind: Kind<never> = { name: 'run', version: 1, parseEvent, summarize, fold: null, openAfterEnd: true }
