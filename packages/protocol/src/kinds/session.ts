import { z } from 'zod'

/** Events that every kind may have. */
export const SESSION_EVENTS = {
  'session.resumed': z.looseObject({}),
  'session.warning': z.looseObject({ message: z.string() }),
  'session.ended': z.looseObject({ reason: z.string().optional() }),
} as const
