import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
const restart = async (options: Parameters<typeof startTestServer>[0]): Promise<void> => {
  await server.stop()
  server = await startTestServer(options)
}
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => server.stop())

const TOKEN = 'a-token-of-the-tests-0123456789-abcdefghijklmn'

describe('subprotocols', () => {
  test.each([[undefined], ['holdfast.v1+json'], ['holdfast.v1+binary']])('%s is spoken', async protocol => {
    const client = server.socket('/ws', protocol === undefined ? {} : { protocol })
    expect((await client.ask('protocol.ping')).type).toBe('protocol.pong')
    expect(client.socket.protocol).toBe(protocol ?? '')
  })

  test('an unknown one is accepted under the first name asked for, then closed with 4426 and the list', async () => {
    const client = server.socket('/ws', { protocol: ['holdfast.v9+json', 'else'] })
    const { code, reason } = await client.closed
    expect([code, client.socket.protocol]).toEqual([4426, 'holdfast.v9+json'])
    for (const name of ['holdfast.v1+json', 'holdfast.v1+binary']) expect(reason).toContain(name)
  })

  test('a known one among others is taken', async () => {
    const client = server.socket('/ws', { protocol: ['holdfast.v9+json', 'holdfast.v1+binary'] })
    expect((await client.ask('protocol.ping')).type).toBe('protocol.pong')
    expect(client.socket.protocol).toBe('holdfast.v1+binary')
  })

  test('a path without a socket, a missing session, a bad query: accepted, then closed with a code that a browser can read', async () => {
    await server.run('s', 1)
    const code = async (path: string): Promise<number> => (await server.socket(path).closed).code
    expect(await code('/nowhere')).toBe(4404)
    expect(await code('/ws?session_id=none')).toBe(4404)
    expect(await code('/ws?session_id=s&mode=fast')).toBe(4400)
    expect(await code('/ws?session_id=s&client_id=-')).toBe(4400)
    expect(await code('/ws?session_id=s&cursor=')).toBe(4400)
    await server.call('DELETE', '/sessions/s')
    expect(await code('/ws?session_id=s')).toBe(4410)
  })
})

describe('first-message authentication', () => {
  beforeEach(() => restart({ flags: { token: TOKEN }, env: { TIMES_AUTH_MS: '300' } }))

  test('[OPS-01] no message within the time closes with 4401', async () => {
    expect((await server.socket('/ws').closed).code).toBe(4401)
  })

  test('[OPS-01] a wrong token, another first message, garbage, and an auth without a token close with 4401', async () => {
    await server.run('s', 1, { token: TOKEN })
    const wrong = server.socket('/ws')
    wrong.send('protocol.auth', {}, { token: 'wrong' })
    expect((await wrong.closed).code).toBe(4401)
    const other = server.socket('/ws?session_id=s')
    other.send('protocol.resume', { session_id: 's' }, {})
    expect((await other.closed).code).toBe(4401)
    expect(other.messages).toEqual([])
    for (const raw of ['garbage', '{"type":7}', '{"type":"protocol.auth"}', '{"type":"protocol.auth","payload":{"token":7}}']) {
      const client = server.socket('/ws')
      client.socket.on('open', () => client.socket.send(raw))
      expect([raw, (await client.closed).code]).toEqual([raw, 4401])
      expect(client.messages).toEqual([])
    }
  })

  test('[OPS-01] the right token is acked with seq null, then the session of the URL is attached, once', async () => {
    await server.run('s', 2, { token: TOKEN })
    const client = server.socket('/ws?session_id=s')
    const ack = await client.ask('protocol.auth', {}, { token: TOKEN })
    expect([ack.type, ack.payload.seq, ack.payload.id]).toEqual(['protocol.ack', null, ack.header.reply_to])
    await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
    expect(client.messages.map(({ type }) => type)).toEqual(['protocol.ack', 'protocol.hello', 'run.message', 'run.message', 'protocol.caught_up'])
    const again = await client.ask('protocol.auth', {}, { token: TOKEN })
    expect(again.payload.code).toBe('invalid_request')
  })

  test('[OPS-01] frames sent behind the auth message, in one go, are taken in order', async () => {
    await server.run('s', 1, { token: TOKEN })
    const client = server.socket('/ws?session_id=s')
    client.send('protocol.auth', {}, { token: TOKEN })
    const [pong, appended] = await Promise.all([client.ask('protocol.ping'), client.ask('session.append', { session_id: 's' }, { events: [message('x')] })])
    expect([pong.type, appended.type]).toEqual(['protocol.pong', 'protocol.ack'])
  })

  test('[OPS-01] another owner’s session reads as not found at every attach, and the token of another one, too', async () => {
    await server.run('s', 1, { token: TOKEN })
    const minted = await server.call('POST', '/tokens', { subject: 'u', scopes: ['read', 'write', 'produce'] }, { token: TOKEN })
    const client = server.socket('/ws', { token: minted.body.token })
    expect((await client.ask('protocol.resume', { session_id: 's' })).payload.code).toBe('not_found')
    expect((await client.ask('session.append', { session_id: 's' }, { events: [message('x')] })).payload.code).toBe('not_found')
    expect((await server.socket('/ws?session_id=s', { token: minted.body.token }).closed).code).toBe(4404)
    expect((await server.stream('/sessions/s/events', { authorization: `Bearer ${minted.body.token}` })).status).toBe(404)
  })
})

test('[OPS-01] on tokenless loopback protocol.auth may come first and raises local; the session of the URL is attached once', async () => {
  await server.run('mine', 1, { token: server.adminToken })
  const client = server.socket('/ws?session_id=mine')
  const ack = await client.ask('protocol.auth', {}, { token: server.adminToken })
  expect(ack.type).toBe('protocol.ack')
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  expect(client.messages.filter(({ type }) => type === 'protocol.hello')).toHaveLength(1)
  expect((await server.socket('/ws?session_id=mine').closed).code).toBe(4404)
  const wrong = server.socket('/ws')
  wrong.send('protocol.auth', {}, { token: 'wrong' })
  expect((await wrong.closed).code).toBe(4401)
})

test('hello answers the resume that asked for it, by its id', async () => {
  await server.run('s', 1)
  const client = server.socket('/ws')
  const hello = await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: 0 })
  expect([hello.type, hello.header.session_id]).toEqual(['protocol.hello', 's'])
})

test('an unparsable or unknown frame is a protocol.error; the socket and its attachments stay', async () => {
  await server.run('s', 1)
  const client = server.socket('/ws?session_id=s')
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  const frames = [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    '{"type":""}',
    '{"type":"protocol.nope"}',
    '{"type":"protocol.hello"}',
    '{"type":"protocol.resume"}',
    '{"type":"__proto__"}',
    '{"type":"constructor"}',
    `{"type":"${'x'.repeat(500)}"}`,
  ]
  for (const frame of frames) client.socket.send(frame)
  client.socket.send(Buffer.from([1, 2, 3]))
  client.socket.send('['.repeat(10_000))
  client.socket.send('['.repeat(100_000) + ']'.repeat(100_000))
  client.socket.send(`{"type":"protocol.ping","payload":${'['.repeat(300)}1234567890123456789${']'.repeat(300)}}`)
  await until('an error each', () => client.messages.filter(({ type }) => type === 'protocol.error').length === frames.length + 4)
  expect(new Set(client.messages.filter(({ type }) => type === 'protocol.error').map(({ payload }) => payload.code))).toEqual(new Set(['invalid_request']))
  await server.append('s', message('still here'))
  await client.next('the event', ({ header }) => header.seq === 2)
})

test('a frame over the limit closes 1009 or 4413, and nothing of it is stored', async () => {
  await server.run('s')
  const client = server.socket('/ws')
  client.send('session.append', { session_id: 's' }, { events: [message('x'.repeat(300_000))] })
  expect([1009, 4413]).toContain((await client.closed).code)
  expect(await server.log('s')).toEqual([])
})

test('an item nested 200 deep is taken over WebSocket as over HTTP, 201 is not', async () => {
  await server.run('s')
  const client = server.socket('/ws')
  const deep = (depth: number): object => message('x', { deep: JSON.parse('['.repeat(depth - 1) + ']'.repeat(depth - 1)) })
  expect(await client.ask('session.append', { session_id: 's' }, { events: [deep(200)] })).toMatchObject({ type: 'protocol.ack' })
  expect((await client.ask('session.append', { session_id: 's' }, { events: [deep(201)] })).payload.code).toBe('invalid_request')
})

test('a second resume of one session replaces the first, without a repeat or a hole', async () => {
  await server.run('s', 50)
  const client = server.socket('/ws')
  await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: 45 })
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  const from = client.messages.length
  await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: 48 })
  await server.append('s', message('live'))
  await until('the live one', () => client.messages.at(-1)?.header.seq === 51)
  expect(client.messages.slice(from).flatMap(({ header }) => header.seq ?? [])).toEqual([49, 50, 51])
})

test('detach ends one attachment, the others stay; a detach of what is not attached is invalid_request', async () => {
  await server.run('a', 1)
  await server.run('b', 1)
  const client = server.socket('/ws')
  await client.ask('protocol.resume', { session_id: 'a' })
  await client.ask('protocol.resume', { session_id: 'b' })
  expect((await client.ask('protocol.detach', { session_id: 'a' })).type).toBe('protocol.ack')
  await server.append('a', message('unseen'))
  await server.append('b', message('seen'))
  await client.next('the event of b', ({ header }) => header.session_id === 'b' && header.seq === 2)
  expect(client.seqs('a')).toEqual([1])
  expect((await client.ask('protocol.detach', { session_id: 'a' })).payload.code).toBe('invalid_request')
  expect((await client.ask('protocol.detach')).payload.code).toBe('invalid_request')
  expect((await client.ask('protocol.credit', { session_id: 'a' }, { seq: 1 })).payload.code).toBe('invalid_request')
})

describe('credit', () => {
  const sizeOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)

  test('the window is respected exactly, and credit lets the rest follow', async () => {
    await server.run('s')
    await server.append(
      's',
      Array.from({ length: 40 }, () => message('of one size')),
    )
    const log = (await server.log('s')).slice(9)
    // Room for ten events to the byte, and not one more.
    const windowBytes = sizeOf(log.slice(0, 10))
    const client = server.socket('/ws')
    await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: 9, window_bytes: windowBytes })
    await until('ten', () => client.texts('s').length === 10)
    await client.ask('protocol.ping')
    expect(client.texts('s')).toHaveLength(10)
    expect((await client.ask('protocol.credit', { session_id: 's' }, { seq: 20 })).payload.code).toBe('invalid_request')
    client.send('protocol.credit', { session_id: 's' }, { seq: 12 })
    await until('three more', () => client.texts('s').length === 13)
    await client.ask('protocol.ping')
    expect(client.texts('s')).toHaveLength(13)
    // Cumulative: an older credit gives nothing.
    client.send('protocol.credit', { session_id: 's' }, { seq: 10 })
    await client.ask('protocol.ping')
    expect(client.texts('s')).toHaveLength(13)
    while (client.texts('s').length < log.length) {
      const sent = client.texts('s').length
      client.send('protocol.credit', { session_id: 's' }, { seq: 9 + sent })
      await until('more', () => client.texts('s').length > sent)
    }
    await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
    expect(client.texts('s')).toEqual(log)
  })

  test('one event fits any window', async () => {
    await server.run('s', 3)
    const client = server.socket('/ws')
    await client.ask('protocol.resume', { session_id: 's' }, { window_bytes: 1 })
    for (let seq = 1; seq <= 3; seq++) {
      await until(`event ${seq}`, () => client.texts('s').length === seq)
      await client.ask('protocol.ping')
      expect(client.seqs('s')).toEqual(Array.from({ length: seq }, (_, index) => index + 1))
      client.send('protocol.credit', { session_id: 's' }, { seq })
    }
    await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
    expect((await client.ask('protocol.resume', { session_id: 's' }, { window_bytes: 0 })).payload.code).toBe('invalid_request')
  })

  test('waiting for credit is not lack of progress, and holds no other attachment up', async () => {
    await restart({ env: { TIMES_STALL_MS: '1000', TIMES_HEARTBEAT_MS: '200', TIMES_SILENCE_MS: '1500' } })
    await server.run('s', 50)
    await server.run('other', 1)
    const client = server.socket('/ws')
    await client.ask('protocol.resume', { session_id: 's' }, { window_bytes: 1 })
    const start = performance.now()
    await until('three stall times', () => performance.now() - start > 3000)
    await client.ask('protocol.resume', { session_id: 'other' })
    await client.next('caught_up of the other', ({ type, header }) => type === 'protocol.caught_up' && header.session_id === 'other')
    expect(client.seqs('s')).toEqual([1])
    expect(client.socket.readyState).toBe(client.socket.OPEN)
  })

  test('an append to a starved reader wakes it only for credit, and none is lost', async () => {
    await server.run('s', 1)
    const client = server.socket('/ws')
    await client.ask('protocol.resume', { session_id: 's' }, { window_bytes: 1 })
    for (let n = 2; n <= 40; n++) {
      await server.append('s', message(`n${n}`))
      client.send('protocol.credit', { session_id: 's' }, { seq: n - 1 })
      await until(`event ${n}`, () => client.seqs('s').length === n)
    }
    expect(client.seqs('s')).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
  })
})

test('[fault 18] after silence a heartbeat tells the heads of what is attached, the newest committed seq', async () => {
  await restart({ env: { TIMES_HEARTBEAT_MS: '100', TIMES_SILENCE_MS: '5000' } })
  await server.run('a', 3)
  await server.run('b', 0)
  const client = server.socket('/ws?session_id=a')
  await client.ask('protocol.resume', { session_id: 'b' })
  const beat = await client.next('a heartbeat', ({ type }) => type === 'protocol.heartbeat')
  expect(beat.payload.heads).toEqual({ a: 3, b: 0 })
})

test('[fault 14] a peer that answers no ping is dropped, one that does stays', async () => {
  await restart({ env: { TIMES_HEARTBEAT_MS: '300', TIMES_SILENCE_MS: '1000' } })
  await server.run('s', 1)
  const [dead, alive] = [server.socket('/ws?session_id=s'), server.socket('/ws?session_id=s')]
  await Promise.all([dead, alive].map(client => client.next('hello', ({ type }) => type === 'protocol.hello')))
  dead.socket.pause()
  dead.socket.pong = () => undefined
  dead.socket.removeAllListeners('ping')
  await until('the drop', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_connections{transport="ws"} 1'))
  expect(alive.socket.readyState).toBe(alive.socket.OPEN)
})

test('a session deleted while attached: 4410 for the socket of its URL, an error for the attachment of another, whose others stay', async () => {
  await server.run('s', 1)
  await server.run('other', 1)
  const own = server.socket('/ws?session_id=s')
  const shared = server.socket('/ws')
  await own.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  await shared.ask('protocol.resume', { session_id: 's' })
  await shared.ask('protocol.resume', { session_id: 'other' })
  const stream = await server.stream('/sessions/s/events')
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  const several = await server.stream('/events?attach=s@0,other@0')
  await several.next('caught_up', ({ message: { type, header } }) => type === 'protocol.caught_up' && header.session_id === 'other')
  const poll = server.call('GET', '/sessions/s/events?after=1&wait=20000')
  await until('the wait', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_connections{transport="poll"} 1'))
  await server.call('DELETE', '/sessions/s')
  expect((await own.closed).code).toBe(4410)
  expect(own.messages.at(-1)).toMatchObject({ type: 'protocol.error', payload: { code: 'session_deleted' } })
  await stream.ended
  expect(stream.records.at(-1)).toMatchObject({ event: 'control', message: { type: 'protocol.error', payload: { code: 'session_deleted' } } })
  const answer = await poll
  expect([answer.status, answer.body.error.code]).toEqual([410, 'session_deleted'])
  await shared.next('the error', ({ type, header, payload }) => type === 'protocol.error' && header.session_id === 's' && payload.code === 'session_deleted')
  await several.next('the error', ({ message: { type, header } }) => type === 'protocol.error' && header.session_id === 's')
  await server.append('other', message('on'))
  await shared.next('the other’s event', ({ header }) => header.session_id === 'other' && header.seq === 2)
  await several.next('the other’s event', ({ message: { header } }) => header.session_id === 'other' && header.seq === 2)
  expect((await shared.ask('protocol.resume', { session_id: 's' })).payload.code).toBe('session_deleted')
})

test('an ended session’s attachment stays open', async () => {
  await server.run('s', 1)
  const client = server.socket('/ws?session_id=s')
  await client.ask('session.end', { session_id: 's' })
  await client.next('the end', ({ type }) => type === 'session.ended')
  await server.append('s', message('late'))
  await client.next('a late event', ({ header }) => header.seq === 3)
})

test('[fault 27] a revoked token closes its sockets with 4401, ends its streams, answers its polls with 401, and attaches nowhere', async () => {
  await restart({ flags: { token: TOKEN } })
  const minted = await server.call('POST', '/tokens', { subject: 'u', scopes: ['read', 'write', 'produce'] }, { token: TOKEN })
  const { token, id } = minted.body as { token: string; id: string }
  await server.run('s', 1, { token })
  const sockets = [
    server.socket('/ws?session_id=s', { token }),
    server.socket('/ws?session_id=s', { token, protocol: 'holdfast.v1+binary' }),
    server.socket('/compat/sessions/ws', { token, isPlain: true }),
  ]
  const byMessage = server.socket('/ws?session_id=s')
  byMessage.send('protocol.auth', {}, { token })
  await Promise.all([...sockets.slice(0, 2), byMessage].map(client => client.next('caught_up', ({ type }) => type === 'protocol.caught_up')))
  const stream = await server.stream('/sessions/s/events', { authorization: `Bearer ${token}` })
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  const ticket = await server.call('POST', '/tickets', { session_id: 's', scope: 'read' }, { token })
  const poll = server.call('GET', '/sessions/s/events?after=1&wait=20000', undefined, { token })
  await until('the wait', async () =>
    (await server.call('GET', '/metrics', undefined, { token: TOKEN })).text.includes('holdfast_connections{transport="poll"} 1'),
  )
  const start = performance.now()
  expect((await server.call('DELETE', `/tokens/${id}`, undefined, { token: TOKEN })).status).toBe(200)
  for (const client of [...sockets, byMessage]) expect((await client.closed).code).toBe(4401)
  await stream.ended
  expect(stream.records.at(-1)?.message.payload.code).toBe('unauthorized')
  expect((await poll).status).toBe(401)
  expect(performance.now() - start).toBeLessThan(5000)
  expect((await server.call('GET', '/sessions/s/events', undefined, { token })).status).toBe(401)
  expect((await server.socket('/ws?session_id=s', { token }).closed).code).toBe(4401)
  expect((await server.socket(`/ws?session_id=s&ticket=${ticket.body.ticket}`).closed).code).toBe(4401)
})

test('[fault 27] an expired token ends like a revoked one', async () => {
  await restart({ flags: { token: TOKEN } })
  const minted = await server.call(
    'POST',
    '/tokens',
    { subject: 'u', scopes: ['read', 'produce'], expires_at: new Date(Date.now() + 1500).toISOString() },
    { token: TOKEN },
  )
  const { token } = minted.body as { token: string }
  await server.run('s', 1, { token })
  const client = server.socket('/ws?session_id=s', { token })
  const stream = await server.stream('/sessions/s/events', { authorization: `Bearer ${token}` })
  expect((await client.closed).code).toBe(4401)
  await stream.ended
  expect((await server.call('GET', '/sessions/s', undefined, { token })).status).toBe(401)
})

test('tickets: one use for a socket, reusable for a stream, bound to session and scope', async () => {
  await restart({ flags: { token: TOKEN } })
  await server.run('s', 1, { token: TOKEN })
  await server.run('other', 1, { token: TOKEN })
  const ticket = async (body: object): Promise<string> => (await server.call('POST', '/tickets', body, { token: TOKEN })).body.ticket as string
  const once = await ticket({ session_id: 's', scope: 'read' })
  const client = server.socket(`/ws?session_id=s&ticket=${once}`)
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  expect((await client.ask('session.append', { session_id: 's' }, { events: [message('x')] })).payload.code).toBe('forbidden')
  expect((await client.ask('protocol.resume', { session_id: 'other' })).payload.code).toBe('not_found')
  expect((await server.socket(`/ws?session_id=s&ticket=${once}`).closed).code).toBe(4401)
  const again = await ticket({ session_id: 's', scope: 'read', stream: true })
  for (let use = 0; use < 3; use++) expect((await server.stream(`/sessions/s/events?ticket=${again}`)).status).toBe(200)
  expect((await server.stream(`/sessions/other/events?ticket=${again}`)).status).toBe(401)
  expect((await server.call('GET', `/sessions/s?ticket=${again}`)).status).toBe(401)
  // Not even where the request only looks like a stream.
  expect((await server.call('GET', `/sessions/s?ticket=${again}`, undefined, { headers: { accept: 'text/event-stream' } })).status).toBe(401)
  expect((await server.socket(`/ws?session_id=s&ticket=${again}`).closed).code).toBe(4401)
})
