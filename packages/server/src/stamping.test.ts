import { CONTROL, DURABLE } from '@holdfast/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { faultOf } from './testing/seen.ts'
import { message, startTestServer, type TestServer } from './testing/start-test-server.ts'
import { until } from './testing/until.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer({ env: { TIMES_HEARTBEAT_MS: '100', TIMES_SILENCE_MS: '5000' } })
})
afterEach(async () => server.stop())

test('[SEQ-12] whatever is seen on any transport is in the lists and the schema, and every event is byte for byte one of the log', async () => {
  await server.run('s', 3)
  const clients = [undefined, 'holdfast.v1+binary'].map(protocol => server.socket('/ws', protocol === undefined ? {} : { protocol }))
  for (const client of clients) {
    await client.ask('protocol.watch')
    await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: 0 })
    await client.ask('protocol.resume', { session_id: '_feed' })
    await client.ask('protocol.resume', { session_id: 'unknown' })
    await client.ask('session.append', { session_id: 's' }, { events: [message('x'), { id: 'with-id', ...message('y') }] })
    await client.ask('session.rename', { session_id: 's' }, { session_name: 'other' })
    await client.ask('protocol.ping')
    await client.next('a heartbeat', ({ type }) => type === 'protocol.heartbeat')
  }
  const stream = await server.stream('/events?attach=s@0,_feed@0,unknown@0')
  await stream.next('caught_up', ({ message: { type, header } }) => type === 'protocol.caught_up' && header.session_id === '_feed')
  await server.append('s', { event_type: 'my.own_type', any: 1 })
  await server.append('s', { event_type: 'session_stop', exit_code: 1 })
  await clients[0]?.ask('session.end', { session_id: 's' })
  await server.call('DELETE', '/sessions/s')
  for (const client of clients) await client.next('the end', ({ type, header }) => type === 'protocol.error' && header.session_id === 's')
  const page = await server.call('GET', '/feed/events')
  for (const event of page.body.events) expect(server.seen.events.get(`_feed/${event.header.seq}`)).toBe(JSON.stringify(event))
  const types = new Set([...server.seen.events.values()].map(text => JSON.parse(text).type as string))
  for (const type of types) expect(type in DURABLE || type.startsWith('run.')).toBe(true)
  const controls = new Set(clients.flatMap(({ messages }) => messages.flatMap(({ type, header }) => (header.seq === undefined ? [type] : []))))
  expect([...controls].every(type => type in CONTROL)).toBe(true)
  for (const type of ['protocol.hello', 'protocol.caught_up', 'protocol.ack', 'protocol.error', 'protocol.pong', 'protocol.heartbeat', 'protocol.watching'])
    expect(controls).toContain(type)
  expect(server.seen.faults).toEqual([])
})

test('[SEQ-12] live events are those of the log, none that went past the place that stamps', async () => {
  await server.run('s', 0)
  const client = server.socket('/ws?session_id=s')
  await client.next('hello', ({ type }) => type === 'protocol.hello')
  for (let n = 0; n < 50; n++) await server.append('s', message(`n${n}`))
  await until('all', () => client.seqs('s').length === 50)
  const log = await server.log('s')
  expect([...server.seen.events.entries()].filter(([key]) => key.startsWith('s/')).map(([, text]) => text)).toEqual(log)
})

test.each([
  ['an event without a seq', { type: 'run.message', header: { id: 'i', session_id: 's', timestamp: 't', version: 1 }, payload: { event_type: 'message' } }],
  ['a control message with one', { type: 'protocol.pong', header: { version: 1, seq: 1 }, payload: {} }],
  ['a type of no list', { type: 'presence', header: { version: 1 }, payload: {} }],
  ['an ack without its fields', { type: 'protocol.ack', header: { version: 1 }, payload: {} }],
])('[SEQ-12] [SEQ-17] the check finds %s', (_name, broken) => {
  expect(faultOf(JSON.stringify(broken))).toBeDefined()
})
