import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lastBody, openRaw } from '../testing/raw-client.ts'
import { type Answer, message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => server.stop())

const refused = (answer: Answer): [number, string] => [answer.status, answer.body?.error?.code]
const KiB = 1024

describe('media types and encodings', () => {
  test.each([null, 'text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=latin1', 'multipart/form-data'])('%s is 415', async type => {
    await server.run('s')
    const answer = await server.call('POST', '/sessions/s/events', message('x'), { type })
    expect(refused(answer)).toEqual([415, 'unsupported_media_type'])
    expect(refused(await server.call('POST', '/sessions', {}, { type }))).toEqual([415, 'unsupported_media_type'])
  })

  test.each(['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset="UTF-8"'])('%s is JSON', async type => {
    await server.run('s')
    expect((await server.append('s', undefined, { raw: JSON.stringify(message('x')), headers: { 'content-type': type } })).status).toBe(201)
  })

  test('[RUN-05] NDJSON is a batch, with blank lines and CRLF, all or nothing', async () => {
    await server.run('s')
    const headers = { 'content-type': 'application/x-ndjson' }
    const lines = [message('a'), message('b'), message('c')].map(item => JSON.stringify(item))
    const good = await server.append('s', undefined, { raw: `${lines.join('\r\n')}\n\n  \n`, headers })
    expect([good.status, good.body.first_seq, good.body.last_seq]).toEqual([201, 1, 3])
    expect(refused(await server.append('s', undefined, { raw: `${lines[0]}\n{"event_type":`, headers }))).toEqual([400, 'invalid_request'])
    expect(refused(await server.append('s', undefined, { raw: '\n\n', headers }))).toEqual([400, 'invalid_request'])
    expect(refused(await server.call('POST', '/sessions', undefined, { raw: lines[0] as string, headers }))).toEqual([415, 'unsupported_media_type'])
    expect(await server.log('s')).toHaveLength(3)
  })

  test('what is not UTF-8 is refused, a byte order mark is not part of the text', async () => {
    await server.run('s')
    const bytes = Buffer.from(JSON.stringify(message('é')))
    for (const broken of [
      Buffer.from(bytes.toString('latin1').replace('Ã', 'ÿ'), 'latin1'),
      Buffer.concat([bytes, Buffer.from([0xc3])]),
      Buffer.from('{"event_type":"m","a":"\xed\xa0\x80"}', 'latin1'),
      Buffer.from([0xff, 0xfe, 0x7b, 0, 0x7d, 0]),
    ])
      expect(refused(await server.append('s', undefined, { raw: broken }))).toEqual([400, 'invalid_request'])
    expect((await server.append('s', undefined, { raw: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]) })).status).toBe(201)
  })

  test.each(['', ' ', 'null', '1', '"x"', '[[]]', '[1]', '[null]', '{', '{"a":1}{"b":2}', 'NaN', '{"event_type":"m"},'])(
    'the body %j is invalid_request',
    async raw => {
      await server.run('s')
      expect(refused(await server.append('s', undefined, { raw }))).toEqual([400, 'invalid_request'])
      expect(refused(await server.call('POST', '/sessions/s/inputs', undefined, { raw }))).toEqual([400, 'invalid_request'])
    },
  )
})

describe('limits', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

  test('an item may be nested 200 deep, alone, in a batch, as NDJSON and as an input; 201 is refused', async () => {
    await server.run('s')
    const ways = (depth: number): Promise<Answer>[] => {
      const item = `{"event_type":"m","deep":${nested(depth - 1)}}`
      return [
        server.append('s', undefined, { raw: item }),
        server.append('s', undefined, { raw: `[${item},${item}]` }),
        server.append('s', undefined, { raw: item, headers: { 'content-type': 'application/x-ndjson' } }),
        server.call('POST', '/sessions/s/inputs', undefined, { raw: `{"type":"session.append","payload":{"events":[${item}]}}` }),
      ]
    }
    expect((await Promise.all(ways(200))).map(({ status }) => status)).toEqual([201, 201, 201, 202])
    for (const answer of await Promise.all(ways(201))) expect(refused(answer)).toEqual([400, 'invalid_request'])
    expect(refused(await server.append('s', undefined, { raw: nested(1_000_000) }))).toEqual([400, 'invalid_request'])
    expect(refused(await server.append('s', undefined, { raw: `${'[1234567890123456789,'.repeat(100_000)}1${']'.repeat(100_000)}` }))).toEqual([
      400,
      'invalid_request',
    ])
    expect(refused(await server.call('POST', '/sessions', undefined, { raw: `{"session_name":"x","metadata":{"a":${nested(199)}}}` }))).toEqual([
      400,
      'invalid_request',
    ])
  })

  test('[fault 29] an event exactly at the limit is stored and read on every transport, one byte more is too_large', async () => {
    await server.run('s')
    await server.append('s', message(''))
    const empty = Buffer.byteLength((await server.log('s'))[0] as string)
    const room = 256 * KiB - empty
    expect((await server.append('s', message('x'.repeat(room)))).status).toBe(201)
    expect(refused(await server.append('s', message('x'.repeat(room + 1))))).toEqual([413, 'too_large'])
    // All or nothing: the good one beside it is not stored.
    expect(refused(await server.append('s', [message('fine'), message('x'.repeat(room + 1))]))).toEqual([413, 'too_large'])
    const log = await server.log('s')
    expect([log.length, Buffer.byteLength(log[1] as string)]).toEqual([2, 256 * KiB])
    for (const protocol of ['holdfast.v1+json', 'holdfast.v1+binary']) {
      const client = server.socket('/ws?session_id=s', { protocol })
      await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
      expect(client.texts('s')).toEqual(log)
    }
    const stream = await server.stream('/sessions/s/events')
    await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
    expect(stream.texts()).toEqual(log)
  })

  test('a batch of 1000 is stored, of 1001 too_large, an empty one and an id twice invalid_request', async () => {
    await server.run('s')
    const many = (count: number): object[] => Array.from({ length: count }, (_, n) => message('x', { id: `i${n}` }))
    expect((await server.append('s', many(1000))).body).toMatchObject({ first_seq: 1, last_seq: 1000, duplicate: false })
    expect(refused(await server.append('s', many(1001)))).toEqual([413, 'too_large'])
    expect(refused(await server.append('s', []))).toEqual([400, 'invalid_request'])
    expect(refused(await server.append('s', [message('a', { id: 'twice' }), message('b', { id: 'twice' })]))).toEqual([400, 'invalid_request'])
    expect((await server.append('s', many(1000))).body).toMatchObject({ first_seq: 1, last_seq: 1000, duplicate: true })
  })

  test.each([
    ['seq', { seq: 1 }],
    ['header.seq', { header: { seq: 1 } }],
    ['a wrong event_type', { event_type: 'Bad Type' }],
    ['an event_type of 65', { event_type: `a${'x'.repeat(64)}` }],
    ['a broken id', { id: '-x' }],
    ['a number for an id', { id: 7 }],
  ])('[SEQ-13] an item with %s is invalid_request', async (_name, more) => {
    await server.run('s')
    expect(refused(await server.append('s', message('x', more)))).toEqual([400, 'invalid_request'])
    expect(refused(await server.append('s', [message('fine'), message('x', more)]))).toEqual([400, 'invalid_request'])
    expect(await server.log('s')).toEqual([])
  })

  test('a body over 4 MiB is 413 by its Content-Length before it is sent, and by its bytes where it is chunked', async () => {
    await server.run('s')
    const raw = openRaw(
      server.port,
      `POST /sessions/s/events HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Type: application/json\r\nContent-Length: ${5 * KiB * KiB}\r\n\r\n`,
    )
    await raw.next('the refusal', received => received.includes('\r\n\r\n'))
    expect(raw.received).toMatch(/^HTTP\/1\.1 413 /)
    expect(lastBody(raw.received).error.code).toBe('too_large')
    raw.close()
    const piece = Buffer.alloc(64 * KiB, ' ')
    const chunked = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const outgoing = request(`${server.url}/sessions/s/events`, { method: 'POST', headers: { 'content-type': 'application/json' } }, response => {
        let body = ''
        response.on('data', (data: Buffer) => {
          body += data.toString()
        })
        response.on('end', () => resolve({ status: response.statusCode, body }))
      })
      outgoing.on('error', reject)
      for (let n = 0; n < 80; n++) outgoing.write(piece)
      outgoing.end('{}')
    })
    expect([chunked.status, JSON.parse(chunked.body).error.code]).toEqual([413, 'too_large'])
    expect((await server.append('s', message('still fine'))).status).toBe(201)
  })

  test('a body that ends early is the sender’s fault, stores nothing, and is no error of the server', async () => {
    await server.run('s')
    const item = JSON.stringify(message('cut'))
    for (const head of [
      `Content-Length: ${item.length + 100}\r\n\r\n${item}`,
      `Transfer-Encoding: chunked\r\n\r\n${item.length.toString(16)}\r\n${item}\r\n`,
    ]) {
      const raw = openRaw(server.port, `POST /sessions/s/events HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Type: application/json\r\n${head}`)
      await until('the request is under way', () => raw.socket.bytesWritten > 0)
      raw.socket.end()
      await until('the end', () => raw.isClosed)
    }
    const blob = openRaw(server.port, `PUT /sessions/s/blobs/${'a'.repeat(64)} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Length: 1000\r\n\r\nabc`)
    await until('the request is under way', () => blob.socket.bytesWritten > 0)
    blob.socket.end()
    await until('the end', () => blob.isClosed)
    expect(await server.log('s')).toEqual([])
    await until('the count', async () => Number(/refusals_total\{code="invalid_request"\} (\d+)/.exec((await server.call('GET', '/metrics')).text)?.[1]) >= 3)
    expect((await server.call('GET', '/metrics')).text).not.toContain('code="internal"')
  })
})

describe('Idempotency-Key', () => {
  test('[SEQ-18] stands for the whole body: a repeat is a duplicate, another body a conflict', async () => {
    await server.run('s')
    const headers = { 'idempotency-key': 'k-1' }
    const first = await server.append('s', [message('a'), message('b')], { headers })
    const again = await server.append('s', [message('a', { timestamp: 'later' }), message('b')], { headers })
    expect([first.body, again.body]).toEqual([
      { ok: true, first_seq: 1, last_seq: 2, duplicate: false },
      { ok: true, first_seq: 1, last_seq: 2, duplicate: true },
    ])
    expect(refused(await server.append('s', [message('a')], { headers }))).toEqual([409, 'conflict'])
    expect(await server.log('s')).toHaveLength(2)
  })

  test('[SEQ-18] concurrent creations and appends with one key make one', async () => {
    const headers = { 'idempotency-key': 'k-2' }
    const made = await Promise.all(Array.from({ length: 10 }, () => server.call('POST', '/sessions', { session_name: 'n' }, { headers })))
    expect(new Set(made.map(({ body }) => body.session.session_id)).size).toBe(1)
    expect(made.filter(({ status }) => status === 201)).toHaveLength(1)
    const id = made[0]?.body.session.session_id as string
    const posted = await Promise.all(Array.from({ length: 10 }, () => server.append(id, message('x'), { headers })))
    expect(new Set(posted.map(({ body }) => body.last_seq))).toEqual(new Set([1]))
    expect(refused(await server.call('POST', '/sessions', { session_name: 'other' }, { headers }))).toEqual([409, 'conflict'])
  })

  test.each(['', ' ', 'a b', 'x'.repeat(256), 'é'])('the key %j is invalid_request', async key => {
    await server.run('s')
    const answer = await server.append('s', message('x'), { headers: { 'idempotency-key': key } })
    expect(refused(answer)).toEqual([400, 'invalid_request'])
  })
})

describe('blobs', () => {
  const sha = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')
  const put = (name: string, content: string | Buffer): Promise<Answer> =>
    server.call('PUT', `/sessions/s/blobs/${name}`, undefined, { raw: content as BodyInit, headers: { 'content-type': 'image/svg+xml' } })

  test('201, then 200; another content or name is invalid_request; GET can run nothing', async () => {
    await server.run('s')
    const content = '<svg onload="alert(1)"/>'
    expect((await put(sha(content), content)).status).toBe(201)
    expect((await put(sha(content), content)).status).toBe(200)
    expect(refused(await put(sha('other'), content))).toEqual([400, 'invalid_request'])
    expect(refused(await put(sha(content).toUpperCase(), content))).toEqual([400, 'invalid_request'])
    expect(refused(await put('abc', content))).toEqual([400, 'invalid_request'])
    const got = await server.call('GET', `/sessions/s/blobs/${sha(content)}`)
    expect([got.status, got.text]).toEqual([200, content])
    expect(Object.fromEntries(got.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-length': String(content.length),
    })
    expect(refused(await server.call('GET', `/sessions/s/blobs/${sha('none')}`))).toEqual([404, 'not_found'])
    const empty = await put(sha(''), '')
    expect(empty.status).toBe(201)
    expect((await server.call('GET', `/sessions/s/blobs/${sha('')}`)).text).toBe('')
    expect((await server.call('HEAD', `/sessions/s/blobs/${sha(content)}`)).headers.get('content-length')).toBe(String(content.length))
    await server.call('DELETE', '/sessions/s')
    expect(refused(await server.call('GET', `/sessions/s/blobs/${sha(content)}`))).toEqual([410, 'session_deleted'])
  })

  test('over the limit is too_large, by Content-Length and by bytes', async () => {
    await server.stop()
    server = await startTestServer({ env: { LIMITS_BLOB_BYTES: '1MiB' } })
    await server.run('s')
    const big = Buffer.alloc(KiB * KiB + 1, 1)
    expect(refused(await put(sha(big), big))).toEqual([413, 'too_large'])
    const pieces = new ReadableStream({
      start(controller) {
        for (let at = 0; at < big.length; at += 65_536) controller.enqueue(big.subarray(at, at + 65_536))
        controller.close()
      },
    })
    expect(refused(await server.call('PUT', `/sessions/s/blobs/${sha(big)}`, undefined, { raw: pieces, headers: {} }))).toEqual([413, 'too_large'])
    const fits = big.subarray(1)
    expect((await put(sha(fits), fits)).status).toBe(201)
  })

  test('[OPS-02] need produce, and the session', async () => {
    const mint = async (scopes: string[]): Promise<string> =>
      (await server.call('POST', '/tokens', { subject: 'u', scopes }, { token: server.adminToken })).body.token as string
    const [reads, produces] = [await mint(['read']), await mint(['read', 'produce'])]
    await server.run('s', 0, { token: produces })
    const answer = await server.call('PUT', `/sessions/s/blobs/${sha('x')}`, undefined, { raw: 'x', token: reads })
    expect(refused(answer)).toEqual([403, 'forbidden'])
    for (const id of ['s', 'none'])
      expect(refused(await server.call('PUT', `/sessions/${id}/blobs/${sha('x')}`, undefined, { raw: 'x' }))).toEqual([404, 'not_found'])
    expect((await server.call('PUT', `/sessions/s/blobs/${sha('x')}`, undefined, { raw: 'x', token: produces })).status).toBe(201)
  })
})
