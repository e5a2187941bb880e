import type { Clock, Logger } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import type { Access, Admission, Arrival } from '../host.ts'
import { addressKey } from './address.ts'
import { clientPlace, hostsOf } from './client.ts'
import { type Authority, authorityFromText, isLoopbackName } from './host.ts'
import { checkHost, checkOrigin, loopbackOrigins, originFrom } from './origin.ts'
import { ADMIN_PRINCIPAL, LOCAL_PRINCIPAL, NOBODY } from './principals.ts'
import { createBuckets } from './rate.ts'
import { sameSecret, TOKEN_PATTERN } from './secret.ts'
import type { Tickets } from './tickets.ts'
import type { Tokens } from './tokens.ts'

/** What the guard needs of the `serve` settings; hosts and origins are canonical already. */
export interface GuardSettings {
  /** The listening address. */
  readonly host: string
  /** From `--token`; null where the admin's token is the file's. */
  readonly token: string | null
  readonly allow_host: readonly string[]
  readonly allow_origin: readonly string[]
  readonly public_url: string | null
  readonly trust_proxy: boolean
  /** A certificate of its own. */
  readonly tls_cert: string | null
}

export interface GuardOptions {
  readonly settings: GuardSettings
  /** The port that is listened on; asked at the first request, since port 0 is known late. */
  readonly port: () => number
  /** The admin's own token, the file's or the given one. */
  readonly adminSecret: string
  readonly tokens: Pick<Tokens, 'find'>
  readonly tickets: Pick<Tickets, 'redeem'>
  readonly clock: Pick<Clock, 'steadyMs'>
  readonly logger: Logger
  /** Requests that need nobody's name; Host and Origin are checked for them too. */
  readonly isOpen?: (method: string, path: string) => boolean
}

/** The one door (OPS-02): every request, stream and upgrade passes it, in the order Host and Origin, then authentication. */
export interface Guard {
  /** Throws `origin_rejected`, then `unauthorized` or `rate_limited`; where nobody is known yet the principal may do nothing. */
  admit(arrival: Arrival): Admission
  /** Who holds a token that came as `protocol.auth`; throws `unauthorized` or `rate_limited`. */
  accessFromToken(token: string, remoteAddress: string | undefined): Access
}

const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/schema.json', '/openapi.json'])

/** The endpoints that anybody may ask, and browsers' preflights, which cannot carry a token and have no effect. */
export const isOpenByDefault = (method: string, path: string): boolean =>
  method === 'OPTIONS' || ((method === 'GET' || method === 'HEAD') && OPEN_PATHS.has(path))

/** An address may get it wrong this often, then once a second. */
const FAILURES = { perSecond: 1, burst: 20 }
const MAX_ADDRESSES = 10_000
/** A token that a person chose may be guessed; from this length on it is taken for a random one. */
const UNGUESSABLE_LENGTH = 32

/**
 * True where every request needs a token: one was configured, or others than this machine's users may reach the server (another address, an allowed host, a
 * public URL). Contract section 9.
 */
export function needsToken(settings: Pick<GuardSettings, 'host' | 'token' | 'allow_host' | 'public_url'>): boolean {
  return settings.token !== null || isReachedByOthers(settings)
}

/** True where others than this machine's users may reach the server. */
export function isReachedByOthers({ host, allow_host, public_url }: Pick<GuardSettings, 'host' | 'allow_host' | 'public_url'>): boolean {
  return !isLoopbackName(host) || allow_host.length > 0 || (public_url !== null && !isLoopbackName(nameFromUrl(public_url)))
}

const nameFromUrl = (url: string) => authorityFromText(new URL(url).host)?.name ?? ''

export function createGuard(options: GuardOptions): Guard {
  const { settings, adminSecret, tokens, tickets, clock, logger } = options
  const isOpen = options.isOpen ?? isOpenByDefault
  const alwaysToken = needsToken(settings)
  const isGuessable = adminSecret.length < UNGUESSABLE_LENGTH
  const failures = createBuckets({ clock, rule: FAILURES, maxKeys: MAX_ADDRESSES })
  let knownPlaces: ReturnType<typeof placesOf> | undefined
  const places = () => {
    knownPlaces ??= placesOf(settings, options.port())
    return knownPlaces
  }

  function checkPlace(arrival: Arrival, isTls: boolean) {
    const { rules, origins } = places()
    const hosts = hostsOf(arrival, settings.trust_proxy).map(host => checkHost(host, rules))
    // Pages under a host that the operator allowed are the server's own there.
    const sameOrigins = hosts.filter(host => host.isAllowed).map(host => originFrom(host, isTls))
    checkOrigin(arrival.origin, [...origins, ...sameOrigins], settings.allow_origin)
  }

  function refuse(key: string): never {
    const retryAfterMs = failures.take(key)
    if (retryAfterMs > 0) throw tooManyFailures(retryAfterMs)
    logger.warn('a wrong token was refused', { address: key })
    throw new HoldfastError('unauthorized', 'The token or ticket is wrong, expired or revoked.')
  }

  /** A right secret of 256 random bits passes whatever else came from its address, so that nobody can lock others out; a guessable one does not. */
  function accessFromSecret(secret: string, key: string): Access {
    if (!TOKEN_PATTERN.test(secret)) return refuse(key)
    const found = tokens.find(secret)
    if (found) return found
    const retryAfterMs = isGuessable ? failures.peek(key) : 0
    if (retryAfterMs > 0) throw tooManyFailures(retryAfterMs)
    return sameSecret(secret, adminSecret) ? { principal: ADMIN_PRINCIPAL, tokenId: null } : refuse(key)
  }

  function accessFromArrival(arrival: Arrival, key: string): Access | undefined {
    const { authorization, ticket, use, sessionId } = arrival
    if (authorization !== undefined && ticket !== undefined) throw new HoldfastError('invalid_request', 'A request carries a token or a ticket, not both.')
    if (authorization !== undefined) return accessFromSecret(/^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? '', key)
    if (ticket === undefined) return undefined
    return (use === 'request' ? undefined : tickets.redeem(ticket, { use, sessionId })) ?? refuse(key)
  }

  return {
    admit(arrival) {
      const client = clientPlace(arrival, settings.trust_proxy)
      checkPlace(arrival, client.isTls)
      if (isOpen(arrival.method, arrival.path)) return { ...NOBODY, needsAuthMessage: false, mayRaise: false }
      const access = accessFromArrival(arrival, addressKey(client.address))
      if (access) return { ...access, needsAuthMessage: false, mayRaise: false }
      const isSocket = arrival.use === 'socket'
      if (!alwaysToken && client.isLocal) return { principal: LOCAL_PRINCIPAL, tokenId: null, needsAuthMessage: false, mayRaise: isSocket }
      if (isSocket) return { ...NOBODY, needsAuthMessage: true, mayRaise: false }
      throw new HoldfastError('unauthorized', alwaysToken ? 'This server needs a token.' : 'A request that was forwarded by a proxy needs a token.')
    },
    accessFromToken: (token, remoteAddress) => accessFromSecret(token, addressKey(remoteAddress)),
  }
}

const tooManyFailures = (retryAfterMs: number) =>
  new HoldfastError('rate_limited', 'Too many wrong tokens came from this address.', { limit: 'failed_authentications', retry_after_ms: retryAfterMs })

/** Hosts that are answered and origins that are the server's own. A listening address that was named counts as allowed, a wildcard does not. */
function placesOf(settings: GuardSettings, port: number) {
  const allowed: Authority[] = settings.allow_host.flatMap(text => authorityFromText(text) ?? [])
  const origins = loopbackOrigins(settings.host, port, settings.tls_cert !== null)
  if (settings.public_url !== null) {
    const url = new URL(settings.public_url)
    const authority = authorityFromText(url.host)
    if (authority) allowed.push({ name: authority.name, port: authority.port ?? (url.protocol === 'https:' ? 443 : 80) })
    origins.push(url.origin)
  }
  const isWildcard = settings.host === '0.0.0.0' || settings.host === '::'
  if (!isWildcard && !isLoopbackName(settings.host)) allowed.push({ name: settings.host.toLowerCase(), port })
  return { rules: { port, allowed }, origins }
}
