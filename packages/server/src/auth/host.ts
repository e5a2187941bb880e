import { isIPv4, isIPv6 } from 'node:net'

/** A host and a port as they stand in a `Host` header or a setting. */
export interface Authority {
  /** Lower case; IPv6 without brackets, in its shortest form. */
  readonly name: string
  /** null where none is written. */
  readonly port: number | null
}

const FORM = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?))(?::(\d{1,5}))?$/

/**
 * Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`; undefined for all else: empty, userinfo, paths, lists, zones, trailing dots, ports out of range,
 * and names that resolvers read as numbers (`127.1`, `0x7f.1`, `2130706433`).
 */
export function authorityFromText(text: string): Authority | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const port = match[3] === undefined ? null : Number(match[3])
  if (port !== null && (port < 1 || port > 65_535)) return undefined
  const literal = match[1]
  if (literal !== undefined) return isIPv6(literal) ? { name: shortIPv6(literal), port } : undefined
  const name = (match[2] ?? '').toLowerCase()
  const labels = name.split('.')
  if (labels.some(label => label === '' || label.length > 63 || label.startsWith('-') || label.endsWith('-'))) return undefined
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '') && !isIPv4(name)) return undefined
  return { name, port }
}

/** The form that browsers write. */
export const shortIPv6 = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1)

/** `name` or `[v6]`, with the port unless it is absent or the scheme's own: as it stands in an origin. */
export function authorityText({ name, port }: Authority, isTls: boolean): string {
  const host = name.includes(':') ? `[${name}]` : name
  return port === null || port === (isTls ? 443 : 80) ? host : `${host}:${port}`
}

/** True for `localhost`, 127.0.0.0/8 and `::1`, exactly: names below them (`a.localhost`, `127.0.0.1.example.com`) are others'. */
export const isLoopbackName = (name: string): boolean => name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
