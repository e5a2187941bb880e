import { afterEach, beforeEach, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import type { SocketClient } from '../testing/socket-client.ts'
import { until } from '../testing/until.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => server.stop())

// biome-ignore lint/suspicious/noExplicitAny: an old client knows only these shapes
type Old = any
const old = (client: SocketClient): readonly Old[] => client.messages as readonly Old[]
const connect = async (token?: string): Promise<SocketClient> => {
  const client = server.socket('/compat/sessions/ws', { isPlain: true, ...(token === undefined ? {} : { token }) })
  await until('init', () => old(client).length > 0)
  return client
}

test('[RUN-15] a client that knows only the old shapes gets init, created, events and updates', async () => {
  await server.run('before', 2)
  const client = await connect()
  expect(old(client)[0]).toMatchObject({ type: 'init', sessions: [{ session_id: 'before', session_name: 'before', status: 'running' }] })
  await server.run('new', 0)
  await server.append('new', message('hi', { role: 'assistant', extra: 1 }))
  await server.append('before', message('more'))
  await server.append('new', { event_type: 'session_stop' })
  await until('the update', () =>
    old(client).some(({ type, session }) => type === 'session_updated' && session.session_id === 'new' && session.status === 'finished'),
  )
  await until('the events', () => old(client).filter(({ type }) => type === 'event').length === 3)
  const created = old(client).findIndex(({ type }) => type === 'session_created')
  const first = old(client).findIndex(({ type, data }) => type === 'event' && data.session_id === 'new')
  expect(created).toBeLessThan(first)
  expect(old(client)[first].data).toEqual({ event_type: 'message', role: 'assistant', content: 'hi', extra: 1, session_id: 'new' })
  expect(old(client).filter(({ type }) => type === 'init')).toHaveLength(1)
  expect(old(client).every(message => ['init', 'session_created', 'event', 'session_updated'].includes(message.type))).toBe(true)
})

test('[RUN-15] init comes first, and every event once, while sessions are made and written to all the time', async () => {
  for (let n = 0; n < 20; n++) await server.run(`old${n}`, 1)
  let stop = false
  const writing = (async () => {
    for (let n = 0; !stop; n++) {
      await server.run(`n${n}`, 0)
      await server.append(`n${n}`, message('one'))
      await server.append(`old${n % 20}`, message(`w${n}`))
    }
    return true
  })()
  const clients = await Promise.all([connect(), connect(), connect()])
  stop = true
  await writing
  await server.run('last', 0)
  await server.append('last', message('end'))
  for (const client of clients) {
    await until('the last', () => old(client).some(({ type, data }) => type === 'event' && data.session_id === 'last'))
    expect(old(client)[0].type).toBe('init')
    const known = new Set<string>(old(client)[0].sessions.map(({ session_id }: { session_id: string }) => session_id))
    const seen = new Set<string>()
    for (const { type, session, data } of old(client)) {
      if (type === 'session_created') known.add(session.session_id)
      if (type !== 'event') continue
      expect(known).toContain(data.session_id)
      const key = `${data.session_id} ${data.content}`
      expect(seen).not.toContain(key)
      seen.add(key)
    }
  }
})

test('[RUN-15] what is made while the list is read comes behind init, and is not missed', async () => {
  let letGo: () => void = () => undefined
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  let asked = 0
  const { store } = server
  const list = store.listSessions
  store.listSessions = async query => {
    // The second look is the one for init; the first is the watch's.
    if (++asked === 2) await held
    return list.call(store, query)
  }
  const client = server.socket('/compat/sessions/ws', { isPlain: true })
  await until('the list is asked for', () => asked === 2)
  await server.run('meanwhile', 1)
  letGo()
  await until('the event', () => old(client).some(({ type, data }) => type === 'event' && data.session_id === 'meanwhile'))
  expect(old(client).map(({ type }) => type)).toEqual(['init', 'session_created', 'event'])
})

test('[OPS-02] it passes the same guard, and shows no one else’s sessions', async () => {
  await server.run('admins', 1, { token: server.adminToken })
  const client = await connect()
  expect(old(client)[0]).toEqual({ type: 'init', sessions: [] })
  expect((await server.socket('/compat/sessions/ws', { isPlain: true, token: 'wrong' }).closed).code).toBe(4401)
  await server.stop()
  server = await startTestServer({ flags: { token: 'a-token-of-the-tests-0123456789-abcdefghijklmn' } })
  expect((await server.socket('/compat/sessions/ws', { isPlain: true }).closed).code).toBe(4401)
  const ticket = await server.call('POST', '/tickets', { scope: 'read' }, { token: server.adminToken })
  const own = server.socket(`/compat/sessions/ws?ticket=${ticket.body.ticket}`, { isPlain: true })
  await until('init', () => old(own).length > 0)
})

test('[RUN-13] an old watcher that never reads delays no reporter', async () => {
  const client = await connect()
  client.socket.pause()
  await server.run('s')
  const batch = Array.from({ length: 20 }, () => message('x'.repeat(50_000)))
  const start = performance.now()
  for (let n = 0; n < 30; n++) expect((await server.append('s', batch)).status).toBe(201)
  expect(performance.now() - start).toBeLessThan(10_000)
  client.socket.resume()
  await until('all', () => old(client).filter(({ type }) => type === 'event').length === 600)
})
