import { z } from 'zod'
import { errorAnswerSchema, eventHeaderSchema, eventSchema, tokenSchema } from './answers.ts'
import { errorSchema, gapSchema, modeSchema } from './control.ts'
import { EVENT_TYPE_PATTERN, runItemSchema } from './kinds/run.ts'
import { A2UI_MESSAGES } from './kinds/ui.ts'
import { INPUTS } from './inputs.ts'
import { CLIENT, CONTROL, DURABLE } from './messages.ts'
import { createSessionSchema, idSchema, kindSchema, patchSessionSchema, sessionSchema, stateSchema } from './session.ts'

/** A JSON Schema, or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Where shared definitions lie in a JSON Schema document; OpenAPI has them elsewhere. */
const DEFS = '#/$defs/'

/** Identity of this schema document; it names the protocol's major, not an address. */
export const SCHEMA_ID = 'urn:holdfast:protocol:1'

/** The place of each schema that has a name of its own. */
const NAMED: readonly (readonly [name: string, schema: z.ZodType])[] = [
  ['id', idSchema],
  ['kind', kindSchema],
  ['state', stateSchema],
  ['mode', modeSchema],
  ['session', sessionSchema],
  ['createSession', createSessionSchema],
  ['patchSession', patchSessionSchema],
  ['error', errorSchema],
  ['gap', gapSchema],
  ['errorAnswer', errorAnswerSchema],
  ['token', tokenSchema],
  ['eventHeader', eventHeaderSchema],
  ['event', eventSchema],
  ['runItem', runItemSchema],
  ...Object.entries(A2UI_MESSAGES).map(([name, schema]) => [`a2ui.${name}`, schema] as const),
]

/** The header of whatever is not stored: it has no seq, and may not have one (SEQ-12, SEQ-17). */
const CONTROL_HEADER: JsonSchema = {
  type: 'object',
  description: 'Of a message that is not stored: there is never a seq.',
  properties: {
    seq: false,
    id: { type: 'string' },
    session_id: { type: 'string', description: 'The session it is about' },
    reply_to: { type: 'string', description: 'The id of the message that it answers' },
    timestamp: { type: 'string', format: 'date-time' },
    version: { type: 'integer', minimum: 1 },
    client_id: { type: 'string' },
  },
}

const CLIENT_HEADER: JsonSchema = {
  type: 'object',
  properties: {
    seq: false,
    id: { $ref: `${DEFS}id` },
    session_id: { type: 'string', maxLength: 128 },
    client_id: { $ref: `${DEFS}id` },
    trace_id: { type: 'string', maxLength: 128 },
  },
}

/** zod's registry with our names on top of the descriptions that the schemas carry. */
function namedRegistry(): z.core.$ZodRegistry<z.core.GlobalMeta> {
  const names = new Map<unknown, string>(NAMED.map(([name, schema]) => [schema, name]))
  const registry = z.registry<z.core.GlobalMeta>()
  registry.get = schema => {
    const described = z.globalRegistry.get(schema) ?? {}
    const id = names.get(schema)
    return (id === undefined ? described : { ...described, id }) as ReturnType<typeof registry.get>
  }
  return registry
}

/** Turns zod schemas into JSON Schema 2020-12, as they are read (unknown fields allowed), gathering named ones into `defs`. */
export function schemaWriter(): { readonly defs: Record<string, JsonSchema>; write(schema: z.ZodType): JsonSchema } {
  const metadata = namedRegistry()
  const defs: Record<string, JsonSchema> = {}
  const write = (schema: z.ZodType): JsonSchema => {
    const { $schema: _dialect, $defs = {}, ...rest } = z.toJSONSchema(schema, { metadata, io: 'input', target: 'draft-2020-12' })
    for (const [name, def] of Object.entries($defs)) {
      const { id: _id, ...own } = def as Record<string, unknown>
      defs[name] = own
    }
    return rest
  }
  for (const [, schema] of NAMED) write(schema)
  Object.assign(defs, { controlHeader: CONTROL_HEADER, clientHeader: CLIENT_HEADER })
  return { defs, write }
}

const message = (type: JsonSchema, header: string, payload: JsonSchema, required: readonly string[], more: JsonSchema): JsonSchema => ({
  type: 'object',
  ...more,
  properties: { type, header: { $ref: `${DEFS}${header}` }, payload },
  required,
})

const refs = (names: readonly string[]): JsonSchema => ({ anyOf: names.map(name => ({ $ref: `${DEFS}${name}` })) })

/** The protocol as one JSON Schema 2020-12 document (SEQ-07): every message by its type, durable or control said beside it. */
export function jsonSchema(): object {
  const { defs, write } = schemaWriter()
  const add = (name: string, schema: JsonSchema): string => {
    defs[name] = schema
    return name
  }
  const whole = ['type', 'header', 'payload']
  const durable = Object.entries(DURABLE).map(([type, schema]) =>
    add(type, message({ const: type }, 'eventHeader', write(schema), whole, { 'x-holdfast-class': 'durable' })),
  )
  const runPattern = `^run\\.${EVENT_TYPE_PATTERN.source.slice(1)}`
  durable.push(
    add(
      'run.other',
      message({ type: 'string', pattern: runPattern }, 'eventHeader', { type: 'object' }, whole, {
        'x-holdfast-class': 'durable',
        description: 'run.<event_type> of a reporter: its object as payload',
      }),
    ),
  )
  const control = Object.entries(CONTROL).map(([type, schema]) =>
    add(type, message({ const: type }, 'controlHeader', write(schema), whole, { 'x-holdfast-class': 'control' })),
  )
  const client = [
    ...Object.entries(CLIENT).map(([type, schema]) => [type, write(schema)] as const),
    ...Object.entries(INPUTS).map(([type, input]) => [type, write(input.payload)] as const),
  ].map(([type, payload]) =>
    add(`client.${type}`, message({ const: type }, 'clientHeader', payload, needsPayload(payload) ? ['type', 'payload'] : ['type'], {})),
  )
  add('durable', refs(durable))
  add('control', refs(control))
  add('outbound', { ...refs(['durable', 'control']), description: 'Whatever a server of this version sends' })
  add('inbound', { ...refs(client), description: 'Whatever a client sends over WebSocket' })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: SCHEMA_ID,
    title: 'Holdfast protocol v1',
    description: 'Messages of the protocol: `outbound` from the server, `inbound` from a client; each outbound type is marked durable or control.',
    anyOf: [{ $ref: `${DEFS}outbound` }, { $ref: `${DEFS}inbound` }],
    $defs: defs,
  }
}

const needsPayload = (payload: JsonSchema): boolean => Array.isArray(payload.required) || payload.anyOf !== undefined
