import { z } from 'zod'

const surface = { surfaceId: z.string() }

/** The messages of A2UI that this version knows, by their one key besides `version` (UI-06); what they leave open passes through. */
export const A2UI_MESSAGES = {
  createSurface: z
    .looseObject({ version: z.string().optional(), createSurface: z.looseObject({ ...surface, catalogId: z.string().optional() }) })
    .describe('Render: a surface begins'),
  updateComponents: z
    .looseObject({ version: z.string().optional(), updateComponents: z.looseObject({ ...surface, components: z.array(z.unknown()) }) })
    .describe('Render: components of a surface, each known by its id'),
  updateDataModel: z
    .looseObject({ version: z.string().optional(), updateDataModel: z.looseObject({ ...surface, path: z.string().optional(), value: z.unknown().optional() }) })
    .describe('Patch: a value of the data model at a JSON Pointer, the root where there is none'),
  deleteSurface: z.looseObject({ version: z.string().optional(), deleteSurface: z.looseObject(surface) }).describe('A surface ends'),
} as const

export type A2uiCreateSurface = z.infer<typeof A2UI_MESSAGES.createSurface>
export type A2uiUpdateComponents = z.infer<typeof A2UI_MESSAGES.updateComponents>
export type A2uiUpdateDataModel = z.infer<typeof A2UI_MESSAGES.updateDataModel>
export type A2uiDeleteSurface = z.infer<typeof A2UI_MESSAGES.deleteSurface>

/** One A2UI message, stored and shown as it was sent (UI-05); the known ones are typed, newer ones pass. */
const a2uiMessageSchema = z.union([
  A2UI_MESSAGES.createSurface,
  A2UI_MESSAGES.updateComponents,
  A2UI_MESSAGES.updateDataModel,
  A2UI_MESSAGES.deleteSurface,
  z.looseObject({}),
])

/** Events of a ui session (contract section 5). */
export const UI_EVENTS = { 'ui.message': a2uiMessageSchema, 'ui.action': z.looseObject({}) } as const
