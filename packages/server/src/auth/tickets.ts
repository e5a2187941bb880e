import { type Clock, hasScope, type Principal, type Scope } from '@holdfast/core'
import { FEED_ID, HoldfastError, ID_PATTERN } from '@holdfast/protocol'
import { z } from 'zod'
import type { Access } from '../host.ts'
import { type Entropy, hashOf, newSecret } from './secret.ts'
import { parseBody } from './token-body.ts'

/** A WebSocket ticket lives this long and works once (contract section 4). */
export const SOCKET_TICKET_MS = 30_000
/** An EventSource's ticket lives this long and works as often as the browser reconnects. */
export const STREAM_TICKET_MS = 300_000
export const MAX_TICKETS_PER_PRINCIPAL = 1000
export const MAX_TICKETS = 10_000

/** The body of `POST /tickets`. */
export const ticketBodySchema = z
  .strictObject({
    session_id: z.union([z.literal(FEED_ID), z.string().regex(ID_PATTERN)]).optional(),
    scope: z.enum(['read', 'write', 'produce']),
    stream: z.boolean().optional(),
  })
  .refine(body => body.stream !== true || body.session_id !== undefined, { path: ['session_id'], message: 'a stream ticket needs a session (or "_feed")' })

/** `write` and `produce` also read: who may type into a session or append to it also sees it. */
const IMPLIED: Readonly<Record<'read' | 'write' | 'produce', readonly Scope[]>> = {
  read: ['read'],
  write: ['write', 'read'],
  produce: ['produce', 'read'],
}

export type TicketUse = 'socket' | 'stream'

interface Ticket extends Access {
  readonly sessionId: string | undefined
  readonly owner: string
  /** Steady ms. */
  readonly expiresAt: number
}

export interface TicketsOptions {
  readonly clock: Clock
  readonly random: Entropy
  /** Whether the token behind a ticket still holds: a revoked token's tickets are refused. */
  readonly isLive: (tokenId: string) => boolean
}

/** Short-lived stand-ins for tokens in URLs, in memory only: a restart forgets them (OPS-01). */
export interface Tickets {
  /** Answers `POST /tickets`; throws `invalid_request`, `forbidden` over the token's scopes, `not_found` outside its session, `rate_limited`. */
  issue(holder: Access, body: unknown): { readonly ticket: string; readonly expires_at: string }
  /** Whom the ticket stands for, bound to its session; a socket's works once. Undefined where it is unknown, used up, expired, revoked, or for another use or session. */
  redeem(ticket: string, request: { readonly use: TicketUse; readonly sessionId?: string | undefined }): Access | undefined
  /** How many are kept, expired ones included that nobody has asked for since. */
  readonly size: number
}

const TICKET_FORM = /^hft_[A-Za-z0-9_-]{43}$/

export function createTickets({ clock, random, isLive }: TicketsOptions): Tickets {
  // Keyed by hash, so that a lookup's time tells nothing about the secret. One map per lifetime keeps each in order of expiry.
  const kept: Readonly<Record<TicketUse, Map<string, Ticket>>> = { socket: new Map(), stream: new Map() }
  const perOwner = new Map<string, number>()

  const keyOf = (secret: string) => hashOf(secret).toString('base64')
  const size = () => kept.socket.size + kept.stream.size

  function remove(use: TicketUse, key: string) {
    const ticket = kept[use].get(key)
    if (!ticket) return
    kept[use].delete(key)
    const left = (perOwner.get(ticket.owner) ?? 0) - 1
    if (left > 0) perOwner.set(ticket.owner, left)
    else perOwner.delete(ticket.owner)
  }

  function removeExpired() {
    const now = clock.steadyMs()
    for (const use of ['socket', 'stream'] as const) {
      for (const [key, ticket] of kept[use]) {
        if (ticket.expiresAt > now) break
        remove(use, key)
      }
    }
  }

  function requireRoom(owner: string) {
    removeExpired()
    const full = size() >= MAX_TICKETS ? MAX_TICKETS : (perOwner.get(owner) ?? 0) >= MAX_TICKETS_PER_PRINCIPAL ? MAX_TICKETS_PER_PRINCIPAL : undefined
    if (full === undefined) return
    throw new HoldfastError('rate_limited', 'Too many tickets are waiting to be used.', { limit: 'tickets', max: full, retry_after_ms: SOCKET_TICKET_MS })
  }

  return {
    issue({ principal, tokenId }, body) {
      const { session_id, scope, stream } = parseBody(ticketBodySchema, body)
      if (!hasScope(principal, scope)) throw new HoldfastError('forbidden', `The token lacks the scope "${scope}".`, { scope })
      const sessionId = session_id ?? principal.sessionId
      if (principal.sessionId !== undefined && sessionId !== principal.sessionId)
        throw new HoldfastError('not_found', `There is no session "${sessionId}".`, { session_id: sessionId })
      requireRoom(principal.subject)

      const use: TicketUse = stream === true ? 'stream' : 'socket'
      const lifetimeMs = use === 'stream' ? STREAM_TICKET_MS : SOCKET_TICKET_MS
      const secret = `hft_${newSecret(random)}`
      const narrowed: Principal = {
        subject: principal.subject,
        scopes: new Set(IMPLIED[scope].filter(implied => hasScope(principal, implied))),
        ...(hasScope(principal, 'admin') ? { seesAllOwners: true } : {}),
        ...(sessionId === undefined ? {} : { sessionId }),
        ...(principal.kinds === undefined ? {} : { kinds: principal.kinds }),
      }
      kept[use].set(keyOf(secret), { principal: narrowed, tokenId, sessionId, owner: principal.subject, expiresAt: clock.steadyMs() + lifetimeMs })
      perOwner.set(principal.subject, (perOwner.get(principal.subject) ?? 0) + 1)
      return { ticket: secret, expires_at: new Date(clock.wallMs() + lifetimeMs).toISOString() }
    },

    redeem(secret, { use, sessionId }) {
      if (!TICKET_FORM.test(secret)) return undefined
      const key = keyOf(secret)
      // A one-use ticket that shows up anywhere is spent, also in a wrong place: it may have been read off a log.
      const oneUse = kept.socket.get(key)
      if (oneUse) remove('socket', key)
      const ticket = use === 'socket' ? oneUse : kept.stream.get(key)
      if (!ticket) return undefined
      if (clock.steadyMs() >= ticket.expiresAt || (ticket.tokenId !== null && !isLive(ticket.tokenId))) {
        remove(use, key)
        return undefined
      }
      if (use === 'stream' && sessionId !== ticket.sessionId) return undefined
      if (sessionId !== undefined && ticket.sessionId !== undefined && sessionId !== ticket.sessionId) return undefined
      return { principal: ticket.principal, tokenId: ticket.tokenId }
    },

    get size() {
      return size()
    },
  }
}
