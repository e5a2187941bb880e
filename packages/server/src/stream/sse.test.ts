import { afterEach, beforeEach, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
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

test('[fault 20] a stream is no-store, sets retry, and comments while nothing happens, so that no proxy cuts it', async () => {
  await restart({ env: { TIMES_HEARTBEAT_MS: '100', TIMES_SILENCE_MS: '5000' } })
  await server.run('s', 1)
  const stream = await server.stream('/sessions/s/events')
  expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff' })
  expect(stream.headers['cache-control']).toContain('no-store')
  await until('comments', () => stream.comments.length >= 3)
  expect(stream.retries).toEqual([1000])
})

test('records: events have the default name and an id, control messages their own, hello has none', async () => {
  await server.run('s', 2)
  const stream = await server.stream('/sessions/s/events')
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  const { epoch } = server.store
  expect(stream.records.map(({ event, id, message: { type } }) => [event, id, type])).toEqual([
    ['control', undefined, 'protocol.hello'],
    [undefined, `${epoch}.1`, 'run.message'],
    [undefined, `${epoch}.2`, 'run.message'],
    ['control', `${epoch}.2`, 'protocol.caught_up'],
  ])
})

test.each([
  ['live', 'new', []],
  ['replay', 'new', [1, 2]],
  ['snapshot', 'new', [1, 2]],
  ['auto', 'new', [1, 2]],
])('mode %s of a run begins with resume %s', async (mode, resume, seqs) => {
  await server.run('s', 2)
  const stream = await server.stream(`/sessions/s/events?mode=${mode}`)
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  expect(stream.records[0]?.message.payload.resume).toBe(resume)
  expect(stream.records.flatMap(({ message: { header } }) => header.seq ?? [])).toEqual(seqs)
})

test('refusals that may pass are told inside a stream, others plainly', async () => {
  await restart({ env: { LIMITS_CONNECTIONS: '1' } })
  await server.run('s', 1)
  const first = await server.stream('/sessions/s/events')
  expect(first.status).toBe(200)
  const second = await server.stream('/sessions/s/events')
  await second.ended
  expect([second.status, second.records[0]?.message.payload.code, second.retries.length]).toEqual([200, 'rate_limited', 1])
  first.close()
  await until('its place', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_connections{transport="sse"} 0'))
  for (const [path, status] of [
    ['/sessions/none/events', 404],
    ['/sessions/s/events?mode=x', 400],
    ['/sessions/-/events', 400],
    ['/sessions/s/events?cursor=x', 400],
    ['/events', 400],
    ['/events?attach=', 400],
  ] as const) {
    const refusal = await server.stream(path)
    expect([path, refusal.status]).toEqual([path, status])
  }
  expect((await server.stream('/sessions/s/events', { authorization: 'Bearer wrong' })).status).toBe(401)
})

test('[OPS-01] too many wrong tokens are a refusal that may pass, also for a stream', async () => {
  await server.run('s', 1)
  await until('the limit', async () => (await server.call('GET', '/sessions/s', undefined, { token: 'wrong' })).status === 429)
  const stream = await server.stream('/sessions/s/events', { authorization: 'Bearer wrong' })
  await stream.ended
  expect([stream.status, stream.records[0]?.message.payload.code]).toEqual([200, 'rate_limited'])
})

test('several sessions on one stream: ids name them, an unknown one is a record, the others go on', async () => {
  await server.run('a', 3)
  await server.run('b', 1)
  const { epoch } = server.store
  const stream = await server.stream(`/events?attach=a@${epoch}.2,nope@0,b@0,_feed@`, { 'last-event-id': 'a@not-read' })
  await stream.next(
    'the error',
    ({ message: { type, header, payload } }) => type === 'protocol.error' && header.session_id === 'nope' && payload.code === 'not_found',
  )
  for (const id of ['a', 'b', '_feed'])
    await stream.next('caught_up', ({ message: { type, header } }) => type === 'protocol.caught_up' && header.session_id === id)
  await server.append('b', message('live'))
  await stream.next('live', ({ message: { header } }) => header.session_id === 'b' && header.seq === 2)
  const ids = stream.records.flatMap(({ id, message: { header } }) => (header.seq === undefined ? [] : [[id, `${header.session_id}@${epoch}.${header.seq}`]]))
  expect(ids.length).toBe(5)
  for (const [id, expected] of ids) expect(id).toBe(expected)
  expect(stream.records.find(({ message: { type, header } }) => type === 'protocol.caught_up' && header.session_id === 'a')?.id).toBe(`a@${epoch}.3`)
})

test.each(['a@x', 'a@0,a@0', '-@0', 'a@0,', `${'a'.repeat(129)}@0`, Array.from({ length: 101 }, (_, n) => `s${n}@0`).join(',')])(
  'attach=%s is refused',
  async attach => {
    await server.run('a', 1)
    const stream = await server.stream(`/events?attach=${attach}`)
    expect(stream.status).toBe(400)
  },
)

test('[fault 29] a stream of only unknown sessions says so and ends', async () => {
  const stream = await server.stream('/events?attach=x@0,y@0')
  await stream.ended
  expect(stream.records.map(({ message: { payload } }) => payload.code)).toEqual(['not_found', 'not_found'])
})
