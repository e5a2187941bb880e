import { z } from 'zod'
import { HoldfastError } from '../errors.ts'
import { isId } from '../ids.ts'
import type { Kind, ParsedEvent, Summary } from './kind.ts'

const size = z.int().min(1)

/** Events of a terminal (contract section 5). */
export const TERMINAL_EVENTS = {
  'terminal.started': z.looseObject({ pid: z.int(), command: z.string(), cwd: z.string(), cols: size, rows: size, incarnation: z.int() }),
  'terminal.output': z.union([z.looseObject({ text: z.string() }), z.looseObject({ base64: z.string() })]),
  'terminal.resized': z.looseObject({ cols: size, rows: size }),
  'terminal.writer_changed': z.looseObject({ client_id: z.string().nullable() }),
  'terminal.exited': z.looseObject({ exit_code: z.int().nullable(), signal: z.string().nullable() }),
} as const

type TerminalEventType = keyof typeof TERMINAL_EVENTS

function parseEvent(item: unknown): ParsedEvent {
  if (item === null || typeof item !== 'object' || Array.isArray(item)) throw new HoldfastError('invalid_request', 'An event is a JSON object.')
  const { type, id, payload } = item as { type?: unknown; id?: unknown; payload?: unknown }
  if (id !== undefined && !isId(id)) throw new HoldfastError('invalid_request', 'id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'id' })
  if (typeof type !== 'string' || !Object.hasOwn(TERMINAL_EVENTS, type))
    throw new HoldfastError('invalid_request', `type is one of ${Object.keys(TERMINAL_EVENTS).join(', ')}.`, { field: 'type' })
  const parsed = TERMINAL_EVENTS[type as TerminalEventType].safeParse(payload)
  const issue = parsed.error?.issues[0]
  if (issue) {
    const field = ['payload', ...issue.path].join('.')
    throw new HoldfastError('invalid_request', `${field}: ${issue.message}`, { field })
  }
  return { type, payload, ...(id === undefined ? {} : { id }) }
}

function summarize(summary: Summary, event: { type: string; seq: number; payload: unknown }, atMs: number): Summary {
  switch (event.type) {
    case 'terminal.started':
      return summary.state === 'running' && summary.endedAt === null ? summary : { ...summary, state: 'running', endedAt: null }
    case 'session.ended':
      return summary.endedAt === null ? { ...summary, state: 'ended', endedAt: atMs } : summary
    case 'terminal.exited':
      return summary.endedAt === null ? { ...summary, state: stateFromExit(event.payload), endedAt: atMs } : summary
    default:
      return summary
  }
}

/** Neither a code nor a signal: how the program ended is not known. */
function stateFromExit(payload: unknown): Summary['state'] {
  const { exit_code: code, signal } = payload as { exit_code: number | null; signal: string | null }
  if (code === 0) return 'ended'
  return code === null && signal === null ? 'lost' : 'failed'
}

/** The bytes of a `terminal.output` are its text in UTF-8, or its base64. */
export type OutputPayload = { readonly text: string } | { readonly base64: string }

/** Terminals: a program in a PTY on the server (TERM-01 … TERM-18). */
export const terminalKind: Kind<never> = { name: 'terminal', version: 1, parseEvent, summarize, fold: null, openAfterEnd: false }
