import { randomBytes } from 'node:crypto'
import type { Clock } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import { describe, expect, test } from 'vitest'
import type { Entropy } from './secret.ts'
import { createTokens, MAX_TOKENS, TOKENS_COLLECTION } from './tokens.ts'

const START = Date.UTC(2030, 0, 1)

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Wall and steady time that move by hand, apart where asked. */
function handClock() {
  const timers = new Set<Timer>()
  let steady = 0
  let wall = START
  let longest = 0
  const clock: Clock = {
    wallMs: () => wall,
    steadyMs: () => steady,
    after(ms, callback) {
      longest = Math.max(longest, ms)
      const timer = { at: steady + ms, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
  }
  return {
    clock,
    jumpWall: (ms: number) => {
      wall += ms
    },
    advance(ms: number) {
      const end = steady + ms
      for (;;) {
        const next = [...timers].filter(timer => timer.at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        timers.delete(next)
        wall += next.at - steady
        steady = next.at
        next.callback()
      }
      wall += end - steady
      steady = end
    },
    get pending() {
      return timers.size
    },
    get longestWaitMs() {
      return longest
    },
  }
}

function bench() {
  const docs = new Map<string, string>()
  const logged: string[] = []
  const log = (message: string, fields?: unknown) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`)
  const time = handClock()
  let counter = 0
  const random: Entropy = { id: () => `t-${++counter}`, bytes: length => randomBytes(length) }
  const state = { fail: undefined as Error | undefined, held: undefined as Promise<void> | undefined }
  const open = () =>
    createTokens({
      store: { listDocs: async collection => (collection === TOKENS_COLLECTION ? [...docs].map(([id, value]) => ({ id, value })) : []) },
      putDoc: async (collection, id, value) => {
        expect(collection).toBe(TOKENS_COLLECTION)
        await state.held
        if (state.fail) throw state.fail
        if (value === null) docs.delete(id)
        else docs.set(id, value)
      },
      clock: time.clock,
      random,
      logger: { debug: log, info: log, warn: log, error: log },
    })
  return { docs, logged, time, state, open }
}

const codeOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    thrown => thrown,
  )
  return error instanceof HoldfastError ? [error.code, error.details.field ?? error.details.limit] : error
}

describe('minting', () => {
  test('[OPS-01] a minted token is found again with its subject, scopes and session, and by nothing else', async () => {
    const tokens = await bench().open()
    const minted = await tokens.mint({ subject: 'ann', scopes: ['write', 'read', 'read'], session_id: 's-1' })
    expect(minted.token).toMatch(/^hf_t-1_[A-Za-z0-9_-]{43}$/)
    expect(minted).toMatchObject({
      id: 't-1',
      subject: 'ann',
      scopes: ['read', 'write'],
      session_id: 's-1',
      revoked: false,
      created_at: '2030-01-01T00:00:00.000Z',
    })
    expect(tokens.find(minted.token)).toEqual({ tokenId: 't-1', principal: { subject: 'ann', scopes: new Set(['read', 'write']), sessionId: 's-1' } })
    const last = minted.token.at(-1) === 'A' ? 'B' : 'A'
    const other = await tokens.mint({ subject: 'bob', scopes: ['read'] })
    for (const wrong of [
      '',
      'hf_',
      'hf_t-1_',
      `${minted.token}x`,
      `${minted.token.slice(0, -1)}${last}`,
      minted.token.replace('t-1', 't-2'),
      minted.token.replace('t-1', 't-9'),
      other.token.replace('t-2', 't-1'),
      ` ${minted.token}`,
      minted.token.toUpperCase(),
    ]) {
      expect(tokens.find(wrong), wrong).toBeUndefined()
    }
  })

  test('[OPS-01] the secret is neither stored, listed nor logged', async () => {
    const { docs, logged, open } = bench()
    const tokens = await open()
    const { token } = await tokens.mint({ subject: 'ann', scopes: ['admin'] })
    const secret = token.slice('hf_t-1_'.length)
    await tokens.revoke('t-1')
    expect(JSON.stringify([...docs])).not.toContain(secret)
    expect(JSON.stringify(tokens.list())).not.toContain(secret)
    expect(JSON.stringify(tokens.list())).not.toContain('hash')
    expect(logged.join()).not.toContain(secret)
  })

  test.each([
    ['nothing', undefined, ''],
    ['an array', [], ''],
    ['no subject', { scopes: ['read'] }, 'subject'],
    ['a subject that is no id', { subject: 'a b', scopes: ['read'] }, 'subject'],
    ['the reserved subject', { subject: 'local', scopes: ['read'] }, 'subject'],
    ['no scopes', { subject: 'ann' }, 'scopes'],
    ['empty scopes', { subject: 'ann', scopes: [] }, 'scopes'],
    ['an unknown scope', { subject: 'ann', scopes: ['read', 'root'] }, 'scopes.1'],
    ['scopes as text', { subject: 'ann', scopes: 'read' }, 'scopes'],
    ['a session id that is none', { subject: 'ann', scopes: ['read'], session_id: '../x' }, 'session_id'],
    ['an admin bound to a session', { subject: 'ann', scopes: ['admin'], session_id: 's' }, 'scopes'],
    ['a date without time', { subject: 'ann', scopes: ['read'], expires_at: '2031-01-01' }, 'expires_at'],
    ['a day that does not exist', { subject: 'ann', scopes: ['read'], expires_at: '2031-02-30T00:00:00Z' }, 'expires_at'],
    ['a number as date', { subject: 'ann', scopes: ['read'], expires_at: 4102444800 }, 'expires_at'],
    ['the past', { subject: 'ann', scopes: ['read'], expires_at: '2029-12-31T23:59:59Z' }, 'expires_at'],
    ['this very moment', { subject: 'ann', scopes: ['read'], expires_at: '2030-01-01T00:00:00Z' }, 'expires_at'],
    ['a misspelt field', { subject: 'ann', scopes: ['read'], expires: '2031-01-01T00:00:00Z' }, 'expires'],
  ])('[OPS-01] a body with %s is invalid_request and stores nothing', async (_name, body, field) => {
    const { docs, open } = bench()
    const tokens = await open()
    expect(await codeOf(tokens.mint(body))).toEqual(['invalid_request', field])
    expect(docs.size).toBe(0)
    expect(tokens.list()).toEqual([])
  })

  test('[OPS-01] a token is not valid before it is on disk, nor when it cannot be written', async () => {
    const { state, open } = bench()
    const tokens = await open()
    const gate = Promise.withResolvers<void>()
    state.held = gate.promise
    const minting = tokens.mint({ subject: 'ann', scopes: ['read'] })
    expect(tokens.list()).toEqual([])
    state.fail = new Error('disk full')
    gate.resolve()
    expect((await codeOf(minting))?.[0]).toBe('storage_failed')
    expect(tokens.list()).toEqual([])
  })

  test('[OPS-03] tokens are bounded: a dead one makes room, live ones refuse the next', async () => {
    const { docs, open } = bench()
    const hash = '0'.repeat(64)
    for (let i = 0; i < MAX_TOKENS; i++) {
      docs.set(
        `old-${i}`,
        JSON.stringify({
          id: `old-${i}`,
          subject: 'ann',
          scopes: ['read'],
          created_at: new Date(START - MAX_TOKENS + i).toISOString(),
          revoked: i === 7,
          hash,
        }),
      )
    }
    const tokens = await open()
    await tokens.mint({ subject: 'ann', scopes: ['read'] })
    expect(docs.has('old-7')).toBe(false)
    expect(docs.size).toBe(MAX_TOKENS)
    expect(await codeOf(tokens.mint({ subject: 'ann', scopes: ['read'] }))).toEqual(['rate_limited', 'tokens'])
  })
})

describe('restarts', () => {
  test('[OPS-01] tokens and revocations survive a restart, oldest first', async () => {
    const { docs, time, open } = bench()
    const before = await open()
    const kept = await before.mint({ subject: 'ann', scopes: ['read'], expires_at: '2031-01-01T02:00:00+02:00' })
    time.advance(5)
    const gone = await before.mint({ subject: 'bob', scopes: ['admin'] })
    await before.revoke(gone.id)
    const reversed = [...docs].reverse()
    docs.clear()
    for (const [id, value] of reversed) docs.set(id, value)
    const after = await open()
    expect(after.find(kept.token)?.principal.subject).toBe('ann')
    expect(after.find(gone.token)).toBeUndefined()
    expect(after.list().map(token => token.id)).toEqual([kept.id, gone.id])
    expect(after.list().find(token => token.id === kept.id)).toMatchObject({ expires_at: '2031-01-01T00:00:00.000Z', revoked: false })
    expect(after.list().find(token => token.id === gone.id)).toMatchObject({ revoked: true })
  })

  test.each([
    '',
    '{',
    'null',
    '{"id":"x"}',
    '{"id":"other","subject":"ann","scopes":["admin"],"created_at":"2030-01-01T00:00:00.000Z","revoked":false,"hash":"' + '0'.repeat(64) + '"}',
  ])('[OPS-01] a damaged document %j is reported and no token; the others stay', async value => {
    const { docs, logged, open } = bench()
    const { token } = await (await open()).mint({ subject: 'ann', scopes: ['read'] })
    docs.set('x', value)
    const tokens = await open()
    expect(tokens.list().map(info => info.id)).toEqual(['t-1'])
    expect(tokens.find(token)).toBeDefined()
    expect(logged.join()).toContain('cannot be read')
  })
})

describe('the end of a token', () => {
  test('[fault 27] a revoked token is refused at once, before its revocation is on disk, and listeners are told once', async () => {
    const { state, open } = bench()
    const tokens = await open()
    const { id, token } = await tokens.mint({ subject: 'ann', scopes: ['read'] })
    const told: string[] = []
    tokens.onRevoked(tokenId => void told.push(tokenId))
    const gate = Promise.withResolvers<void>()
    state.held = gate.promise
    const revoking = tokens.revoke(id)
    expect(tokens.find(token)).toBeUndefined()
    expect(tokens.isLive(id)).toBe(false)
    expect(told).toEqual([id])
    gate.resolve()
    await revoking
    await tokens.revoke(id)
    expect(told).toEqual([id])
    expect(await codeOf(tokens.revoke('unknown'))).toEqual(['not_found', undefined])
  })

  test('[OPS-01] a revocation that could not be written says so, holds meanwhile, and can be repeated', async () => {
    const { docs, state, open } = bench()
    const tokens = await open()
    const { id, token } = await tokens.mint({ subject: 'ann', scopes: ['read'] })
    state.fail = new HoldfastError('storage_failed', 'full')
    expect((await codeOf(tokens.revoke(id)))?.[0]).toBe('storage_failed')
    expect(tokens.find(token)).toBeUndefined()
    expect(JSON.parse(docs.get(id) ?? '{}').revoked).toBe(false)
    state.fail = undefined
    await tokens.revoke(id)
    expect(JSON.parse(docs.get(id) ?? '{}').revoked).toBe(true)
  })

  test('[OPS-01] one listener that throws does not keep the others from closing their sockets', async () => {
    const { logged, open } = bench()
    const tokens = await open()
    const { id } = await tokens.mint({ subject: 'ann', scopes: ['read'] })
    const told: string[] = []
    tokens.onRevoked(() => {
      throw new Error('planted')
    })
    const stop = tokens.onRevoked(() => void told.push('never'))
    tokens.onRevoked(tokenId => void told.push(tokenId))
    stop()
    await tokens.revoke(id)
    expect(told).toEqual([id])
    expect(logged.join()).toContain('planted')
  })

  test('[OPS-01] a token ends at its very ms, and listeners hear of it within 1 s', async () => {
    const { time, open } = bench()
    const tokens = await open()
    const { id, token } = await tokens.mint({ subject: 'ann', scopes: ['read'], expires_at: new Date(START + 10_500).toISOString() })
    const told: number[] = []
    tokens.onRevoked(() => void told.push(time.clock.wallMs() - START))
    time.advance(10_499)
    expect(tokens.find(token)?.tokenId).toBe(id)
    time.advance(1)
    expect(tokens.find(token)).toBeUndefined()
    expect(tokens.isLive(id)).toBe(false)
    time.advance(5000)
    expect(told).toHaveLength(1)
    expect(told[0]).toBeLessThanOrEqual(11_500)
    expect(time.pending).toBe(0)
  })

  test('[fault 15] a wall clock that jumps past an expiry (a suspended machine) is noticed within 1 s; going back brings the token and its end back', async () => {
    const { time, open } = bench()
    const tokens = await open()
    const { id, token } = await tokens.mint({ subject: 'ann', scopes: ['read'], expires_at: new Date(START + 3_600_000).toISOString() })
    const told: string[] = []
    tokens.onRevoked(tokenId => void told.push(tokenId))
    time.jumpWall(2 * 3_600_000)
    expect(tokens.find(token)).toBeUndefined()
    time.advance(1000)
    expect(told).toEqual([id])
    time.jumpWall(-2 * 3_600_000)
    expect(tokens.find(token)?.tokenId).toBe(id)
    time.advance(3_600_000)
    expect(told).toEqual([id, id])
  })

  test('[OPS-01] a far expiry never asks for a long timer, none asks for none, and close stops it', async () => {
    const { time, open } = bench()
    const tokens = await open()
    await tokens.mint({ subject: 'ann', scopes: ['read'] })
    expect(time.pending).toBe(0)
    await tokens.mint({ subject: 'ann', scopes: ['read'], expires_at: '9999-12-31T23:59:59Z' })
    expect(time.pending).toBe(1)
    time.advance(60_000)
    expect(time.longestWaitMs).toBeLessThanOrEqual(1000)
    tokens.close()
    expect(time.pending).toBe(0)
  })

  test('[OPS-01] a token that expired while the server was down is refused after the start', async () => {
    const { time, open } = bench()
    const before = await open()
    const { token } = await before.mint({ subject: 'ann', scopes: ['read'], expires_at: new Date(START + 1000).toISOString() })
    before.close()
    time.jumpWall(60_000)
    const tokens = await open()
    expect(tokens.find(token)).toBeUndefined()
  })
})
