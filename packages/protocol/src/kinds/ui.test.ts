import fc from 'fast-check'
import { expect, test } from 'vitest'
import { A2UI_MESSAGES, UI_EVENTS } from './ui.ts'

test('[UI-05] an A2UI message passes the schema as it was sent, known or newer, fields that nobody knows too', () => {
  const messages = [
    { version: 'v0.9', createSurface: { surfaceId: 's', catalogId: 'c', theme: { primaryColor: '#123456' }, sendDataModel: true } },
    { version: 'v0.9', updateComponents: { surfaceId: 's', components: [{ id: 'root', component: 'Text', text: { path: '/x' } }] } },
    { version: 'v0.9', updateDataModel: { surfaceId: 's', path: '/x', value: null } },
    { version: 'v0.9', deleteSurface: { surfaceId: 's' } },
    { version: 'v2', rotateSurface: { by: 90 } },
  ]
  for (const message of messages) expect(UI_EVENTS['ui.message'].parse(message)).toEqual(message)
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), message => {
      const parsed = UI_EVENTS['ui.message'].safeParse(message)
      if (!Object.hasOwn(message, '__proto__')) expect(parsed.data).toEqual(message)
    }),
  )
})

test('[UI-06] the known messages say what they need', () => {
  expect(A2UI_MESSAGES.createSurface.safeParse({ createSurface: {} }).success).toBe(false)
  expect(A2UI_MESSAGES.updateComponents.safeParse({ updateComponents: { surfaceId: 's', components: 'x' } }).success).toBe(false)
  expect(A2UI_MESSAGES.updateDataModel.safeParse({ updateDataModel: { path: '/' } }).success).toBe(false)
})
