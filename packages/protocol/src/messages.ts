import type { z } from 'zod'
import { CLIENT_CONTROL, SERVER_CONTROL } from './control.ts'
import { CHAT_EVENTS } from './kinds/chat.ts'
import { FEED_EVENTS } from './kinds/feed.ts'
import { RUN_EVENTS, runItemSchema } from './kinds/run.ts'
import { SESSION_EVENTS } from './kinds/session.ts'
import { TERMINAL_EVENTS } from './kinds/terminal.ts'
import { UI_EVENTS } from './kinds/ui.ts'

const runEvents = Object.fromEntries(RUN_EVENTS.map(type => [type, runItemSchema]))

/** Every durable event type with its payload; runs may add `run.<event_type>` of their own. */
export const DURABLE: Readonly<Record<string, z.ZodType>> = {
  ...SESSION_EVENTS,
  ...FEED_EVENTS,
  ...CHAT_EVENTS,
  ...TERMINAL_EVENTS,
  ...UI_EVENTS,
  ...runEvents,
}

/** Every control type that the server sends. */
export const CONTROL: Readonly<Record<string, z.ZodType>> = SERVER_CONTROL

/** Every control type that a client sends. */
export const CLIENT: Readonly<Record<string, z.ZodType>> = CLIENT_CONTROL

/** Which of the two an outbound message is: durable ones carry a seq and are replayed, control ones never (SEQ-12). */
export function outboundClass(type: string): 'durable' | 'control' | undefined {
  if (Object.hasOwn(CONTROL, type)) return 'control'
  return Object.hasOwn(DURABLE, type) || type.startsWith('run.') ? 'durable' : undefined
}
