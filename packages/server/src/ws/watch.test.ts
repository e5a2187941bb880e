import { afterEach, beforeEach, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => server.stop())

const hellos = (messages: readonly { type: string; header: { session_id?: string } }[]): string[] =>
  messages.flatMap(({ type, header }) => (type === 'protocol.hello' ? [header.session_id as string] : []))

test('a watch attaches at the head of what is there and from the start of what comes; watching comes after the last hello', async () => {
  await server.run('a', 3)
  await server.run('b', 0)
  const client = server.socket('/ws')
  const watching = await client.ask('protocol.watch')
  expect(watching).toMatchObject({ type: 'protocol.watching', payload: { kinds: null, sessions: 2 } })
  const before = client.messages.slice(0, client.messages.indexOf(watching))
  expect(hellos(before).sort()).toEqual(['a', 'b'])
  expect(client.seqs('a')).toEqual([])
  await server.append('a', message('live'))
  await server.run('later', 2)
  await until('all', () => client.seqs('later').length === 2 && client.seqs('a').length === 1)
  expect([client.seqs('a'), client.seqs('later')]).toEqual([[4], [1, 2]])
})

test('[fault 33] watching comes after the last hello also where a long replay fills the socket', async () => {
  const big = Array.from({ length: 100 }, () => message('x'.repeat(30_000)))
  await server.run('big')
  for (let n = 0; n < 12; n++) await server.append('big', big)
  for (let n = 0; n < 60; n++) await server.run(`s${n}`, 1)
  const client = server.socket('/ws')
  client.socket.on('open', () => client.socket.pause())
  client.send('protocol.resume', { session_id: 'big' }, { last_seen_seq: 0 })
  // Turns of the server's loop, more than it needs to fill what nobody reads.
  for (let n = 0; n < 300; n++) await server.call('GET', '/healthz')
  const asked = client.ask('protocol.watch')
  await until('all are attached behind what nobody reads', async () => (await server.call('GET', '/metrics')).text.includes('holdfast_attachments_total 61\n'))
  client.socket.resume()
  const watching = await asked
  expect(hellos(client.messages.slice(0, client.messages.indexOf(watching))).filter(id => id !== 'big')).toHaveLength(60)
  // The replay that was under way is not cut short by the watch.
  await until('the whole replay', () => client.seqs('big').length === 1200)
  expect(client.seqs('big')).toEqual(Array.from({ length: 1200 }, (_, index) => index + 1))
})

test('kinds filter; a second watch replaces the first, its attachments too; one session can be detached', async () => {
  await server.run('a', 1)
  const client = server.socket('/ws')
  expect((await client.ask('protocol.watch', {}, { kinds: ['run'] })).payload).toEqual({ kinds: ['run'], sessions: 1 })
  expect((await client.ask('protocol.watch', {}, { kinds: ['chat'] })).payload).toEqual({ kinds: ['chat'], sessions: 0 })
  await server.append('a', message('unseen'))
  await server.run('unseen', 1)
  await client.ask('protocol.ping')
  expect([client.seqs('a'), client.seqs('unseen')]).toEqual([[], []])
  expect((await client.ask('protocol.watch')).payload).toEqual({ kinds: null, sessions: 2 })
  expect((await client.ask('protocol.detach', { session_id: 'a' })).type).toBe('protocol.ack')
  await server.append('a', message('unseen'))
  await server.append('unseen', message('seen'))
  await client.next('the other', ({ header }) => header.session_id === 'unseen' && header.seq === 2)
  expect(client.seqs('a')).toEqual([])
  expect((await client.ask('protocol.watch', {}, { kinds: ['nope'] })).payload.code).toBe('invalid_request')
})

test('a watch asked for twice at once is answered twice, and each session is attached once', async () => {
  await server.run('a', 1)
  await server.run('b', 1)
  const client = server.socket('/ws')
  const answers = await Promise.all([client.ask('protocol.watch'), client.ask('protocol.watch')])
  expect(answers.map(({ type }) => type)).toEqual(['protocol.watching', 'protocol.watching'])
  await server.append('a', message('once'))
  await server.append('b', message('once'))
  await until('both', () => client.seqs('a').length > 0 && client.seqs('b').length > 0)
  await client.ask('protocol.ping')
  expect([client.seqs('a'), client.seqs('b')]).toEqual([[2], [2]])
})

test('sessions created while the watch begins are seen from their start, each event once', async () => {
  const client = server.socket('/ws')
  const made = Array.from({ length: 40 }, (_, n) => server.run(`m${n}`, 2))
  await client.ask('protocol.watch')
  await Promise.all(made)
  for (let n = 0; n < 40; n++) await server.append(`m${n}`, message('last'))
  await until('all', () => Array.from({ length: 40 }, (_, n) => client.seqs(`m${n}`)).every(seqs => seqs.at(-1) === 3))
  for (let n = 0; n < 40; n++) {
    const seqs = client.seqs(`m${n}`)
    expect(seqs).toEqual([1, 2, 3].slice(3 - seqs.length))
  }
})

test('[OPS-02] a watch shows no one else’s sessions', async () => {
  await server.run('admins', 1, { token: server.adminToken })
  const client = server.socket('/ws')
  expect((await client.ask('protocol.watch')).payload.sessions).toBe(0)
  await server.run('admins-2', 1, { token: server.adminToken })
  await server.run('own', 1)
  await until('the own one', () => client.seqs('own').length === 1)
  expect(hellos(client.messages)).toEqual(['own'])
})
