import { outboundClass } from '@holdfast/protocol'
import { jsonSchema } from '@holdfast/protocol/schema'
import { Ajv2020 } from 'ajv/dist/2020.js'

export interface Message {
  readonly type: string
  readonly header: { readonly id?: string; readonly session_id?: string; readonly reply_to?: string; readonly seq?: number; readonly version: number }
  readonly payload: Record<string, unknown>
}

const document = jsonSchema() as { readonly $id: string }
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false, keywords: ['x-holdfast-class'] })
ajv.addSchema(document)
const validate = ajv.getSchema(`${document.$id}#/$defs/outbound`)

/** What is wrong with an outbound message by the exported schema (SEQ-12, SEQ-17); undefined where nothing is. */
export function faultOf(text: string): string | undefined {
  const message = JSON.parse(text) as Message
  const kind = outboundClass(message.type)
  if (kind === undefined) return `"${message.type}" is in no list`
  if (kind === 'durable' && typeof message.header.seq !== 'number') return `${message.type} has no seq`
  if (kind === 'control' && 'seq' in message.header) return `${message.type} has a seq`
  return validate?.(message) ? undefined : `${message.type}: ${JSON.stringify(validate?.errors?.slice(0, 3))} in ${text.slice(0, 300)}`
}

/** Every event that any reader saw, to be compared with the log: one that is in no log bypassed the place that stamps. */
export interface Seen {
  /** Takes a message as it came; keeps its fault, and the text of an event. */
  take(text: string): Message
  readonly faults: string[]
  /** `<session>/<seq>` to the text. */
  readonly events: ReadonlyMap<string, string>
}

export function createSeen(): Seen {
  const faults: string[] = []
  const events = new Map<string, string>()
  return {
    faults,
    events,
    take(text) {
      const fault = faultOf(text)
      if (fault !== undefined) faults.push(fault)
      const message = JSON.parse(text) as Message
      if (message.header.seq === undefined) return message
      const key = `${message.header.session_id}/${message.header.seq}`
      const before = events.get(key)
      if (before !== undefined && before !== text) faults.push(`two texts for ${key}`)
      events.set(key, text)
      return message
    },
  }
}
