import { z } from 'zod'
import { sessionSchema } from '../session.ts'

/** The owner's feed: the life of every session, durable and dense (RUN-08). */
export const FEED_EVENTS = {
  'session.created': z.object({ session: sessionSchema }),
  'session.updated': z.object({ session: sessionSchema }),
  'session.deleted': z.object({ session_id: z.string() }),
} as const
