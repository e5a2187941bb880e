import { describe, expect, it } from 'vitest'
import { KEEP_ROLE_MS, type Roles, rolesAtStart, speaksFor, withoutSeat, withSeat, withWriter, writerAt } from './roles.ts'

const sit = (roles: Roles, seat: string, nowMs = 0, more: { mayWrite?: boolean; isReconnect?: boolean; singleUser?: boolean } = {}): Roles =>
  withSeat(roles, { seat, mayWrite: true, isReconnect: false, singleUser: false, ...more }, nowMs)
const NOBODY = rolesAtStart(undefined, 0)

describe('roles', () => {
  it('[TERM-13] the first with write scope is the writer, whoever comes later looks', () => {
    const roles = sit(sit(sit(NOBODY, 'c:reader', 0, { mayWrite: false }), 'c:a'), 'c:b')
    expect(writerAt(roles, 0)).toBe('c:a')
  })

  it('[TERM-13] the role is kept 30 s after the last attachment, by client id, and after a restart', () => {
    let roles = withoutSeat(sit(sit(NOBODY, 'c:a'), 'c:a'), 'c:a', 100)
    expect(writerAt(roles, 1e9), 'one of two').toBe('c:a')
    roles = withoutSeat(roles, 'c:a', 1000)
    expect(writerAt(sit(roles, 'c:b', 1000 + KEEP_ROLE_MS - 1), 1000 + KEEP_ROLE_MS - 1)).toBe('c:a')
    expect(writerAt(sit(roles, 'c:b', 1000 + KEEP_ROLE_MS), 1000 + KEEP_ROLE_MS)).toBe('c:b')
    expect(writerAt(sit(roles, 'c:a', 2000), 1e9), 'it came back').toBe('c:a')
    const restarted = rolesAtStart('c:a', 0)
    expect(writerAt(sit(restarted, 'c:b', 29_999), 29_999)).toBe('c:a')
    expect(writerAt(sit(restarted, 'c:b', 30_000), 30_000)).toBe('c:b')
  })

  it('[TERM-13] a connection without a client id keeps nothing, since it can not come back', () => {
    const roles = withoutSeat(sit(NOBODY, 's:1@a'), 's:1@a', 0)
    expect(writerAt(sit(roles, 'c:b'), 0)).toBe('c:b')
    expect([speaksFor('p:a', 's:1@a'), speaksFor('p:b', 's:1@a'), speaksFor('s:2@a', 's:1@a'), speaksFor('p:a', 'c:a')]).toEqual([true, false, false, false])
  })

  it('[TERM-13] single_user makes a new connection the writer, but never one that comes back', () => {
    const roles = sit(NOBODY, 'c:a')
    expect(writerAt(sit(roles, 'c:b', 0, { singleUser: true }), 0)).toBe('c:b')
    expect(writerAt(sit(roles, 'c:b', 0, { singleUser: true, isReconnect: true }), 0)).toBe('c:a')
    expect(writerAt(sit(roles, 'c:b', 0, { singleUser: true, mayWrite: false }), 0)).toBe('c:a')
  })

  it('[TERM-13] who takes over is the writer; without an attachment for 30 s', () => {
    const roles = withWriter(sit(sit(NOBODY, 'c:a'), 'c:b'), 'c:b', 5)
    expect(writerAt(roles, 1e9)).toBe('c:b')
    expect([writerAt(withWriter(roles, 'c:x', 5), 30_004), writerAt(withWriter(roles, 'c:x', 5), 30_005)]).toEqual(['c:x', undefined])
  })
})
