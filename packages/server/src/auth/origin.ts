import { HoldfastError } from '@holdfast/protocol'
import { type Authority, authorityFromText, authorityText, isLoopbackName } from './host.ts'

/** Which hosts a server answers to; a header that came twice is given joined by a comma and fits nothing. */
export interface HostRules {
  /** The server's own. */
  readonly port: number
  /** Allowed besides the loopback names; `port: null` means any. */
  readonly allowed: readonly Authority[]
}

const rejected = (message: string, details: Record<string, unknown>) => new HoldfastError('origin_rejected', message, details)

/** Shown in errors; long ones are cut. */
const shown = (value: string | undefined) => (value ?? 'none').slice(0, 256)

/** A written port must be the wanted one; an absent one stands for 80 or 443, whichever the scheme in front of the server is. */
const fits = (given: number | null, wanted: number) => (given === null ? wanted === 80 || wanted === 443 : given === wanted)

/**
 * The host that was asked for, where it is a loopback name, or an allowed one on the server's port or its own; `isAllowed` says which.
 * Throws `origin_rejected`: a name that an attacker points at this machine (DNS rebinding) is not among them (OPS-02).
 */
export function checkHost(header: string | undefined, rules: HostRules): Authority & { readonly isAllowed: boolean } {
  const host = header === undefined ? undefined : authorityFromText(header)
  if (!host) throw rejected('The Host header is missing, given twice or malformed.', { host: shown(header) })
  for (const allowed of rules.allowed) {
    if (allowed.name !== host.name) continue
    if (allowed.port === null || fits(host.port, allowed.port) || fits(host.port, rules.port)) return { ...host, isAllowed: true }
  }
  // Any port: a loopback name under another one is a forwarded port (an SSH tunnel, a test's proxy), and no page can make a browser send it from elsewhere.
  if (isLoopbackName(host.name)) return { ...host, isAllowed: false }
  throw rejected('This Host is not a loopback name, the host of the public URL or an allowed one (--allow-host).', { host: shown(header) })
}

/** Passes where no Origin was sent, or exactly one of those; throws `origin_rejected` for every other (`null`, other ports, subdomains; OPS-02). */
export function checkOrigin(origin: string | undefined, ownOrigins: readonly string[], allowed: readonly string[]): void {
  if (origin === undefined) return
  if (origin !== 'null' && (ownOrigins.includes(origin) || allowed.includes(origin))) return
  throw rejected('This Origin is neither the own one of the server nor allowed (--allow-origin).', { origin: shown(origin) })
}

/** The origin of pages that this server serves under a host. */
export const originFrom = (host: Authority, isTls: boolean): string => `${isTls ? 'https' : 'http'}://${authorityText(host, isTls)}`

/** The origins of a server's own pages on this machine: the loopback names that its listening address answers, and no other port. */
export function loopbackOrigins(listenHost: string, port: number, isTls: boolean): string[] {
  const names = loopbackNames(listenHost)
  return names.map(name => originFrom({ name, port }, isTls))
}

function loopbackNames(listenHost: string): readonly string[] {
  switch (listenHost) {
    case 'localhost':
    case '::':
      return ['localhost', '127.0.0.1', '::1']
    case '::1':
      return ['localhost', '::1']
    case '0.0.0.0':
    case '127.0.0.1':
      return ['localhost', '127.0.0.1']
    default:
      return isLoopbackName(listenHost) ? [listenHost] : []
  }
}

/** An origin as browsers write it, from a setting; undefined where it is none (`*`, `null`, a path, userinfo). Other schemes (`tauri://localhost`) pass as they are. */
export function originFromText(text: string): string | undefined {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#@\s]+)\/?$/.exec(text)
  if (!match) return undefined
  const scheme = (match[1] ?? '').toLowerCase()
  const host = authorityFromText(match[2] ?? '')
  if (!host) return undefined
  if (scheme === 'http' || scheme === 'https') return originFrom(host, scheme === 'https')
  return `${scheme}://${authorityText(host, false)}`
}
