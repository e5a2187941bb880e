import { randomBytes } from 'node:crypto'
import type { Principal, Scope } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import { describe, expect, test } from 'vitest'
import { ADMIN_PRINCIPAL, LOCAL_PRINCIPAL } from './principals.ts'
import { createTickets, MAX_TICKETS, MAX_TICKETS_PER_PRINCIPAL, SOCKET_TICKET_MS, STREAM_TICKET_MS } from './tickets.ts'

function bench() {
  let now = 500
  const dead = new Set<string>()
  const tickets = createTickets({
    clock: { steadyMs: () => now, wallMs: () => Date.UTC(2030, 0, 1), after: () => () => undefined },
    random: { id: () => 'id', bytes: length => randomBytes(length) },
    isLive: tokenId => !dead.has(tokenId),
  })
  return {
    tickets,
    dead,
    advance: (ms: number) => {
      now += ms
    },
  }
}

const holder = (scopes: Scope[], more: Partial<Principal> = {}) => ({ principal: { subject: 'ann', scopes: new Set(scopes), ...more }, tokenId: 't-1' })

const refusal = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    if (error instanceof HoldfastError) return [error.code, error.details.field ?? error.details.limit ?? error.details.scope ?? error.details.session_id]
    throw error
  }
  return undefined
}

describe('socket tickets', () => {
  test('[OPS-01] one works once, for 30 s, and stands for the narrowed principal and its token', () => {
    const { tickets } = bench()
    const { ticket, expires_at } = tickets.issue(holder(['read', 'write', 'exec']), { scope: 'read', session_id: 's-1' })
    expect(expires_at).toBe('2030-01-01T00:00:30.000Z')
    expect(ticket).toMatch(/^hft_[A-Za-z0-9_-]{43}$/)
    expect(tickets.redeem(ticket, { use: 'socket' })).toEqual({ principal: { subject: 'ann', scopes: new Set(['read']), sessionId: 's-1' }, tokenId: 't-1' })
    expect(tickets.redeem(ticket, { use: 'socket' })).toBeUndefined()
    expect(tickets.size).toBe(0)
  })

  test('[OPS-01] at 30 s it is over, a ms before it is not', () => {
    const { tickets, advance } = bench()
    const early = tickets.issue(holder(['read']), { scope: 'read' }).ticket
    const late = tickets.issue(holder(['read']), { scope: 'read' }).ticket
    advance(SOCKET_TICKET_MS - 1)
    expect(tickets.redeem(early, { use: 'socket' })).toBeDefined()
    advance(1)
    expect(tickets.redeem(late, { use: 'socket' })).toBeUndefined()
  })

  test('[fault 27] shown for another session or for a stream it is refused and spent', () => {
    const { tickets } = bench()
    const issue = () => tickets.issue(holder(['read']), { scope: 'read', session_id: 's-1' }).ticket
    const one = issue()
    expect(tickets.redeem(one, { use: 'socket', sessionId: 's-2' })).toBeUndefined()
    expect(tickets.redeem(one, { use: 'socket', sessionId: 's-1' })).toBeUndefined()
    const two = issue()
    expect(tickets.redeem(two, { use: 'stream', sessionId: 's-1' })).toBeUndefined()
    expect(tickets.redeem(two, { use: 'socket', sessionId: 's-1' })).toBeUndefined()
  })

  test.each(['', 'hft_', 'x', `hft_${'A'.repeat(43)}`, `hft_${'A'.repeat(42)}=`])('[OPS-01] %j is nobody', ticket => {
    expect(bench().tickets.redeem(ticket, { use: 'socket' })).toBeUndefined()
  })
})

describe('stream tickets', () => {
  test('[OPS-01] one works as often as the browser reconnects, for 5 min, for its session only', () => {
    const { tickets, advance } = bench()
    const { ticket, expires_at } = tickets.issue(holder(['read']), { scope: 'read', session_id: 's-1', stream: true })
    expect(expires_at).toBe('2030-01-01T00:05:00.000Z')
    for (let i = 0; i < 3; i++) expect(tickets.redeem(ticket, { use: 'stream', sessionId: 's-1' })?.principal.sessionId).toBe('s-1')
    expect(tickets.redeem(ticket, { use: 'stream', sessionId: 's-2' })).toBeUndefined()
    expect(tickets.redeem(ticket, { use: 'stream' })).toBeUndefined()
    expect(tickets.redeem(ticket, { use: 'socket', sessionId: 's-1' })).toBeUndefined()
    advance(STREAM_TICKET_MS - 1)
    expect(tickets.redeem(ticket, { use: 'stream', sessionId: 's-1' })).toBeDefined()
    advance(1)
    expect(tickets.redeem(ticket, { use: 'stream', sessionId: 's-1' })).toBeUndefined()
    expect(tickets.size).toBe(0)
  })

  test('[OPS-01] the feed is a session to be bound to', () => {
    const { tickets } = bench()
    const { ticket } = tickets.issue(holder(['read']), { scope: 'read', session_id: '_feed', stream: true })
    expect(tickets.redeem(ticket, { use: 'stream', sessionId: '_feed' })?.principal.sessionId).toBe('_feed')
    expect(tickets.redeem(ticket, { use: 'stream', sessionId: 's-1' })).toBeUndefined()
  })

  test('[OPS-01] a token bound to a session lends its binding', () => {
    const { tickets } = bench()
    expect(refusal(() => tickets.issue(holder(['read']), { scope: 'read', stream: true }))).toEqual(['invalid_request', 'session_id'])
    const bound = holder(['read'], { sessionId: 's-1' })
    const { ticket } = tickets.issue(bound, { scope: 'read' })
    expect(tickets.redeem(ticket, { use: 'socket' })?.principal.sessionId).toBe('s-1')
    expect(refusal(() => tickets.issue(bound, { scope: 'read', session_id: 's-2' }))).toEqual(['not_found', 's-2'])
  })
})

describe('scopes', () => {
  const scopesOf = (scopes: Scope[], scope: string) => {
    const { tickets } = bench()
    const { ticket } = tickets.issue(holder(scopes), { scope })
    return [...(tickets.redeem(ticket, { use: 'socket' })?.principal.scopes ?? [])].sort()
  }

  test('[OPS-01] write and produce also read, as far as the token does', () => {
    expect(scopesOf(['read', 'write', 'produce'], 'write')).toEqual(['read', 'write'])
    expect(scopesOf(['read', 'write', 'produce'], 'produce')).toEqual(['produce', 'read'])
    expect(scopesOf(['write'], 'write')).toEqual(['write'])
    expect(scopesOf([...ADMIN_PRINCIPAL.scopes], 'write')).toEqual(['read', 'write'])
    expect(scopesOf(['admin'], 'produce')).toEqual(['produce', 'read'])
  })

  test('[OPS-01] never more than the token has', () => {
    const { tickets } = bench()
    expect(refusal(() => tickets.issue(holder(['read']), { scope: 'write' }))).toEqual(['forbidden', 'write'])
    expect(refusal(() => tickets.issue(holder(['write', 'exec']), { scope: 'read' }))).toEqual(['forbidden', 'read'])
  })

  test('[OPS-01] local keeps its kinds through a ticket', () => {
    const { tickets } = bench()
    const { ticket } = tickets.issue({ principal: LOCAL_PRINCIPAL, tokenId: null }, { scope: 'produce' })
    expect(tickets.redeem(ticket, { use: 'socket' })?.principal).toMatchObject({ subject: 'local', kinds: new Set(['run']) })
  })

  test.each([
    [undefined, ''],
    [{}, 'scope'],
    [{ scope: 'exec' }, 'scope'],
    [{ scope: 'admin' }, 'scope'],
    [{ scope: 'read', session_id: '../etc' }, 'session_id'],
    [{ scope: 'read', session_id: 's', stream: 'yes' }, 'stream'],
    [{ scope: 'read', streams: true }, 'streams'],
  ])('[OPS-01] %j is invalid_request', (body, field) => {
    expect(refusal(() => bench().tickets.issue(holder(['admin']), body))).toEqual(['invalid_request', field])
  })
})

test('[fault 27] tickets end with the token behind them', () => {
  const { tickets, dead } = bench()
  const once = tickets.issue(holder(['read']), { scope: 'read' }).ticket
  const often = tickets.issue(holder(['read']), { scope: 'read', session_id: 's', stream: true }).ticket
  expect(tickets.redeem(often, { use: 'stream', sessionId: 's' })).toBeDefined()
  dead.add('t-1')
  expect(tickets.redeem(once, { use: 'socket' })).toBeUndefined()
  expect(tickets.redeem(often, { use: 'stream', sessionId: 's' })).toBeUndefined()
})

test('[OPS-03] tickets are bounded by principal and in all; expired and used ones make room', () => {
  const { tickets, advance } = bench()
  const ask = (subject: string) => tickets.issue(holder(['read'], { subject }), { scope: 'read' })
  for (let i = 0; i < MAX_TICKETS_PER_PRINCIPAL; i++) ask('ann')
  expect(refusal(() => ask('ann'))).toEqual(['rate_limited', 'tickets'])
  for (let i = 0; i < MAX_TICKETS - MAX_TICKETS_PER_PRINCIPAL; i++) ask(`p-${i % 50}`)
  expect(refusal(() => ask('new'))).toEqual(['rate_limited', 'tickets'])
  expect(tickets.size).toBe(MAX_TICKETS)
  advance(SOCKET_TICKET_MS)
  tickets.redeem(ask('ann').ticket, { use: 'socket' })
  expect(tickets.size).toBe(0)
})
