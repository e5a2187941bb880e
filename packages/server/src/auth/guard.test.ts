import { HoldfastError } from '@holdfast/protocol'
import { describe, expect, test } from 'vitest'
import type { Arrival } from '../host.ts'
import { createGuard, type GuardSettings, needsToken } from './guard.ts'
import { ADMIN_PRINCIPAL, LOCAL_PRINCIPAL } from './principals.ts'

const ADMIN = `hf_admin_${'A'.repeat(43)}`
const GOOD = `hf_good_${'B'.repeat(43)}`
const GOOD_ACCESS = { principal: { subject: 'ann', scopes: new Set(['read'] as const) }, tokenId: 'good' }
const TICKET = 'hft_ticket'

const DEFAULTS: GuardSettings = { host: '127.0.0.1', token: null, allow_host: [], allow_origin: [], public_url: null, trust_proxy: false, tls_cert: null }
const NO_FORWARD = { for: undefined, proto: undefined, host: undefined, standard: undefined }

function bench(settings: Partial<GuardSettings> = {}) {
  let now = 0
  const redeemed: unknown[] = []
  const logged: string[] = []
  const log = (message: string, fields?: unknown) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`)
  const guard = createGuard({
    settings: { ...DEFAULTS, ...settings },
    port: () => 8765,
    adminSecret: settings.token ?? ADMIN,
    tokens: { find: secret => (secret === GOOD ? GOOD_ACCESS : undefined) },
    tickets: {
      redeem(ticket, request) {
        redeemed.push(request)
        return ticket === TICKET ? GOOD_ACCESS : undefined
      },
    },
    clock: { steadyMs: () => now },
    logger: { debug: log, info: log, warn: log, error: log },
  })
  const arrival = (parts: Partial<Arrival> = {}): Arrival => ({
    method: 'GET',
    path: '/sessions',
    host: '127.0.0.1:8765',
    origin: undefined,
    authorization: undefined,
    ticket: undefined,
    sessionId: undefined,
    use: 'request',
    remoteAddress: '127.0.0.1',
    forwarded: NO_FORWARD,
    isTls: false,
    ...parts,
  })
  /** Who is admitted, or the code of the refusal. */
  const admit = (parts: Partial<Arrival> = {}) => {
    try {
      const { principal, needsAuthMessage, mayRaise } = guard.admit(arrival(parts))
      return `${principal.subject}${needsAuthMessage ? ' needs auth' : ''}${mayRaise ? ' may raise' : ''}`
    } catch (error) {
      if (error instanceof HoldfastError) return error.code
      throw error
    }
  }
  const advance = (ms: number) => {
    now += ms
  }
  return { guard, arrival, admit, advance, redeemed, logged }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('tokenless loopback', () => {
  test('[OPS-01] without a token it is local: read, write and produce on runs, no exec, no admin', () => {
    const { guard, arrival, admit } = bench()
    expect(admit()).toBe('local')
    const { principal, tokenId } = guard.admit(arrival())
    expect(principal).toBe(LOCAL_PRINCIPAL)
    expect([...principal.scopes].sort()).toEqual(['produce', 'read', 'write'])
    expect(principal.kinds).toEqual(new Set(['run']))
    expect(tokenId).toBeNull()
  })

  test('[OPS-01] a token raises it, the admin token too', () => {
    const { guard, arrival, admit } = bench()
    expect(admit(bearer(GOOD))).toBe('ann')
    expect(guard.admit(arrival(bearer(ADMIN)))).toMatchObject({ principal: ADMIN_PRINCIPAL, tokenId: null })
    expect(guard.admit(arrival(bearer(GOOD))).tokenId).toBe('good')
  })

  test.each([
    '',
    'Bearer',
    'Bearer ',
    'Bearer  ',
    'Basic bG9jYWw6',
    GOOD,
    `Bearer ${GOOD} x`,
    `Bearer ${GOOD}, Bearer ${GOOD}`,
    `Bearer\t${GOOD}`,
    `Token ${GOOD}`,
    'Bearer wrong',
    `Bearer ${ADMIN.slice(0, -1)}`,
    `Bearer ${ADMIN}A`,
    `Bearer ${'x'.repeat(5000)}`,
    'Bearer \u00e9',
  ])('[OPS-01] a credential that is wrong (%j) is 401, never silently local', authorization => {
    const { admit } = bench()
    expect(admit({ authorization })).toBe('unauthorized')
    expect(admit({ authorization, use: 'socket', path: '/ws' })).toBe('unauthorized')
  })

  test('[OPS-01] the scheme is read in any case', () => {
    expect(bench().admit({ authorization: `bearer ${GOOD}` })).toBe('ann')
    expect(bench().admit({ authorization: `BEARER   ${GOOD}` })).toBe('ann')
  })

  test('[OPS-01] a socket without a token is local and may be raised', () => {
    const { admit } = bench()
    expect(admit({ path: '/ws', use: 'socket' })).toBe('local may raise')
    expect(admit({ path: '/ws', use: 'socket', ...bearer(GOOD) })).toBe('ann')
  })

  test.each(['10.0.0.5', '::2', undefined, 'unknown'])('[OPS-01] from %j it needs a token', remoteAddress => {
    expect(bench().admit({ remoteAddress })).toBe('unauthorized')
    expect(bench().admit({ remoteAddress, use: 'socket' })).toBe(' needs auth')
    expect(bench().admit({ remoteAddress, ...bearer(GOOD) })).toBe('ann')
  })

  test.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])('[OPS-01] %s is loopback', remoteAddress => {
    expect(bench().admit({ remoteAddress })).toBe('local')
  })
})

describe('where every request needs a token', () => {
  const cases: readonly (readonly [string, Partial<GuardSettings>])[] = [
    ['a given token', { token: 'chosen-by-hand' }],
    ['another address', { host: '0.0.0.0' }],
    ['an allowed host', { allow_host: ['box.lan'] }],
    ['a public URL', { public_url: 'https://app.example' }],
  ]

  test.each(cases)('[OPS-01] with %s loopback is 401, a socket must send its token first', (_name, settings) => {
    const { admit } = bench(settings)
    expect(needsToken({ ...DEFAULTS, ...settings })).toBe(true)
    expect(admit()).toBe('unauthorized')
    expect(admit({ use: 'stream', path: '/sessions/s/events' })).toBe('unauthorized')
    expect(admit({ use: 'socket', path: '/ws' })).toBe(' needs auth')
    expect(admit(bearer(GOOD))).toBe('ann')
    expect(admit(bearer('wrong'))).toBe('unauthorized')
  })

  test('[OPS-01] who has not said its name may do and see nothing', () => {
    const { guard, arrival } = bench({ token: 'chosen-by-hand' })
    const { principal, tokenId } = guard.admit(arrival({ use: 'socket', path: '/ws' }))
    expect(principal.scopes.size).toBe(0)
    expect(principal.kinds?.size).toBe(0)
    expect(tokenId).toBeNull()
  })

  test('[OPS-01] the given token is the admin', () => {
    const { guard, arrival, admit } = bench({ token: 'chosen-by-hand' })
    expect(admit(bearer('chosen-by-hand'))).toBe('admin')
    expect(guard.accessFromToken('chosen-by-hand', '10.0.0.5').principal.subject).toBe('admin')
    expect(guard.admit(arrival(bearer('chosen-by-hand'))).tokenId).toBeNull()
  })

  test('[OPS-01] loopback names in settings change nothing', () => {
    expect(needsToken({ ...DEFAULTS, public_url: 'http://localhost:9000' })).toBe(false)
    expect(needsToken({ ...DEFAULTS, host: 'localhost' })).toBe(false)
    expect(needsToken({ ...DEFAULTS, host: '::1' })).toBe(false)
    expect(needsToken({ ...DEFAULTS, public_url: 'http://localhost.evil.com' })).toBe(true)
  })
})

describe('open endpoints', () => {
  test.each(['/healthz', '/readyz', '/schema.json', '/openapi.json'])('[OPS-05] %s needs nobody, but a good Host and Origin', path => {
    const { admit } = bench({ token: 'chosen-by-hand' })
    expect(admit({ path })).toBe('')
    expect(admit({ path, method: 'HEAD' })).toBe('')
    expect(admit({ path, ...bearer('wrong') })).toBe('')
    expect(admit({ path, host: 'evil.com:8765' })).toBe('origin_rejected')
    expect(admit({ path, origin: 'http://evil.com' })).toBe('origin_rejected')
    expect(admit({ path, method: 'POST' })).toBe('unauthorized')
  })

  test.each(['/metrics', '/healthz/', '//healthz', '/healthz/../sessions', '/HEALTHZ', '/healthz%2f', '/'])('[OPS-02] %s is not open', path => {
    expect(bench({ token: 'chosen-by-hand' }).admit({ path })).toBe('unauthorized')
  })

  test('[OPS-06] a preflight carries no token; it passes for allowed origins only', () => {
    const { admit } = bench({ token: 'chosen-by-hand', allow_origin: ['https://app.example'] })
    expect(admit({ method: 'OPTIONS', origin: 'https://app.example' })).toBe('')
    expect(admit({ method: 'OPTIONS', origin: 'https://evil.com' })).toBe('origin_rejected')
  })
})

describe('Host and Origin', () => {
  test('[OPS-02] they come before authentication, for every use', () => {
    for (const use of ['request', 'stream', 'socket'] as const) {
      const { admit } = bench()
      expect(admit({ use, host: 'evil.com:8765', ...bearer(GOOD) })).toBe('origin_rejected')
      expect(admit({ use, host: 'evil.com:8765', ...bearer('wrong') })).toBe('origin_rejected')
      expect(admit({ use, origin: 'http://evil.com', ...bearer(GOOD) })).toBe('origin_rejected')
      expect(admit({ use, origin: 'null', ...bearer(GOOD) })).toBe('origin_rejected')
      expect(admit({ use, host: undefined })).toBe('origin_rejected')
    }
  })

  test('[OPS-02] the own pages may, pages on other ports may not', () => {
    const { admit } = bench()
    expect(admit({ origin: 'http://127.0.0.1:8765' })).toBe('local')
    expect(admit({ origin: 'http://localhost:8765' })).toBe('local')
    expect(admit({ origin: 'http://localhost:3000' })).toBe('origin_rejected')
    expect(admit({ origin: 'https://localhost:8765' })).toBe('origin_rejected')
    // Whoever listens on another loopback address is somebody else, though Host may name it.
    expect(admit({ host: '127.0.0.2:8765' })).toBe('local')
    expect(admit({ host: '127.0.0.2:8765', origin: 'http://127.0.0.2:8765' })).toBe('origin_rejected')
    expect(admit({ host: 'localhost:9000', origin: 'http://localhost:9000' })).toBe('origin_rejected')
    expect(bench({ allow_host: ['localhost:9000'] }).admit({ host: 'localhost:9000', origin: 'http://localhost:9000', ...bearer(GOOD) })).toBe('ann')
  })

  test('[OPS-06] the public URL is answered under its name and its origin', () => {
    const { admit } = bench({ public_url: 'https://app.example/hold' })
    expect(admit({ host: 'app.example', origin: 'https://app.example', ...bearer(GOOD) })).toBe('ann')
    expect(admit({ origin: 'https://app.example', ...bearer(GOOD) })).toBe('ann')
    expect(admit({ host: 'app.example', origin: 'http://app.example:8443', ...bearer(GOOD) })).toBe('origin_rejected')
    expect(admit({ host: 'app.example:9', ...bearer(GOOD) })).toBe('origin_rejected')
  })

  test('[OPS-06] pages under an allowed host are the own ones there, by the scheme that was asked', () => {
    const { admit } = bench({ allow_host: ['box.lan:9000'], tls_cert: 'cert.pem' })
    expect(admit({ host: 'box.lan:9000', origin: 'https://box.lan:9000', isTls: true, ...bearer(GOOD) })).toBe('ann')
    expect(admit({ host: 'box.lan:9000', origin: 'http://box.lan:9000', isTls: true, ...bearer(GOOD) })).toBe('origin_rejected')
    expect(admit({ host: 'box.lan:9000', origin: 'https://box.lan', isTls: true, ...bearer(GOOD) })).toBe('origin_rejected')
    expect(admit({ host: 'localhost:8765', origin: 'https://box.lan:9000', isTls: true, ...bearer(GOOD) })).toBe('origin_rejected')
  })

  test('[OPS-06] a listening address that was named is answered, a wildcard opens nothing', () => {
    expect(bench({ host: '192.168.1.5', token: 't' }).admit({ host: '192.168.1.5:8765', origin: 'http://192.168.1.5:8765', ...bearer('t') })).toBe('admin')
    expect(bench({ host: '192.168.1.5', token: 't' }).admit({ host: '192.168.1.5:80', ...bearer('t') })).toBe('origin_rejected')
    expect(bench({ host: '0.0.0.0', token: 't' }).admit({ host: '192.168.1.5:8765', ...bearer('t') })).toBe('origin_rejected')
    expect(bench({ host: '0.0.0.0', token: 't' }).admit({ host: '0.0.0.0:8765', ...bearer('t') })).toBe('origin_rejected')
    expect(bench({ host: '0.0.0.0', token: 't' }).admit({ host: 'localhost:8765', ...bearer('t') })).toBe('admin')
  })
})

describe('proxies', () => {
  const forwarded = (parts: Partial<Arrival['forwarded']>) => ({ forwarded: { ...NO_FORWARD, ...parts } })

  test.each([{ for: '203.0.113.9' }, { for: '127.0.0.1' }, { for: '' }, { proto: 'https' }, { host: 'localhost:8765' }, { standard: 'for=127.0.0.1' }])(
    '[OPS-06] without --trust-proxy %j shows that the world may be behind loopback: it needs a token',
    parts => {
      const { admit } = bench()
      expect(admit(forwarded(parts))).toBe('unauthorized')
      expect(admit({ ...forwarded(parts), use: 'socket' })).toBe(' needs auth')
      expect(admit({ ...forwarded(parts), ...bearer(GOOD) })).toBe('ann')
    },
  )

  test('[OPS-06] without --trust-proxy they decide nothing else', () => {
    const { admit } = bench({ allow_host: ['app.example'], token: 't' })
    expect(admit({ host: 'evil.com', ...forwarded({ host: 'app.example' }), ...bearer('t') })).toBe('origin_rejected')
    expect(admit({ host: 'app.example', origin: 'https://app.example', ...forwarded({ proto: 'https' }), ...bearer('t') })).toBe('origin_rejected')
  })

  test.each([
    ['nothing', {}, 'local'],
    ['loopback', { for: '127.0.0.1' }, 'local'],
    ['only loopback', { for: '::1, 127.0.0.1' }, 'local'],
    ['a client that claims loopback', { for: '127.0.0.1, 203.0.113.9' }, 'unauthorized'],
    ['loopback behind a client', { for: '203.0.113.9, 127.0.0.1' }, 'unauthorized'],
    ['nonsense', { for: 'unknown' }, 'unauthorized'],
    ['an empty list', { for: '' }, 'unauthorized'],
    ['no address', { proto: 'https' }, 'unauthorized'],
    ['the standard header, which is not read', { for: '127.0.0.1', standard: 'for=203.0.113.9' }, 'unauthorized'],
  ] as const)('[OPS-06] with --trust-proxy a request forwarded for %s', (_name, parts, answer) => {
    expect(bench({ trust_proxy: true }).admit(forwarded(parts))).toBe(answer)
  })

  test('[OPS-06] with --trust-proxy a proxy elsewhere is never loopback', () => {
    expect(bench({ trust_proxy: true }).admit({ remoteAddress: '10.0.0.2', ...forwarded({ for: '127.0.0.1' }) })).toBe('unauthorized')
  })

  test('[OPS-02] with --trust-proxy a forwarded host must be allowed, and so must Host: a rebound page can send the one, not the other', () => {
    const { admit } = bench({ trust_proxy: true, allow_host: ['app.example'] })
    const good = { ...bearer(GOOD) }
    expect(admit({ ...forwarded({ host: 'app.example', for: '203.0.113.9', proto: 'https' }), origin: 'https://app.example', ...good })).toBe('ann')
    expect(admit({ ...forwarded({ host: 'app.example', proto: 'http' }), origin: 'https://app.example', ...good })).toBe('origin_rejected')
    expect(admit({ ...forwarded({ host: 'evil.com' }), ...good })).toBe('origin_rejected')
    expect(admit({ ...forwarded({ host: 'app.example, evil.com' }), ...good })).toBe('origin_rejected')
    expect(admit({ ...forwarded({ host: '' }), ...good })).toBe('origin_rejected')
    expect(admit({ host: 'evil.com:8765', ...forwarded({ host: 'app.example' }), ...good })).toBe('origin_rejected')
    expect(admit({ host: 'evil.com:8765', ...forwarded({ host: 'localhost:8765' }) })).toBe('origin_rejected')
  })
})

describe('tickets', () => {
  test('[OPS-01] one stands for its principal on sockets and streams, with the session that the URL names', () => {
    const { admit, redeemed } = bench({ token: 'chosen-by-hand' })
    expect(admit({ ticket: TICKET, use: 'socket', sessionId: 's-1' })).toBe('ann')
    expect(admit({ ticket: TICKET, use: 'stream', sessionId: 's-2' })).toBe('ann')
    expect(redeemed).toEqual([
      { use: 'socket', sessionId: 's-1' },
      { use: 'stream', sessionId: 's-2' },
    ])
  })

  test('[OPS-01] elsewhere it is refused, and a wrong one everywhere, never silently local', () => {
    const { admit, redeemed } = bench()
    expect(admit({ ticket: TICKET, use: 'request' })).toBe('unauthorized')
    expect(redeemed).toEqual([])
    for (const ticket of ['wrong', '']) {
      expect(admit({ ticket, use: 'socket' })).toBe('unauthorized')
      expect(admit({ ticket, use: 'stream' })).toBe('unauthorized')
    }
    expect(admit({ ticket: GOOD, use: 'socket' })).toBe('unauthorized')
  })

  test('[OPS-01] a token and a ticket at once are a mistake, not a choice', () => {
    expect(bench().admit({ ticket: TICKET, use: 'socket', ...bearer(GOOD) })).toBe('invalid_request')
  })
})

describe('wrong tokens', () => {
  const spray = (admit: (parts: Partial<Arrival>) => string, times: number, parts: Partial<Arrival> = {}) =>
    Array.from({ length: times }, (_, i) => admit({ ...bearer(`wrong-${i}`), ...parts }))

  test('[OPS-03] after 20 in a row an address is rate_limited, once a second from then on; others are not', () => {
    const { admit, advance, guard, arrival } = bench({ token: 'chosen-by-hand' })
    expect(new Set(spray(admit, 20))).toEqual(new Set(['unauthorized']))
    expect(new Set(spray(admit, 20))).toEqual(new Set(['rate_limited']))
    expect(() => guard.admit(arrival(bearer('wrong')))).toThrow(expect.objectContaining({ details: { limit: 'failed_authentications', retry_after_ms: 1000 } }))
    expect(() => guard.accessFromToken('wrong', '127.0.0.1')).toThrow(expect.objectContaining({ code: 'rate_limited' }))
    expect(admit({ ...bearer('wrong'), remoteAddress: '10.0.0.9' })).toBe('unauthorized')
    advance(1000)
    expect(spray(admit, 2)).toEqual(['unauthorized', 'rate_limited'])
  })

  test('[OPS-03] nobody is locked out by others: a random token passes, also without any; a token that could be guessed waits', () => {
    const random = bench()
    spray(random.admit, 40)
    expect(random.admit(bearer(GOOD))).toBe('ann')
    expect(random.admit(bearer(ADMIN))).toBe('admin')
    expect(random.admit({ ticket: TICKET, use: 'socket' })).toBe('ann')
    expect(random.admit()).toBe('local')
    const chosen = bench({ token: '1234' })
    spray(chosen.admit, 40)
    expect(chosen.admit(bearer('1234'))).toBe('rate_limited')
    expect(chosen.admit(bearer(GOOD))).toBe('ann')
    chosen.advance(1000)
    expect(chosen.admit(bearer('1234'))).toBe('admin')
    expect(chosen.admit(bearer('1234'))).toBe('admin')
  })

  test('[OPS-03] behind a trusted proxy it is the client who is counted, by the address that the proxy saw', () => {
    const { admit } = bench({ token: 'chosen-by-hand', trust_proxy: true })
    const from = (text: string) => ({ forwarded: { ...NO_FORWARD, for: text } })
    spray(admit, 20, from('1.1.1.1'))
    expect(admit({ ...bearer('x'), ...from('1.1.1.1') })).toBe('rate_limited')
    expect(admit({ ...bearer('x'), ...from('9.9.9.9, 1.1.1.1') })).toBe('rate_limited')
    expect(admit({ ...bearer('x'), ...from('1.1.1.1, 2.2.2.2') })).toBe('unauthorized')
  })

  test('[OPS-01] a wrong token is logged by address, never itself', () => {
    const { admit, logged } = bench()
    admit(bearer('wrong-secret'))
    expect(logged).toEqual(['a wrong token was refused {"address":"127.0.0.1"}'])
  })

  test('[OPS-03] a refused Origin and a missing token are no guesses', () => {
    const { admit } = bench({ token: '1234' })
    for (let i = 0; i < 50; i++) {
      admit()
      admit({ origin: 'http://evil.com', ...bearer('x') })
    }
    expect(admit(bearer('1234'))).toBe('admin')
  })
})
