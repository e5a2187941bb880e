/** One text for all JSON values that are equal as parsed JSON: keys sorted, no spaces; `omit` names keys of the top object to leave out. */
export function canonicalJson(value: unknown, omit?: string): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(item => canonicalJson(item)).join(',')}]`
  const raw = rawNumber(value)
  if (raw !== undefined) return decimalValue(raw)
  const keys = sorted(Object.keys(value))
  let text = ''
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key]
    if (key === omit || item === undefined) continue
    text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`
  }
  return text === '' ? '{}' : `${text}}`
}

/** Sorts in place; few keys by insertion, which needs no memory. */
function sorted(keys: string[]): string[] {
  if (keys.length > 32) return keys.sort()
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] as string
    let at = i
    for (; at > 0 && (keys[at - 1] as string) > key; at--) keys[at] = keys[at - 1] as string
    keys[at] = key
  }
  return keys
}

/** Additions of ES2025 that TypeScript's es2024 library does not know. */
interface RawJson {
  rawJSON?(text: string): unknown
  isRawJSON?(value: unknown): boolean
}
const json = JSON as unknown as RawJson

const rawNumber = (value: object): string | undefined => (json.isRawJSON?.(value) ? (value as { rawJSON: string }).rawJSON : undefined)

/** A number whose digits a double may not hold: 16 or more of them, or an exponent. */
const RISKY_NUMBER = /\d{16}|\d[eE]/

/** One text for all ways to write a decimal number: its digits without zeros at the ends, and the exponent that goes with them. */
function decimalValue(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [number, '', number]
  const digits = whole + fraction
  let from = 0
  let to = digits.length
  while (from < to && digits[from] === '0') from++
  while (to > from && digits[to - 1] === '0') to--
  if (from === to) return '0'
  const scale = Number(exponent) - fraction.length + (digits.length - to)
  return `${sign}${digits.slice(from, to)}${scale === 0 ? '' : `e${scale}`}`
}

/**
 * Parses JSON so that `JSON.stringify` gives every number back with the value that was written, 64-bit integers too
 * (on engines without `JSON.rawJSON`, doubles as usual). Throws SyntaxError.
 */
export function parseLossless(text: string): unknown {
  if (!json.rawJSON || !RISKY_NUMBER.test(text)) return JSON.parse(text)
  const keep = (_key: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value !== 'number' || context?.source === undefined || String(value) === context.source) return value
    return decimalValue(String(value)) === decimalValue(context.source) ? value : json.rawJSON?.(context.source)
  }
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown)
}

/** True when objects and arrays are nested deeper than `max`; walks without recursion. */
export function deeperThan(value: unknown, max: number): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    const next: unknown[] = []
    for (const item of level) {
      if (item === null || typeof item !== 'object') continue
      if (depth >= max) return true
      for (const child of Array.isArray(item) ? item : Object.values(item)) if (child !== null && typeof child === 'object') next.push(child)
    }
    level = next
  }
  return false
}
