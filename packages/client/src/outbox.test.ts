import { type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client, ClientOptions } from './client.ts'
import { type Attachment, createClient, createMemoryStore, pollTransport, sseTransport, TransportError, wsTransport } from './index.ts'

const policy = { baseMs: 2, capMs: 20, connectMs: 2000 }
const each = [wsTransport(), sseTransport(), pollTransport({ waitMs: 200 })].map(transport => ({ name: transport.name, transport }))

let server: FakeServer
let clients: Client[] = []
beforeEach(async () => {
  server = await startFakeServer()
  server.log.create('s', 'chat')
})
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await server.close()
})

function client(options: Partial<ClientOptions> = {}): Client {
  const made = createClient({ url: server.url, clientId: 'tab-1', policy, ...options })
  clients.push(made)
  return made
}
const attach = (from: Client): Attachment => from.attach('s', { onEvent: () => {} })
const texts = (): unknown[] => (server.log.sessions.get('s')?.texts ?? []).map(text => (JSON.parse(text) as { payload: { text: string } }).payload.text)

describe.each(each)('inputs over $name', ({ transport }) => {
  test('[CLI-03] what is sent before and after the connection is acknowledged in order', async () => {
    const handle = attach(client({ transports: [transport] }))
    const acks = await Promise.all(['a', 'b', 'c'].map(text => handle.send('chat.send', { text })))
    expect(acks.map(ack => ack.seq)).toEqual([1, 2, 3])
    expect(acks.every(ack => !ack.duplicate && ack.id !== '')).toBe(true)
    expect(texts()).toEqual(['a', 'b', 'c'])
    expect(handle.pending).toEqual([])
  })

  test('[CLI-03] what is sent while offline is pending, then delivered once, in order', async () => {
    const own = client({ transports: [transport] })
    const handle = attach(own)
    await until(() => handle.state.phase === 'live', 'live')
    server.faults.refuseUpgrades = true
    server.faults.status = () => 503
    server.cutAll()
    await until(() => handle.state.phase !== 'live', 'the cut')
    const sent = ['a', 'b'].map(text => handle.send('chat.send', { text }))
    expect(handle.pending.map(input => (input.payload as { text: string }).text)).toEqual(['a', 'b'])
    server.faults.refuseUpgrades = false
    server.faults.status = () => undefined
    await Promise.all(sent)
    expect(texts()).toEqual(['a', 'b'])
  })

  test('[fault 5] a lost ack: the same id again, one event, the same seq', async () => {
    const handle = attach(client({ transports: [transport] }))
    let losses = 2
    server.faults.loseAck = () => {
      if (losses-- <= 0) return false
      if (transport.name === 'ws') setImmediate(() => server.sockets.drop())
      return true
    }
    const acks = await Promise.all(['a', 'b'].map(text => handle.send('chat.send', { text })))
    expect(acks).toMatchObject([
      { seq: 1, duplicate: true },
      { seq: 2, duplicate: false },
    ])
    expect(texts()).toEqual(['a', 'b'])
  })

  test('[CLI-03] a final refusal rejects that input alone; a retryable one is sent again in its place', async () => {
    const handle = attach(client({ transports: [transport] }))
    let busy = 2
    server.faults.refuse = (_method, path, body) => {
      if (path === 'protocol.resume' || !body.includes('"text"')) return undefined
      if (body.includes('"bad"')) return { code: 'invalid_request' }
      return body.includes('"b"') && busy-- > 0 ? { code: 'rate_limited', details: { retry_after_ms: 3 } } : undefined
    }
    const sent = ['a', 'b', 'bad', 'c'].map(text => handle.send('chat.send', { text }))
    await expect(sent[2]).rejects.toMatchObject({ code: 'invalid_request' })
    await Promise.all([sent[0], sent[1], sent[3]])
    expect(texts()).toEqual(['a', 'b', 'c'])
  })
})

describe('outbox', () => {
  test('[CLI-03] a reload sends what was pending, before anything newer, and once', async () => {
    const store = createMemoryStore()
    server.faults.refuseUpgrades = true
    server.faults.status = () => 503
    const before = attach(client({ store }))
    const sent = before.send('chat.send', { text: 'kept' }, { id: 'my-id' })
    const typed = before.send('terminal.input', { text: 'password' })
    await until(() => before.pending.length === 2, 'pending')
    await until(() => store.get('holdfast:outbox:tab-1:s') !== undefined, 'stored')
    clients.pop()?.close()
    await expect(sent).rejects.toBeInstanceOf(TransportError)
    await expect(typed).rejects.toBeInstanceOf(TransportError)
    expect(store.get('holdfast:outbox:tab-1:s')).not.toContain('password')
    server.faults.refuseUpgrades = false
    server.faults.status = () => undefined
    const after = attach(client({ store }))
    await after.send('chat.send', { text: 'newer' })
    expect(texts()).toEqual(['kept', 'newer'])
    expect(await store.get('holdfast:outbox:tab-1:s')).toBeUndefined()
  })

  test('[fault 14] an input that arrived over a socket that is half open counts once', async () => {
    const own = client({ transports: [wsTransport()] })
    const handle = attach(own)
    await until(() => handle.state.phase === 'live', 'live')
    // The fake takes the input; its answer and everything after it never come.
    server.faults.stall = true
    const sent = handle.send('chat.send', { text: 'once' })
    await until(() => texts().length === 1, 'the input arrived')
    server.faults.stall = false
    handle.reconnect()
    server.cutAll()
    expect(await sent).toMatchObject({ seq: 1, duplicate: true })
    expect(texts()).toEqual(['once'])
  })

  test('[CLI-03] two handles of one session share one outbox', async () => {
    const own = client()
    const [first, second] = [attach(own), attach(own)]
    const sent = [first?.send('chat.send', { text: 'a' }), second?.send('chat.send', { text: 'b' })]
    await until(() => first?.pending.length === second?.pending.length, 'one list')
    first?.close()
    await Promise.all(sent)
    expect(texts()).toEqual(['a', 'b'])
  })

  test('[OPS-03] an input over the limit is refused before it is sent', async () => {
    const handle = attach(client())
    await expect(handle.send('chat.send', { text: 'x'.repeat(300_000) })).rejects.toMatchObject({ code: 'too_large' })
  })

  test('[CLI-03] a store that fails costs no input', async () => {
    const store = {
      get: () => undefined,
      set: () => {
        throw new Error('full')
      },
      delete: () => Promise.reject(new Error('full')),
    }
    await expect(attach(client({ store })).send('chat.send', { text: 'a' })).resolves.toMatchObject({ seq: 1 })
  })
})
