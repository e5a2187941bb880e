import { z } from 'zod'

const id = z.string()
const turn = { turn_id: id }

/** Events of a chat (contract section 5). */
export const CHAT_EVENTS = {
  'chat.message': z.looseObject({ message_id: id.optional(), role: z.string(), content: z.unknown() }),
  'chat.turn_started': z.looseObject(turn),
  'chat.delta': z.looseObject({ ...turn, message_id: id, text: z.string() }),
  'chat.thinking': z.looseObject({ ...turn, text: z.string() }),
  'chat.tool_call': z.looseObject({ ...turn, call_id: id.optional(), name: z.string().optional() }),
  'chat.tool_result': z.looseObject({ ...turn, call_id: id.optional() }),
  'chat.approval_requested': z.looseObject({ approval_id: id }),
  'chat.approval_resolved': z.looseObject({ approval_id: id, decision: z.string() }),
  'chat.usage': z.looseObject({ turn_id: id.optional() }),
  'chat.turn_ended': z.looseObject({ ...turn, reason: z.enum(['complete', 'cancelled', 'interrupted', 'error']) }),
} as const
