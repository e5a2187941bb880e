import { z } from 'zod'
import { configSchema } from './schema.ts'

/** One setting, as the schema has it. */
export interface Setting {
  /** `['retention', 'chat', 'max_bytes']`. */
  readonly path: readonly string[]
  /** The path with dots. */
  readonly key: string
  /** The environment variable. */
  readonly env: string
  readonly fallback: unknown
  readonly description: string
  readonly unit: 'ms' | 'bytes' | 'none'
  /** The value, or why it is none. */
  parse(value: unknown): { readonly value: unknown } | { readonly problem: string }
}

/** A table of the file, with its settings. */
export interface Section {
  readonly key: string
  readonly description: string
  readonly settings: readonly Setting[]
}

const sections: Section[] = []
collect(configSchema, [])

/** Tables in the order of the schema; parents before children. */
export const SECTIONS: readonly Section[] = sections

/** Every setting, in order. */
export const SETTINGS: readonly Setting[] = sections.flatMap(section => section.settings)

function collect(schema: z.ZodObject, path: readonly string[]): void {
  const settings: Setting[] = []
  if (path.length > 0) sections.push({ key: path.join('.'), description: schema.description ?? '', settings })
  for (const [name, child] of Object.entries(schema.shape)) {
    const childPath = [...path, name]
    if (child instanceof z.ZodObject) collect(child, childPath)
    else if (child instanceof z.ZodDefault) settings.push(settingFrom(child, childPath))
    else throw new TypeError(`the setting ${childPath.join('.')} has no default`)
  }
}

function settingFrom(schema: z.ZodDefault, path: readonly string[]): Setting {
  const key = path.join('.')
  return {
    path,
    key,
    env: `HOLDFAST_${path.join('_').toUpperCase()}`,
    fallback: schema.def.defaultValue,
    description: schema.description ?? '',
    unit: path.some(name => name.endsWith('_ms')) ? 'ms' : key.endsWith('_bytes') ? 'bytes' : 'none',
    parse(value) {
      const result = schema.safeParse(value)
      return result.success ? { value: result.data } : { problem: result.error.issues.map(issue => issue.message).join('; ') }
    },
  }
}
