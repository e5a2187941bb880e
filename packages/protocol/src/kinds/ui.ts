import { z } from 'zod'

/** One A2UI message, stored and shown as it was sent (UI-05); the known ones are typed, newer ones pass. */
const a2uiMessageSchema = z.union([
  z.looseObject({ createSurface: z.looseObject({ surfaceId: z.string() }) }),
  z.looseObject({ updateComponents: z.looseObject({ surfaceId: z.string(), components: z.array(z.unknown()) }) }),
  z.looseObject({ updateDataModel: z.looseObject({ surfaceId: z.string() }) }),
  z.looseObject({ deleteSurface: z.looseObject({ surfaceId: z.string() }) }),
  z.looseObject({}),
])

/** Events of a ui session (contract section 5). */
export const UI_EVENTS = { 'ui.message': a2uiMessageSchema, 'ui.action': z.looseObject({}) } as const
