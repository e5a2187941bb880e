// Long: one attachment through all that can happen to it, on one fake server.
import { HoldfastError } from '@holdfast/protocol/wire'
import { createManualClock, type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client, ClientOptions } from './client.ts'
import {
  type AttachmentState,
  type AttachOptions,
  type Attachment,
  createClient,
  createMemoryStore,
  pollTransport,
  sseTransport,
  TransportError,
  wsTransport,
} from './index.ts'

const policy = { baseMs: 2, capMs: 20, connectMs: 2000, maxTries: 30 }
const TRANSPORTS = { ws: wsTransport(), sse: sseTransport(), poll: pollTransport({ waitMs: 200 }) }
const each = Object.entries(TRANSPORTS).map(([name, transport]) => ({ name, transport }))

let server: FakeServer
let clients: Client[] = []
beforeEach(async () => {
  server = await startFakeServer()
  server.log.create('s')
})
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await server.close()
})

function client(options: Partial<ClientOptions> = {}): Client {
  const { policy: own, ...rest } = options
  const made = createClient({ url: server.url, clientId: 'tab-1', ...rest, policy: { ...policy, ...own } })
  clients.push(made)
  return made
}

interface Followed {
  readonly handle: Attachment
  readonly told: string[]
  readonly seqs: number[]
  readonly states: AttachmentState[]
}

/** Follows a session and writes down what it is told. */
function follow(from: Client, options: Partial<AttachOptions> = {}, id = 's'): Followed {
  const told: string[] = []
  const seqs: number[] = []
  const states: AttachmentState[] = []
  const handle = from.attach(id, {
    ...options,
    onEvent: (event, context) => {
      const work = options.onEvent?.(event, context)
      seqs.push(event.header.seq)
      told.push(`${event.header.seq}${context.live ? '!' : ''}`)
      return work
    },
    onHello: hello => void told.push(`hello ${hello.resume}`),
    onReset: reset => void told.push(`reset ${reset.epoch}.${reset.seq}`),
    onGap: gap => void told.push(`gap ${gap.from_seq}-${gap.to_seq}`),
    onSnapshot: snapshot => void told.push(`snapshot ${snapshot.seq} ${JSON.stringify(snapshot.state)}`),
    onCaughtUp: seq => void told.push(`caught_up ${seq}`),
    onStatus: state => {
      states.push(state)
      options.onStatus?.(state)
    },
  })
  return { handle, told, seqs, states }
}

const fill = (count: number, id = 's'): void => {
  for (let n = 1; n <= count; n++) server.log.append(id, { n })
}
const dense = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => index + from)
const live = (followed: Followed): Promise<void> => until(() => followed.handle.state.phase === 'live', 'live')

describe.each(each)('attach over $name', ({ name, transport }) => {
  test('[SEQ-16] [SEQ-03] replay, then live, each once and in order', async () => {
    fill(250)
    const followed = follow(client({ transports: [transport] }))
    await live(followed)
    fill(3)
    await until(() => followed.handle.lastSeq === 253, 'all events')
    expect(followed.seqs).toEqual(dense(253))
    expect(followed.told.slice(0, 2)).toEqual(['hello new', '1'])
    expect(followed.told.slice(250)).toEqual(['250', 'caught_up 250', '251!', '252!', '253!'])
    expect(followed.handle.state.transport).toBe(name)
  })

  test('[SEQ-16] a cut connection is resumed from <epoch>.<seq>, with nothing twice', async () => {
    fill(5)
    const followed = follow(client({ transports: [transport] }))
    await live(followed)
    server.cutAll()
    fill(5)
    await until(() => followed.handle.lastSeq === 10, 'the rest')
    expect(followed.seqs).toEqual(dense(10))
    expect(server.attaches.at(-1)).toMatchObject({ transport: name, cursor: expect.stringMatching(/^Efake0001\.(5|6|7|8|9|10)$/) })
  })

  test('[SEQ-16] a skipped event drops the connection and is fetched again; a doubled one is dropped', async () => {
    fill(20)
    let holes = 2
    server.faults.skip = seq => seq === 7 && holes-- > 0
    server.faults.duplicate = seq => seq % 3 === 0
    const followed = follow(client({ transports: [transport] }))
    await live(followed)
    expect(followed.seqs).toEqual(dense(20))
    expect(holes).toBeLessThan(2)
  })

  test('[SEQ-14] gap, snapshot and reset are told', async () => {
    server.log.create('chat', 'chat')
    fill(6, 'chat')
    const session = server.log.sessions.get('chat')
    if (session) session.floor = 4
    fill(6)
    const run = server.log.sessions.get('s')
    if (run) run.floor = 4
    const own = client({ transports: [transport] })
    const folded = follow(own, { cursor: 'Efake0001.1' }, 'chat')
    const trimmed = follow(own, { cursor: 1 })
    await live(folded)
    await live(trimmed)
    expect(folded.told).toEqual(['hello gap', 'gap 2-4', 'snapshot 6 {"count":6,"sum":21}', 'caught_up 6'])
    expect(trimmed.told).toEqual(['hello gap', 'gap 2-4', '5', '6', 'caught_up 6'])
    trimmed.handle.close()
    const elsewhere = follow(own, { cursor: 'Eother.3' })
    await live(elsewhere)
    expect(elsewhere.told).toEqual(['hello reset', 'reset Efake0001.4', '5', '6', 'caught_up 6'])
  })

  test('[SEQ-16] mode live starts at the head and replays what it misses later', async () => {
    fill(5)
    const followed = follow(client({ transports: [transport] }), { mode: 'live' })
    await live(followed)
    server.cutAll()
    fill(2)
    await until(() => followed.handle.lastSeq === 7, 'what was missed')
    expect(followed.seqs).toEqual([6, 7])
  })

  test('[CLI-01] an unknown session fails for good, the others go on', async () => {
    fill(1)
    const own = client({ transports: [transport] })
    const lost = follow(own, {}, 'nowhere')
    const found = follow(own)
    await until(() => lost.handle.state.phase === 'failed', 'failed')
    expect(lost.handle.state.error).toMatchObject({ code: 'not_found' })
    await live(found)
    server.log.create('nowhere')
    lost.handle.reconnect()
    await live(lost)
  })

  test('[CLI-01] a wrong token fails for good; a fresh one works after reconnect()', async () => {
    server.token = 'secret'
    let token = 'wrong'
    let asked = 0
    const supply = (): string => {
      asked++
      return token
    }
    const followed = follow(client({ transports: [transport], token: supply }))
    await until(() => followed.handle.state.phase === 'failed', 'failed')
    expect(followed.handle.state.error).toMatchObject({ code: 'unauthorized' })
    expect(asked).toBe(2)
    token = 'secret'
    followed.handle.reconnect()
    await live(followed)
  })

  test.skipIf(name === 'poll')('[fault 29] an event that kills every connection: attaches back off, the error is surfaced, other sessions go on', async () => {
    fill(5)
    server.log.create('other')
    server.faults.poison = (id, seq) => id === 's' && seq === 3
    const own = client({ transports: [transport], policy: { maxTries: 8 } })
    const healthy = follow(own, {}, 'other')
    const followed = follow(own)
    await until(() => followed.states.some(state => state.error instanceof TransportError && state.error.reason === 'no_progress'), 'no progress')
    server.log.append('other', {})
    await until(() => healthy.handle.lastSeq === 1, 'the other session')
    expect(followed.seqs).toEqual([1, 2])
    await until(() => followed.handle.state.phase === 'failed', 'failed')
    expect(followed.handle.state.error).toMatchObject({ reason: 'no_progress', details: { seq: 2 } })
    server.faults.poison = () => false
    followed.handle.reconnect()
    await live(followed)
    expect(followed.seqs).toEqual(dense(5))
  })

  test('[CLI-01] the maximum of tries, then failed; reconnect() tries again', async () => {
    await server.close()
    const followed = follow(client({ transports: [transport], policy: { maxTries: 4 } }))
    await until(() => followed.handle.state.phase === 'failed', 'failed')
    expect(followed.handle.state).toMatchObject({ tries: 4, error: { reason: expect.stringMatching(/unreachable|cut/) } })
    const count = followed.states.length
    followed.handle.reconnect()
    await until(() => followed.states.length > count && followed.handle.state.phase === 'failed', 'failed again')
    server = await startFakeServer()
  })
})

describe('fallback', () => {
  test('[CLI-01] WebSocket blocked: SSE; that blocked too: long-poll', async () => {
    fill(3)
    server.faults.refuseUpgrades = true
    const first = follow(client())
    await live(first)
    expect(first.handle.state.transport).toBe('sse')
    server.faults.refuseStreams = true
    const second = follow(client({ clientId: 'tab-2' }))
    await live(second)
    expect(second.handle.state.transport).toBe('poll')
    expect([first.seqs, second.seqs]).toEqual([dense(3), dense(3)])
  })

  test('[fault 20] a proxy that holds event streams back: long-poll', async () => {
    fill(3)
    server.faults.refuseUpgrades = true
    server.faults.bufferStreams = true
    const followed = follow(client({ policy: { connectMs: 100 } }))
    await live(followed)
    expect(followed.handle.state.transport).toBe('poll')
  })

  test('[fault 20] a proxy that keeps an error for its URL still converges', async () => {
    fill(3)
    server.faults.refuseUpgrades = true
    server.faults.cacheErrors = true
    let errors = 3
    server.faults.status = () => (errors-- > 0 ? 502 : undefined)
    const followed = follow(client())
    await live(followed)
    expect(followed.seqs).toEqual(dense(3))
  })

  test('[CLI-01] a lesser transport gives WebSocket another chance', async () => {
    server.faults.refuseUpgrades = true
    const followed = follow(client({ policy: { upgradeMs: 30 } }))
    await until(() => followed.handle.state.transport !== 'ws' && followed.handle.state.phase === 'live', 'a lesser transport')
    server.faults.refuseUpgrades = false
    await until(() => followed.handle.state.transport === 'ws' && followed.handle.state.phase === 'live', 'WebSocket again')
    fill(2)
    await until(() => followed.handle.lastSeq === 2, 'events')
    expect(followed.seqs).toEqual([1, 2])
  })
})

describe('WebSocket', () => {
  const ws = (options: Partial<ClientOptions> = {}) => client({ transports: [wsTransport()], ...options })

  test('[SEQ-16] many sessions share one socket; a second reader of one session has its own', async () => {
    server.log.create('t')
    fill(2)
    fill(2, 't')
    const own = ws()
    const both = [follow(own), follow(own, {}, 't')]
    for (const followed of both) await live(followed)
    expect(server.sockets.upgrades).toBe(1)
    const second = follow(own)
    await live(second)
    expect(server.sockets.upgrades).toBe(2)
    fill(1)
    await until(() => second.handle.lastSeq === 3 && (both[0]?.handle.lastSeq ?? 0) === 3, 'both readers')
    expect([both[0]?.seqs, second.seqs]).toEqual([dense(3), dense(3)])
  })

  test('[OPS-01] the token goes in the first message, never in the URL', async () => {
    server.token = 'secret'
    fill(1)
    const followed = follow(ws({ token: 'secret' }))
    await live(followed)
    expect(followed.seqs).toEqual([1])
  })

  test('[SEQ-16] binary frames, text frames for large events and control messages', async () => {
    fill(20)
    server.log.append('s', { text: 'ä'.repeat(5000) })
    fill(5)
    const followed = follow(client({ binary: true }))
    await live(followed)
    fill(5)
    await until(() => followed.handle.lastSeq === 31, 'all')
    expect(followed.seqs).toEqual(dense(31))
  })

  test('[CLI-01] 4401, 4403, 4404 and 4410 are final, 4408, 1001 and a cut are not', async () => {
    for (const [code, error] of [
      [4401, 'unauthorized'],
      [4403, 'forbidden'],
      [4404, 'not_found'],
      [4410, 'session_expired'],
    ] as const) {
      const followed = follow(ws())
      await live(followed)
      server.sockets.drop(code)
      await until(() => followed.handle.state.phase === 'failed', `failed with ${code}`)
      expect(followed.handle.state.error).toMatchObject({ code: error })
      followed.handle.close()
    }
    const followed = follow(ws())
    for (const code of [4408, 1001, undefined]) {
      await live(followed)
      const { upgrades } = server.sockets
      server.sockets.drop(code)
      await until(() => server.sockets.upgrades > upgrades, 'a new socket')
    }
    await live(followed)
  })

  test('[CLI-01] goaway: comes back after the time that it names, without counting a try', async () => {
    const clock = createManualClock()
    const followed = follow(ws({ clock }))
    await live(followed)
    server.sockets.goaway(700)
    await until(() => followed.handle.state.phase === 'waiting', 'waiting')
    expect(followed.handle.state).toMatchObject({ retryInMs: 700, tries: 0 })
    clock.advance(699)
    expect(server.sockets.upgrades).toBe(1)
    clock.advance(1)
    await live(followed)
  })

  test('[CLI-01] 2.5 heartbeats of silence: a new connection; a heartbeat keeps the old one', async () => {
    const clock = createManualClock()
    const followed = follow(ws({ clock }))
    await live(followed)
    clock.advance(20_000)
    let heard = 0
    const counting = follow(ws({ clientId: 'tab-2', clock: createManualClock() }), { onControl: () => void heard++ })
    await live(counting)
    server.heartbeat()
    await until(() => server.sockets.open === 2, 'both open')
    // The client's heartbeat has arrived once a message sent after it has.
    fill(1)
    await until(() => followed.handle.lastSeq === 1, 'an event')
    clock.advance(24_000)
    expect(followed.handle.state.phase).toBe('live')
    clock.advance(2000)
    expect(followed.states.find(state => state.phase === 'waiting')).toMatchObject({ error: { reason: 'silent' } })
    clock.advance(100)
    await live(followed)
    expect(followed.seqs).toEqual([1])
  })

  test('[fault 18] a heartbeat shows a head that no event came for: attached again on the same socket', async () => {
    const clock = createManualClock()
    const followed = follow(ws({ clock }))
    await live(followed)
    server.faults.deaf = true
    fill(3)
    server.heartbeat()
    await until(() => clock.due.includes(2000), 'the doubt')
    clock.advance(2000)
    await until(() => followed.handle.lastSeq === 3, 'what got lost')
    expect(followed.seqs).toEqual(dense(3))
    expect(server.sockets.upgrades).toBe(1)
  })

  test('[fault 18] a heartbeat that lies costs one attach, not one each time', async () => {
    const clock = createManualClock()
    const followed = follow(ws({ clock }))
    await live(followed)
    server.faults.heads = () => 99
    server.heartbeat()
    await until(() => clock.due.includes(2000), 'the doubt')
    clock.advance(2000)
    await until(() => server.attaches.length === 2 && followed.handle.state.phase === 'live', 'attached again')
    const told = followed.told.length
    server.heartbeat()
    fill(1)
    await until(() => followed.handle.lastSeq === 1, 'an event after the heartbeat')
    expect(clock.due).not.toContain(clock.nowMs() + 2000)
    expect(followed.told.slice(told)).toEqual(['1!'])
  })

  test('[CLI-01] online or visible: the wait is over at once', async () => {
    const clock = createManualClock()
    let hope: () => void = () => {}
    const signals = {
      online: () => true,
      watch: (listener: () => void) => {
        hope = listener
        return () => {}
      },
    }
    const followed = follow(ws({ clock, signals, random: { next: () => 0.9, id: () => crypto.randomUUID() } }))
    await live(followed)
    server.cutAll()
    await until(() => followed.handle.state.phase === 'waiting', 'waiting')
    hope()
    await live(followed)
  })

  test('[CLI-01] online while connected: a socket that does not answer is replaced', async () => {
    const clock = createManualClock()
    let hope: () => void = () => {}
    const signals = {
      online: () => true,
      watch: (listener: () => void) => {
        hope = listener
        return () => {}
      },
    }
    const followed = follow(ws({ clock, signals }))
    await live(followed)
    server.faults.stall = true
    hope()
    clock.advance(5000)
    expect(followed.states.find(state => state.phase === 'waiting')).toMatchObject({ error: { reason: 'silent' } })
    server.faults.stall = false
    clock.advance(100)
    await live(followed)
  })

  test('[fault 16] a window keeps what is not applied yet at the server', async () => {
    for (let n = 0; n < 50; n++) server.log.append('s', { text: 'ä'.repeat(1000) })
    let received = 0
    const gates: (() => void)[] = []
    const followed = follow(ws(), { windowBytes: 10_000, onEvent: () => new Promise<void>(resolve => gates.push(resolve)) })
    await until(() => gates.length === 1, 'the first event')
    for (let n = 0; n < 50; n++) {
      await until(() => gates.length > n, `event ${n + 1}`)
      received = n + 1
      gates[n]?.()
    }
    await live(followed)
    expect(received).toBe(50)
    expect(followed.seqs).toEqual(dense(50))
  })

  test('[CLI-05] a runtime without WebSocket starts with SSE, or takes a constructor', async () => {
    const own = globalThis.WebSocket
    try {
      Reflect.deleteProperty(globalThis, 'WebSocket')
      const without = follow(client())
      await live(without)
      expect(without.handle.state.transport).toBe('sse')
      const { WebSocket } = await import('ws')
      const given = follow(client({ WebSocket: WebSocket as never, clientId: 'tab-2' }))
      await live(given)
      expect(given.handle.state.transport).toBe('ws')
    } finally {
      globalThis.WebSocket = own
    }
  })
})

describe('cursor', () => {
  test('[CLI-02] a reload resumes after what was applied', async () => {
    const store = createMemoryStore()
    fill(4)
    const before = follow(client({ store }))
    await live(before)
    clients.pop()?.close()
    fill(2)
    const after = follow(client({ store }))
    await until(() => after.handle.lastSeq === 6, 'the new ones')
    expect(after.told.slice(0, 2)).toEqual(['hello ok', '5'])
    expect(follow(client({ store, clientId: 'tab-9' }), {}).handle.lastSeq).toBe(0)
  })

  test('[CLI-02] a client without an id of its own keeps one in the store it is given', async () => {
    const store = createMemoryStore()
    const first = createClient({ url: server.url, store })
    const second = createClient({ url: server.url, store })
    expect(await first.clientId()).toBe(await second.clientId())
  })

  test('[fault 22] two tabs of one store have a cursor each', async () => {
    const store = createMemoryStore()
    fill(3)
    const one = follow(client({ store, clientId: 'a' }))
    await live(one)
    const two = follow(client({ store, clientId: 'b' }))
    await live(two)
    expect(two.seqs).toEqual(dense(3))
  })

  test('[fault 22] the cursor is kept after the event was applied, never before', async () => {
    const store = createMemoryStore()
    fill(3)
    let release: () => void = () => {}
    const followed = follow(client({ store }), {
      onEvent: event => (event.header.seq === 2 ? new Promise<void>(resolve => (release = resolve)) : undefined),
    })
    await until(() => followed.seqs.length === 2, 'the second event')
    const kept = await store.get('holdfast:cursor:tab-1:s')
    expect(kept ?? 'none').not.toMatch(/\.(2|3)$/)
    release()
    await live(followed)
    expect(await store.get('holdfast:cursor:tab-1:s')).toBe('Efake0001.3')
  })

  test('[fault 22] a handler that throws stops the reader before that event; reconnect() gives it again', async () => {
    const store = createMemoryStore()
    fill(5)
    let broken = true
    const followed = follow(client({ store }), {
      onEvent: event => {
        if (broken && event.header.seq === 3) throw new Error('disk full')
      },
    })
    await until(() => followed.handle.state.phase === 'failed', 'failed')
    expect(followed.handle.state.error).toMatchObject({ reason: 'handler', cause: { message: 'disk full' } })
    expect(followed.handle.lastSeq).toBe(2)
    broken = false
    followed.handle.reconnect()
    await live(followed)
    expect(followed.seqs).toEqual(dense(5))
    expect(await store.get('holdfast:cursor:tab-1:s')).toBe('Efake0001.5')
  })

  test('[fault 21] an empty session gives a cursor too', async () => {
    const followed = follow(client())
    await live(followed)
    expect(followed.handle.cursor).toBe('Efake0001.0')
  })

  test('[fault 9] a broken cursor is refused before anything is sent', () => {
    const own = client()
    for (const cursor of ['x', '-1', 1.5, -1, '1.2.3', Number.NaN]) expect(() => own.attach('s', { cursor, onEvent: () => {} })).toThrow(HoldfastError)
  })

  test('[fault 23] what happened before the attach is not live, on a resume neither', async () => {
    fill(2)
    const followed = follow(client({ transports: [wsTransport()] }))
    await live(followed)
    server.cutAll()
    await until(() => followed.handle.state.phase !== 'live', 'the cut')
    fill(1)
    await until(() => followed.handle.lastSeq === 3, 'the third')
    await live(followed)
    fill(1)
    await until(() => followed.handle.lastSeq === 4, 'the fourth')
    expect(followed.told.filter(entry => /^\d/.test(entry))).toEqual(['1', '2', '3', '4!'])
  })
})

describe('pulled', () => {
  test('[SEQ-16] events() yields each event once and ends with its signal', async () => {
    fill(3)
    const stop = new AbortController()
    const seqs: number[] = []
    for await (const event of client().events('s', { signal: stop.signal })) {
      seqs.push(event.header.seq)
      if (event.header.seq < 5) server.log.append('s', {})
      if (seqs.length === 2) server.cutAll()
      if (event.header.seq === 5) stop.abort()
    }
    expect(seqs).toEqual(dense(5))
    await until(() => server.sockets.open === 0, 'the socket closed')
  })

  test('[fault 22] an event counts as applied when the next one is asked for', async () => {
    fill(3)
    const store = createMemoryStore()
    const own = client({ store })
    for await (const event of own.events('s')) if (event.header.seq === 2) break
    await until(() => server.sockets.open === 0, 'closed')
    expect(await store.get('holdfast:cursor:tab-1:s')).not.toBe('Efake0001.2')
  })

  test('[SEQ-14] a gap that nobody takes is thrown, with a handler it is not', async () => {
    fill(5)
    const session = server.log.sessions.get('s')
    if (session) session.floor = 2
    const own = client()
    await expect(own.events('s').next()).rejects.toMatchObject({ reason: 'discontinuity', details: { type: 'gap' } })
    const gaps: number[] = []
    const events = own.events('s', { onGap: gap => void gaps.push(gap.to_seq) })
    expect((await events.next()).value?.header.seq).toBe(3)
    expect(gaps).toEqual([2])
    await events.return()
  })

  test('[CLI-01] a final refusal is thrown', async () => {
    await expect(client().events('nowhere').next()).rejects.toMatchObject({ code: 'not_found' })
  })
})
