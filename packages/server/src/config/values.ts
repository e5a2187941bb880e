import { z } from 'zod'
import { authorityFromText, authorityText } from '../auth/host.ts'
import { originFromText } from '../auth/origin.ts'
import { TOKEN_PATTERN } from '../auth/secret.ts'
import { bytesFromText, msFromText, textFromBytes, textFromMs } from './units.ts'

/** How `null` is written in a file, an environment variable or a flag. */
export const NONE = 'none'

/** One way of reading a setting; every source gives `unknown` (a TOML value, or a text from the environment or a flag). */
const reading = <T>(read: (value: unknown) => T | undefined, expected: string) =>
  z.unknown().transform((value, context): T => {
    const result = read(value)
    if (result !== undefined) return result
    context.addIssue({ code: 'custom', message: `must be ${expected}` })
    return z.NEVER
  })

const within = (value: number | undefined, min: number, max: number) =>
  value !== undefined && Number.isInteger(value) && value >= min && value <= max ? value : undefined

const quantity = (min: number, max: number, fromText: (text: string) => number | undefined, expected: string) => ({
  read: (value: unknown) => within(typeof value === 'string' ? fromText(value) : typeof value === 'number' ? value : undefined, min, max),
  expected,
})
type Quantity = ReturnType<typeof quantity>

/** A duration in ms. */
export const durationMs = (min: number, max: number): Quantity =>
  quantity(min, max, msFromText, `a duration from ${textFromMs(min)} to ${textFromMs(max)}, such as "10s" or "24h"`)

/** A size in bytes. */
export const sizeBytes = (min: number, max: number): Quantity =>
  quantity(min, max, bytesFromText, `a size from ${textFromBytes(min)} to ${textFromBytes(max)}, such as "50MiB"`)

export const wholeNumber = (min: number, max: number): Quantity =>
  quantity(min, max, text => (/^\d{1,15}$/.test(text) ? Number(text) : undefined), `a whole number from ${min} to ${max}`)

export const required = ({ read, expected }: Quantity) => reading(read, expected)

/** Takes "none" for null. */
export const optional = ({ read, expected }: Quantity) =>
  z.unknown().transform((value, context): number | null => {
    if (value === NONE) return null
    const result = read(value)
    if (result !== undefined) return result
    context.addIssue({ code: 'custom', message: `must be "${NONE}" or ${expected}` })
    return z.NEVER
  })

const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false, '1': true, '0': false, yes: true, no: false, on: true, off: false }

export const flag = () =>
  reading(value => {
    if (typeof value === 'boolean') return value
    return typeof value === 'string' && Object.hasOwn(FLAGS, value.toLowerCase()) ? FLAGS[value.toLowerCase()] : undefined
  }, 'true or false')

export const choice = <const T extends string>(...names: readonly T[]) => reading(value => names.find(name => name === value), `one of ${names.join(', ')}`)

/** A path that is not empty; `~` and relative paths are made absolute by the loader. */
export const path = () => reading(value => (typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined), 'a path')

/** The empty text stands for null. */
const textOrNull = (read: (text: string) => string | undefined, expected: string) =>
  z.unknown().transform((value, context): string | null => {
    if (value === '' || value === null) return null
    const result = typeof value === 'string' ? read(value) : undefined
    if (result !== undefined) return result
    context.addIssue({ code: 'custom', message: `must be ${expected}` })
    return z.NEVER
  })

export const optionalPath = () => textOrNull(text => (text.includes('\0') ? undefined : text), 'a path')

export const optionalToken = () => textOrNull(text => (TOKEN_PATTERN.test(text) ? text : undefined), 'visible ASCII without spaces, at most 4096 characters')

/** An address or name to listen on; IPv6 with or without brackets, kept without. */
export const listenHost = () =>
  reading(value => {
    if (typeof value !== 'string') return undefined
    const authority = authorityFromText(value.includes(':') && !value.startsWith('[') ? `[${value}]` : value)
    return authority?.port === null ? authority.name : undefined
  }, 'an IP address or a host name, without a port')

/** `http(s)://host[:port][/path]`, kept without a slash at the end. */
export const optionalUrl = () =>
  textOrNull(text => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined
    if (url.username !== '' || url.password !== '' || /[?#]/.test(text) || !authorityFromText(url.host)) return undefined
    return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
  }, 'a URL such as https://holdfast.example.com, without user, query or fragment')

/** A TOML array, a repeated flag, or one text with commas (environment). */
const listOf = (read: (text: string) => string | undefined, expected: string) =>
  z.unknown().transform((value, context): string[] => {
    const given: readonly unknown[] = Array.isArray(value) ? value : [value]
    const texts = given.flatMap(text => (typeof text === 'string' ? text.split(',').map(part => part.trim()) : [text])).filter(text => text !== '')
    const list: string[] = []
    for (const text of texts) {
      const result = typeof text === 'string' ? read(text) : undefined
      if (result === undefined) context.addIssue({ code: 'custom', message: `${JSON.stringify(text) ?? 'this'} must be ${expected}` })
      else if (!list.includes(result)) list.push(result)
    }
    return list
  })

/** Absolute paths. */
export const folders = () => listOf(text => (text.startsWith('/') && !text.includes('\0') ? text : undefined), 'an absolute path')

export const commands = () => listOf(text => (text.includes('\0') ? undefined : text), 'a command')

export const origins = () => listOf(originFromText, 'an origin such as https://app.example.com:8443, with scheme and host, without a path (no "*", no "null")')

export const hosts = () =>
  listOf(text => {
    const authority = authorityFromText(text)
    // The scheme is unknown, so every port stays written.
    return authority ? `${authorityText({ ...authority, port: null }, false)}${authority.port === null ? '' : `:${authority.port}`}` : undefined
  }, 'a host such as box.example.com or box.example.com:8443, without a scheme (no "*")')
