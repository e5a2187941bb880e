import { z } from 'zod'
import { idSchema } from './session.ts'

const text = z.string()
const size = z.int().min(1).max(1000)

/** Every input of section 5 with the kinds that take it; `null` means any kind. Answered by `protocol.ack` or `protocol.error`. */
export const INPUTS = {
  'session.end': { kind: null, payload: z.looseObject({}) },
  'session.rename': { kind: null, payload: z.object({ session_name: z.string().max(4096) }) },
  'session.append': { kind: null, payload: z.object({ events: z.array(z.unknown()).min(1) }) },
  'chat.send': {
    kind: 'chat',
    payload: z.object({
      text: text.optional(),
      parts: z.array(z.unknown()).optional(),
      when: z.enum(['queue', 'steer', 'interrupt']).optional(),
      parent_id: idSchema.optional(),
    }),
  },
  'chat.cancel': { kind: 'chat', payload: z.object({ turn_id: idSchema.optional() }) },
  'chat.regenerate': { kind: 'chat', payload: z.object({ message_id: idSchema }) },
  'chat.edit': { kind: 'chat', payload: z.object({ message_id: idSchema, text }) },
  'chat.approve': { kind: 'chat', payload: z.object({ approval_id: idSchema, decision: z.enum(['allow', 'deny']) }) },
  'terminal.input': { kind: 'terminal', payload: z.union([z.object({ text }), z.object({ base64: text })]) },
  'terminal.resize': { kind: 'terminal', payload: z.object({ cols: size, rows: size }) },
  'terminal.signal': { kind: 'terminal', payload: z.object({ signal: z.string() }) },
  'terminal.take_writer': { kind: 'terminal', payload: z.object({}) },
  'terminal.respawn': { kind: 'terminal', payload: z.object({}) },
  'ui.action': { kind: 'ui', payload: z.looseObject({}) },
} as const satisfies Record<string, { readonly kind: string | null; readonly payload: z.ZodType }>
export type InputType = keyof typeof INPUTS

/** True for the name of an input of the contract. */
export const isInputType = (type: string): type is InputType => Object.hasOwn(INPUTS, type)

/** The body of `POST /sessions/{id}/inputs`. */
export const inputSchema = z.object({ type: z.string().min(1).max(128), id: idSchema.optional(), client_id: idSchema.optional(), payload: z.unknown() })
