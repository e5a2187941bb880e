import { ERRORS, type ErrorCode } from '@holdfast/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lastBody, openRaw, type RawClient } from '../testing/raw-client.ts'
import { type Answer, message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => server.stop())

const restart = async (options: Parameters<typeof startTestServer>[0]): Promise<void> => {
  await server.stop()
  server = await startTestServer(options)
}
const refused = (answer: Answer): [number, string] => [answer.status, answer.body?.error?.code]
const own = (): string => `Host: 127.0.0.1:${server.port}\r\n`

/** Sends bytes; the status and the code of the one answer, which must be of the error table. */
async function rawRefusal(data: string): Promise<[number, string]> {
  const raw = openRaw(server.port, data)
  await raw.next('an answer', received => /\r\n\r\n\{.*\}$/s.test(received) || raw.isClosed)
  raw.close()
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(raw.received)?.[1])
  const { code } = lastBody(raw.received).error
  expect(ERRORS[code as ErrorCode].status).toBe(status)
  return [status, code]
}

const HANDSHAKE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

describe('what is no request', () => {
  test.each([
    ['garbage', 'garbage\r\n\r\n', 400, 'invalid_request'],
    ['an unknown method', 'FOO / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['a header without a colon', 'GET / HTTP/1.1\r\nnope\r\n\r\n', 400, 'invalid_request'],
    ['both lengths', 'POST /sessions HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400, 'invalid_request'],
    ['a broken chunk', 'POST /sessions HTTP/1.1\r\nHost: $\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 0, ''],
    ['a huge header', `GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 413, 'too_large'],
    ['a huge path', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`, 413, 'too_large'],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 403, 'origin_rejected'],
    ['two Hosts', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 0, ''],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'invalid_request'],
  ])('%s has an answer of the error table', async (_name, data, status, code) => {
    const answer = await rawRefusal(data)
    if (status !== 0) expect(answer).toEqual([status, code])
  })

  test.each([
    'GET //[ HTTP/1.1',
    'GET //a:99999/ HTTP/1.1',
    'GET http://[ HTTP/1.1',
    'GET ftp://x/healthz HTTP/1.1',
    'GET \\\\x HTTP/1.1',
    'GET /a\\b HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'GET /sessions/%zz HTTP/1.1',
    'GET /sessions/%00 HTTP/1.1',
    'GET /sessions/%2e%2e/%2e%2e/etc/passwd HTTP/1.1',
    'GET /sessions/../../healthz/x HTTP/1.1',
    'GET /sessions/%ff%fe/events HTTP/1.1',
    'TRACE / HTTP/1.1',
    'PROPFIND /sessions HTTP/1.1',
    'QUERY /sessions HTTP/1.1',
    'M-SEARCH /sessions HTTP/1.1',
    'DELETE /healthz HTTP/1.1',
    'GET /ws HTTP/1.1',
  ])('%s is refused, plain, as a stream and as a socket, and the server goes on', async line => {
    const plain = await rawRefusal(`${line}\r\n${own()}\r\n`)
    expect([400, 404, 426]).toContain(plain[0])
    const stream = await rawRefusal(`${line}\r\n${own()}Accept: text/event-stream\r\n\r\n`)
    expect([400, 404, 426]).toContain(stream[0])
    const raw = openRaw(server.port, `${line}\r\n${own()}${HANDSHAKE}\r\n`)
    await raw.next('an answer', received => received.includes('\r\n\r\n'))
    expect(raw.received).toMatch(/^HTTP\/1\.1 (101|400|404|426) /)
    raw.close()
    expect((await server.call('GET', '/healthz')).status).toBe(200)
  })

  test('an error behind an answer that has begun is not written into it', async () => {
    await server.run('s', 1)
    const raw = openRaw(server.port, `GET /sessions/s/events HTTP/1.1\r\n${own()}Accept: text/event-stream\r\n\r\n`)
    await raw.next('caught_up', received => received.includes('caught_up'))
    raw.write('garbage\r\n\r\n')
    await until('the end', () => raw.isClosed)
    expect(raw.received.match(/HTTP\/1\.1/g)).toHaveLength(1)
  })
})

describe('upgrades', () => {
  const upgrade = async (line: string, headers: string): Promise<string> => {
    const raw = openRaw(server.port, `${line}\r\n${headers}\r\n`)
    await raw.next('an answer', received => received.includes('\r\n\r\n'))
    raw.close()
    return raw.received
  }

  test('[OPS-02] a bad Origin or Host gets a plain 403 before the upgrade, also where the peer resets at once', async () => {
    for (const bad of [`${own()}Origin: https://evil.example\r\n`, `${own()}Origin: null\r\n`, `Host: evil.example:${server.port}\r\n`, '']) {
      const answer = await upgrade('GET /ws HTTP/1.1', bad + HANDSHAKE)
      expect(answer).toMatch(/^HTTP\/1\.1 403 /)
      expect(lastBody(answer).error.code).toBe('origin_rejected')
      const resetting = openRaw(server.port)
      await until('connected', () => !resetting.socket.connecting)
      resetting.write(`GET /ws HTTP/1.1\r\n${bad}${HANDSHAKE}\r\n`)
      resetting.socket.resetAndDestroy()
    }
    expect((await server.call('GET', '/healthz')).status).toBe(200)
  })

  test.each([
    ['no key', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'],
    ['a short key', HANDSHAKE.replace('dGhlIHNhbXBsZSBub25jZQ==', 'x')],
    ['another version', HANDSHAKE.replace('13', '99')],
    ['a broken subprotocol', `${HANDSHAKE}Sec-WebSocket-Protocol: a,,b\r\n`],
  ])('a handshake with %s is a typed 400', async (_name, headers) => {
    const answer = await upgrade('GET /ws HTTP/1.1', own() + headers)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(lastBody(answer).error.code).toBe('invalid_request')
  })

  test('an upgrade to something else is an offer that is not taken up', async () => {
    expect(await upgrade('GET /healthz HTTP/1.1', `${own()}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('a peer that never closes its side of a refusal is not kept', async () => {
    const raw = openRaw(server.port, `GET /ws HTTP/1.1\r\n${own()}Origin: https://evil.example\r\n${HANDSHAKE}\r\n`)
    raw.socket.allowHalfOpen = true
    await raw.next('the refusal', received => received.includes('origin_rejected'))
    // It can write only until the server's side is gone.
    await until('the close', () => {
      raw.write('x')
      return raw.isClosed
    })
  })

  test('[OPS-02] addresses of sockets cannot end the process', async () => {
    for (const target of ['//[', '//:80', 'http://[::', '/ws?%', '/ws?session_id=%ff', '/%', '/ws?cursor=%00'])
      expect(await upgrade(`GET ${target} HTTP/1.1`, own() + HANDSHAKE)).toMatch(/^HTTP\/1\.1 (101|400) /)
    expect((await server.call('GET', '/healthz')).status).toBe(200)
  })
})

describe('Host and Origin', () => {
  test('[OPS-02] loopback names on the own port pass, all else is origin_rejected', async () => {
    const status = async (host: string): Promise<number> => {
      const raw = openRaw(server.port, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      await until('the end', () => raw.isClosed)
      return Number(/^HTTP\/1\.1 (\d+)/.exec(raw.received)?.[1])
    }
    const { port } = server
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, `127.9.9.9:${port}`])
      expect([host, await status(host)]).toEqual([host, 200])
    for (const host of [
      `evil.example:${port}`,
      `localhost.evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      `localhost.:${port}`,
      `a@localhost:${port}`,
      `0x7f.1:${port}`,
      `2130706433:${port}`,
      `localhost:${port}, x`,
      '[::1',
      ':',
    ])
      expect([host, await status(host)]).toEqual([host, 403])
  })

  test('[OPS-02] streams, polls, posts and every other route pass the same check', async () => {
    await server.run('s', 1)
    const origin = 'https://evil.example'
    for (const [method, path] of [
      ['GET', '/sessions/s/events'],
      ['POST', '/sessions'],
      ['GET', '/healthz'],
      ['GET', '/metrics'],
      ['DELETE', '/sessions/s'],
      ['OPTIONS', '/sessions'],
      ['GET', '/nothing'],
    ] as const)
      expect(refused(await server.call(method, path, undefined, { headers: { origin } }))).toEqual([403, 'origin_rejected'])
    expect((await server.stream('/sessions/s/events', { origin })).status).toBe(403)
    expect((await server.call('GET', '/sessions/s', undefined, { headers: { origin: server.url } })).status).toBe(200)
  })
})

describe('pages on an allowed origin', () => {
  const ORIGIN = 'https://app.example'
  beforeEach(() => restart({ flags: { allow_origin: [ORIGIN] } }))

  test('[OPS-06] may read answers, refusals, streams and polls; others may not', async () => {
    await server.run('s', 1)
    const headers = { origin: ORIGIN }
    for (const path of ['/sessions/s', '/sessions/none', '/sessions/s/events', '/healthz', '/nothing', '/sessions/s/events?after=x']) {
      const answer = await server.call('GET', path, undefined, { headers })
      expect([path, answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([path, ORIGIN, 'Origin'])
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    }
    const exposed = (await server.call('GET', '/events/s', undefined, { headers })).headers
    expect(exposed.get('access-control-expose-headers')).toContain('Retry-After')
    expect(exposed.get('access-control-expose-headers')).toContain('Deprecation')
    const stream = await server.stream('/sessions/s/events', headers)
    expect([stream.status, stream.headers['access-control-allow-origin']]).toEqual([200, ORIGIN])
    const unauthorized = await server.call('GET', '/sessions/s', undefined, { headers: { ...headers, authorization: 'Bearer wrong' } })
    expect([unauthorized.status, unauthorized.headers.get('access-control-allow-origin')]).toEqual([401, ORIGIN])
    const evil = await server.call('GET', '/sessions/s', undefined, { headers: { origin: 'https://evil.example' } })
    expect([evil.status, evil.headers.get('access-control-allow-origin'), evil.headers.get('vary')]).toEqual([403, null, 'Origin'])
    expect((await server.call('GET', '/sessions/s')).headers.get('access-control-allow-origin')).toBeNull()
  })

  test('[OPS-06] preflights say what may be sent, for any path and without a token', async () => {
    await restart({ flags: { allow_origin: [ORIGIN], token: 'a-token-of-the-tests-0123456789-abcdefghijklmn' } })
    const answer = await server.call('OPTIONS', '/sessions/s/events', undefined, {
      headers: {
        origin: ORIGIN,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,idempotency-key,last-event-id',
      },
    })
    expect([answer.status, answer.text]).toEqual([204, ''])
    const allowed = answer.headers.get('access-control-allow-headers')?.toLowerCase()
    for (const name of ['authorization', 'content-type', 'idempotency-key', 'last-event-id']) expect(allowed).toContain(name)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) expect(answer.headers.get('access-control-allow-methods')).toContain(method)
    const evil = await server.call('OPTIONS', '/sessions/s/events', undefined, {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    })
    expect([evil.status, evil.headers.get('access-control-allow-methods')]).toEqual([403, null])
  })

  test('[OPS-06] a socket from an allowed page opens, from another not', async () => {
    const client = server.socket('/ws', { headers: { origin: ORIGIN } })
    expect((await client.ask('protocol.ping')).type).toBe('protocol.pong')
  })
})

describe('methods', () => {
  test('OPTIONS and a refusal name the methods of a path; HEAD is GET without a body', async () => {
    await server.run('s', 1)
    expect((await server.call('OPTIONS', '/sessions/s')).headers.get('allow')).toBe('OPTIONS, DELETE, GET, HEAD, PATCH')
    const wrong = await server.call('PUT', '/sessions/s', {})
    expect([...refused(wrong), wrong.headers.get('allow')]).toEqual([404, 'not_found', 'OPTIONS, DELETE, GET, HEAD, PATCH'])
    expect((await server.call('POST', '/healthz', {})).headers.get('allow')).toBe('OPTIONS, GET, HEAD')
    const nothing = await server.call('GET', '/nothing')
    expect([...refused(nothing), nothing.headers.get('allow')]).toEqual([404, 'not_found', null])
    const head = await server.call('HEAD', '/sessions/s')
    expect([head.status, head.text, head.headers.get('content-type')]).toEqual([200, '', 'application/json'])
    expect((await server.call('HEAD', '/sessions/s/events')).status).toBe(200)
    expect((await server.call('HEAD', '/sessions/none')).status).toBe(404)
  })

  test('a socket’s path asked for by plain HTTP says so', async () => {
    const answer = await server.call('GET', '/ws')
    expect([...refused(answer), answer.headers.get('upgrade')]).toEqual([426, 'unsupported_version', 'websocket'])
  })

  test('every JSON answer and refusal is no-store and nosniff', async () => {
    await server.run('s', 1)
    for (const path of [
      '/sessions/s',
      '/sessions/none',
      '/sessions',
      '/sessions/s/events',
      '/sessions/s/events?before=9',
      '/feed/events',
      '/nothing',
      '/sessions/s/export',
      '/metrics',
      '/readyz',
    ]) {
      const { headers } = await server.call('GET', path)
      expect([path, headers.get('cache-control'), headers.get('x-content-type-options')]).toEqual([path, 'no-store', 'nosniff'])
    }
    expect((await server.call('GET', '/schema.json')).headers.get('x-content-type-options')).toBe('nosniff')
  })
})

describe('odd connections', () => {
  test('pipelined requests are answered in order', async () => {
    await server.run('s', 3)
    const get = (after: number): string => `GET /sessions/s/events?after=${after}&limit=1 HTTP/1.1\r\n${own()}\r\n`
    const post = (text: string): string => {
      const body = JSON.stringify(message(text))
      return `POST /sessions/s/events HTTP/1.1\r\n${own()}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    }
    const raw = openRaw(server.port, get(0) + post('four') + get(2) + post('five') + get(4))
    await raw.next('five answers', received => (received.match(/HTTP\/1\.1 /g) ?? []).length === 5 && received.endsWith('}'))
    expect(raw.received.match(/HTTP\/1\.1 (\d+)/g)?.map(line => line.slice(-3))).toEqual(['200', '201', '200', '201', '200'])
    expect([...raw.received.matchAll(/"next_after":(\d+)/g)].map(match => match[1])).toEqual(['1', '3', '5'])
    raw.close()
  })

  test('[fault 16] one that pipelines pages and never reads costs the server one of them', async () => {
    await server.run('s')
    const big = Array.from({ length: 18 }, () => message('x'.repeat(200_000)))
    await server.append('s', big)
    const raw = openRaw(server.port)
    raw.socket.pause()
    for (let n = 0; n < 60; n++) raw.write(`GET /sessions/s/events HTTP/1.1\r\n${own()}\r\n`)
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 50; n++) await server.call('GET', '/healthz')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * 1024 * 1024)
    raw.close()
    const flood = openRaw(server.port, `GET /sessions/s/events?wait=20000&after=18 HTTP/1.1\r\n${own()}\r\n`.repeat(200))
    await until('the cut', () => flood.isClosed)
  })

  test('half requests hold nobody up', async () => {
    const slow: RawClient[] = []
    for (let n = 0; n < 100; n++)
      slow.push(
        openRaw(server.port, n % 2 === 0 ? `POST /sessions HTTP/1.1\r\n${own()}Content-Length: 100\r\nContent-Type: application/json\r\n\r\n{` : 'GET /hea'),
      )
    await server.run('s', 1)
    const start = performance.now()
    for (let n = 0; n < 20; n++) expect((await server.append('s', message('x'))).status).toBe(201)
    expect(performance.now() - start).toBeLessThan(2000)
    for (const raw of slow) raw.close()
  })

  test('Expect: 100-continue is answered, another expectation refused', async () => {
    await server.run('s')
    const body = JSON.stringify(message('x'))
    const raw = openRaw(
      server.port,
      `POST /sessions/s/events HTTP/1.1\r\n${own()}Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
    )
    await raw.next('continue', received => received.includes('100 Continue'))
    raw.write(body)
    await raw.next('created', received => received.includes('201 Created'))
    raw.close()
    expect(await rawRefusal(`GET /healthz HTTP/1.1\r\n${own()}Expect: much\r\n\r\n`)).toEqual([400, 'invalid_request'])
  })
})

describe('the console’s and the operator’s endpoints', () => {
  test('[OPS-05] health, readiness, schemas are open; metrics and tokens guarded', async () => {
    await restart({ flags: { token: 'a-token-of-the-tests-0123456789-abcdefghijklmn' } })
    for (const path of ['/healthz', '/readyz', '/schema.json', '/openapi.json']) expect([path, (await server.call('GET', path)).status]).toEqual([path, 200])
    for (const path of ['/metrics', '/tokens', '/sessions', '/feed/events'])
      expect([path, ...refused(await server.call('GET', path))]).toEqual([path, 401, 'unauthorized'])
    expect((await server.call('GET', '/metrics', undefined, { token: server.adminToken })).text).toMatch(/^process_resident_memory_bytes \d+/m)
  })

  test('[RUN-08] a feed is read-only, and another’s is for admins', async () => {
    await server.run('s', 1)
    expect(refused(await server.call('POST', '/feed/events', message('x')))).toEqual([404, 'not_found'])
    for (const answer of [
      await server.call('POST', '/sessions/_feed/events', message('x')),
      await server.call('POST', '/sessions/_feed/inputs', { type: 'session.append', payload: { events: [message('x')] } }),
      await server.call('DELETE', '/sessions/_feed'),
    ])
      expect([400, 403, 404]).toContain(answer.status)
    const client = server.socket('/ws?session_id=_feed')
    await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
    expect((await client.ask('session.append', { session_id: '_feed' }, { events: [message('x')] })).type).toBe('protocol.error')
    expect(client.texts('_feed').map(text => JSON.parse(text).type)).toEqual(['session.created'])
    expect(refused(await server.call('GET', '/feed/events?owner=somebody'))).toEqual([403, 'forbidden'])
    const others = await server.call('GET', '/feed/events?owner=local', undefined, { token: server.adminToken })
    expect(others.body.events.map(({ type }: { type: string }) => type)).toEqual(['session.created'])
    const stream = await server.stream('/feed/events?owner=local', { authorization: `Bearer ${server.adminToken}` })
    await stream.next('created', ({ message: { type } }) => type === 'session.created')
  })
})
