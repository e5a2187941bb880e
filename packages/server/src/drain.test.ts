import { afterEach, beforeEach, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from './testing/start-test-server.ts'
import { openRaw } from './testing/raw-client.ts'
import { until } from './testing/until.ts'

let server: TestServer
let stopped = false
beforeEach(async () => {
  stopped = false
  server = await startTestServer()
})
afterEach(async () => {
  if (!stopped) await server.stop()
})
const drain = (): Promise<void> => {
  stopped = true
  return server.drain()
}

test('[OPS-05] a drain says goaway and closes sockets with 1001, ends streams, answers waiting polls empty', async () => {
  await server.run('s', 2)
  const sockets = [server.socket('/ws?session_id=s'), server.socket('/ws?session_id=s', { protocol: 'holdfast.v1+binary' }), server.socket('/ws')]
  await Promise.all(sockets.map(client => client.ask('protocol.ping')))
  const old = server.socket('/compat/sessions/ws', { isPlain: true })
  await until('init', () => old.messages.length > 0)
  const stream = await server.stream('/sessions/s/events')
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  const polls = Array.from({ length: 5 }, () => server.call('GET', '/sessions/s/events?after=2&wait=20000'))
  await until('the waits', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_connections{transport="poll"} 5\n'))
  const start = performance.now()
  const done = drain()
  for (const client of sockets) {
    expect((await client.closed).code).toBe(1001)
    const last = client.messages.at(-1)
    expect(last?.type).toBe('protocol.goaway')
    expect(last?.payload.reconnect_in_ms).toBeTypeOf('number')
  }
  expect((await old.closed).code).toBe(1001)
  await stream.ended
  expect(stream.records.at(-1)?.message.type).toBe('protocol.goaway')
  expect(stream.retries.length).toBe(2)
  for (const poll of polls) expect(await poll).toMatchObject({ status: 200, body: { events: [], next_after: 2, has_more: false } })
  await done
  expect(performance.now() - start).toBeLessThan(3000)
})

test('[OPS-05] while it drains it is not ready, and refuses new work by its code', async () => {
  await server.run('s', 1)
  // A peer that does not answer the close keeps the drain going for a while.
  const raw = openRaw(
    server.port,
    `GET /ws?session_id=s HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  )
  await raw.next('hello', received => received.includes('caught_up'))
  const done = drain()
  await raw.next('goaway', received => received.includes('goaway'))
  const code = async (method: string, path: string, body?: unknown): Promise<unknown[]> => {
    const answer = await server.call(method, path, body)
    return [answer.status, answer.body.error.code, answer.body.error.retryable, answer.headers.has('retry-after')]
  }
  const draining = [503, 'draining', true, true]
  expect(await code('GET', '/readyz')).toEqual(draining)
  expect(await code('POST', '/sessions/s/events', message('x'))).toEqual(draining)
  expect(await code('POST', '/sessions', { session_name: 'x' })).toEqual(draining)
  expect(await code('GET', '/sessions/s/events')).toEqual(draining)
  expect((await server.call('GET', '/healthz')).status).toBe(200)
  expect((await server.socket('/ws').closed).code).toBe(4503)
  const stream = await server.stream('/sessions/s/events')
  await stream.ended
  expect([stream.status, stream.records[0]?.message.payload.code]).toEqual([200, 'draining'])
  raw.close()
  await done
})

test('[SEQ-05] what was accepted before the drain is acked and stored', async () => {
  await server.stop()
  let slow = false
  server = await startTestServer({ store: { beforeCommit: () => (slow ? new Promise<void>(resolve => setTimeout(resolve, 100)) : undefined) } })
  await server.run('s')
  slow = true
  const before = server.store.disk
  const posts = Array.from({ length: 10 }, (_, n) => server.append('s', message(`n${n}`)))
  const client = server.socket('/ws')
  await client.ask('protocol.ping')
  await until('they are taken', () => true)
  const done = drain()
  const answers = await Promise.all(posts)
  await done
  const acked = answers.filter(({ status }) => status === 201).map(({ body }) => body.last_seq as number)
  for (const { status, body } of answers) if (status !== 201) expect(body.error.code).toBe('draining')
  const after = await startTestServer({ store: { disk: before } })
  try {
    expect((await after.log('s')).length).toBe(acked.length)
  } finally {
    await after.stop()
  }
})

test('[OPS-05] a drain ends in its time however its peers behave', async () => {
  await server.stop()
  server = await startTestServer({ env: { TIMES_DRAIN_MS: '1500' } })
  await server.run('s')
  await server.append(
    's',
    Array.from({ length: 15 }, () => message('x'.repeat(200_000))),
  )
  for (let n = 0; n < 6; n++) {
    const raw = openRaw(
      server.port,
      `GET /sessions/s/events HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAccept: ${n % 2 === 0 ? 'text/event-stream' : '*/*'}\r\n\r\n`,
    )
    raw.socket.pause()
  }
  openRaw(server.port, `POST /sessions/s/events HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`)
  await until('attached', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_connections{transport="sse"} 3\n'))
  const start = performance.now()
  await drain()
  expect(performance.now() - start).toBeLessThan(3500)
})
