import { afterEach, describe, expect, test } from 'vitest'
import { message, startTestServer, type TestServer, textsFromPage } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
const start = async (options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> => {
  server = await startTestServer(options)
  return server
}
afterEach(async () => server?.stop())

interface Reading {
  /** What came so far, as it came. */
  texts(): readonly string[]
  /** Resolves once it has caught up. */
  readonly caughtUp: Promise<unknown>
  readonly resume: Promise<string>
  stop(): void
}

const TRANSPORTS = ['ws json', 'ws binary', 'sse', 'poll'] as const
type Transport = (typeof TRANSPORTS)[number]

/** The same attachment over each transport. */
async function read(transport: Transport, session: string, cursor: string | number | undefined): Promise<Reading> {
  if (transport === 'poll') return polling(session, cursor)
  if (transport === 'sse') {
    const stream = await server.stream(`/sessions/${session}/events`, cursor === undefined ? {} : { 'last-event-id': String(cursor) })
    return {
      texts: () => stream.texts(),
      caughtUp: stream.next('caught_up', record => record.message.type === 'protocol.caught_up'),
      resume: stream.next('hello', record => record.message.type === 'protocol.hello').then(record => record.message.payload.resume as string),
      stop: () => stream.close(),
    }
  }
  const client = server.socket('/ws', { protocol: transport === 'ws json' ? 'holdfast.v1+json' : 'holdfast.v1+binary' })
  client.send('protocol.resume', { session_id: session }, cursor === undefined ? {} : { last_seen_seq: cursor })
  return {
    texts: () => client.texts(session),
    caughtUp: client.next('caught_up', ({ type }) => type === 'protocol.caught_up'),
    resume: client.next('hello', ({ type }) => type === 'protocol.hello').then(({ payload }) => payload.resume as string),
    stop: () => client.socket.terminate(),
  }
}

function polling(session: string, cursor: string | number | undefined): Reading {
  const texts: string[] = []
  const stopper = new AbortController()
  let caughtUp: () => void = () => undefined
  let resumed: (resume: string) => void = () => undefined
  const done = new Promise<void>(resolve => {
    caughtUp = resolve
  })
  const resume = new Promise<string>(resolve => {
    resumed = resolve
  })
  const loop = async (): Promise<void> => {
    for (let after = String(cursor ?? 0), first = true; !stopper.signal.aborted; first = false) {
      const response = await fetch(`${server.url}/sessions/${session}/events?after=${after}&wait=${first ? 0 : 5000}&limit=7`, { signal: stopper.signal })
      const text = await response.text()
      const page = JSON.parse(text) as { next_cursor: string; has_more: boolean; resume: string }
      resumed(page.resume)
      texts.push(...textsFromPage(text))
      after = page.next_cursor
      if (!page.has_more) caughtUp()
    }
  }
  loop().catch(() => undefined)
  return { texts: () => texts, caughtUp: done, resume, stop: () => stopper.abort() }
}

const seqsOf = (texts: readonly string[]): number[] => texts.map(text => (JSON.parse(text) as { header: { seq: number } }).header.seq)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe.each(TRANSPORTS)('%s', transport => {
  test('[SEQ-03] a resume while others append gives every event after the cursor once, in order, and goes on live', async () => {
    await start()
    await server.run('s', 100)
    let stop = false
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; !stop && n < 200; n++) await server.append('s', message(`${writer}-${n}`))
    })
    const readings = await Promise.all([0, 1, 50, 99, 100].map(async cursor => ({ cursor, reading: await read(transport, 's', cursor) })))
    await Promise.all(readings.map(({ reading }) => reading.caughtUp))
    stop = true
    await Promise.all(writers)
    const log = await server.log('s')
    for (const { cursor, reading } of readings) {
      await until(`all after ${cursor}`, () => reading.texts().length >= log.length - cursor)
      expect(seqsOf(reading.texts())).toEqual(range(cursor + 1, log.length))
      expect(reading.texts()).toEqual(log.slice(cursor))
      reading.stop()
    }
  })

  test('[SEQ-06] bytes seen live are the bytes of a replay and of the log', async () => {
    await start()
    await server.run('s')
    const live = await read(transport, 's', 0)
    await live.caughtUp
    const odd = ['plain', '"quotes" \\ and \u0000\u001f\u2028', '😀 \ud83d\ude00 é', ' ', 'x'.repeat(70_000)]
    for (const text of odd) await server.append('s', message(text))
    await server.append('s', '', {
      raw: '{"event_type":"n","n":[9223372036854775807,-9223372036854775808,18446744073709551615,1e400,0.1000000000000000055],"u":"\\ud800 \\u00e9"}',
    })
    await server.append(
      's',
      Array.from({ length: 300 }, (_, n) => message(`b${n}`)),
    )
    await until('all live', () => live.texts().length === 306)
    const replay = await read(transport, 's', 0)
    await until('all replayed', () => replay.texts().length === 306)
    expect(replay.texts()).toEqual(live.texts())
    expect(await server.log('s')).toEqual(live.texts())
    expect(live.texts()[5]).toContain('[9223372036854775807,-9223372036854775808,18446744073709551615,1e400,0.1000000000000000055],"u":"\\ud800 é"')
    live.stop()
    replay.stop()
  })

  test('[fault 8] a reader that has seen nothing (0, epoch.0) gets everything from the start', async () => {
    await start()
    await server.run('s', 5)
    for (const cursor of [0, '0', `${server.store.epoch}.0`]) {
      const reading = await read(transport, 's', cursor)
      await reading.caughtUp
      expect(seqsOf(reading.texts())).toEqual([1, 2, 3, 4, 5])
      expect(await reading.resume).toBe('new')
      reading.stop()
    }
  })

  test('[fault 9] cursors at head, past head and of another epoch have the answers of the contract', async () => {
    await start()
    await server.run('s', 5)
    const cases = [
      [4, 'ok', [5]],
      [5, 'ok', []],
      [6, 'reset', [1, 2, 3, 4, 5]],
      [Number.MAX_SAFE_INTEGER, 'reset', [1, 2, 3, 4, 5]],
      ['other.3', 'reset', [1, 2, 3, 4, 5]],
    ] as const
    for (const [cursor, resume, seqs] of cases) {
      const reading = await read(transport, 's', cursor)
      expect([cursor, await reading.resume]).toEqual([cursor, resume])
      await reading.caughtUp
      expect(seqsOf(reading.texts())).toEqual(seqs)
      reading.stop()
    }
  })
})

const BROKEN = ['-1', '1.5', 'abc', '9007199254740992', '99999999999999999', ' 1', '1e3', '0x1', `${'a'.repeat(40)}.1`, 'ab.1', '.1', '1.', 'abcd.']
test.each(BROKEN)('[fault 9] the cursor %j is invalid_cursor on every transport', async cursor => {
  await start()
  await server.run('s', 1)
  const poll = await server.call('GET', `/sessions/s/events?after=${encodeURIComponent(cursor)}`)
  expect([poll.status, poll.body.error.code]).toEqual([400, 'invalid_cursor'])
  const stream = await server.stream('/sessions/s/events', { 'last-event-id': cursor })
  // A header's value has no spaces around it.
  expect(stream.status).toBe(cursor === ' 1' ? 200 : 400)
  const client = server.socket('/ws')
  const error = await client.ask('protocol.resume', { session_id: 's' }, { last_seen_seq: cursor })
  expect([error.type, error.payload.code]).toEqual(['protocol.error', 'invalid_cursor'])
  expect((await client.ask('protocol.ping')).type).toBe('protocol.pong')
  expect((await server.socket(`/ws?session_id=s&cursor=${encodeURIComponent(cursor)}`).closed).code).toBe(4400)
})

test.each([-1, 1.5, 2 ** 53, null, [1], { seq: 1 }, true])('[fault 9] last_seen_seq %j in a frame is invalid_cursor, null is none', async cursor => {
  await start()
  await server.run('s', 2)
  const answer = await server.socket('/ws').ask('protocol.resume', { session_id: 's' }, { last_seen_seq: cursor })
  expect(cursor === null ? [answer.type, answer.payload.resume] : [answer.type, answer.payload.code]).toEqual(
    cursor === null ? ['protocol.hello', 'new'] : ['protocol.error', 'invalid_cursor'],
  )
})

test('[fault 9] an empty Last-Event-ID counts as none', async () => {
  await start()
  await server.run('s', 2)
  const stream = await server.stream('/sessions/s/events', { 'last-event-id': '' })
  await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  expect(stream.texts()).toHaveLength(2)
})

test('[fault 10] trimmed history: floor-1 and 0 are a gap, floor and above are ok, on every transport', async () => {
  await start({ env: { RETENTION_RUN_MAX_EVENTS: '10', TIMES_SWEEP_MS: '100' } })
  await server.run('s', 30)
  await until('the trim', async () => (await server.call('GET', '/sessions/s')).body.session.floor_seq === 20)
  for (const transport of TRANSPORTS)
    for (const [cursor, resume, from] of [
      [0, 'gap', 21],
      [19, 'gap', 21],
      [20, 'ok', 21],
      [21, 'ok', 22],
    ] as const) {
      const reading = await read(transport, 's', cursor)
      await reading.caughtUp
      expect([transport, cursor, await reading.resume]).toEqual([transport, cursor, resume])
      expect(seqsOf(reading.texts())).toEqual(range(from, 30))
      reading.stop()
    }
  const page = await server.call('GET', '/sessions/s/events?after=7')
  expect(page.body.gap).toEqual({ from_seq: 8, to_seq: 20, reason: 'trimmed' })
})

test('[SEQ-04] one cursor means the same on every transport', async () => {
  await start()
  await server.run('s', 40)
  const log = await server.log('s')
  for (const seq of [0, 1, 17, 39, 40]) {
    for (const cursor of [String(seq), `${server.store.epoch}.${seq}`])
      for (const transport of TRANSPORTS) {
        const reading = await read(transport, 's', cursor)
        await reading.caughtUp
        expect(reading.texts()).toEqual(log.slice(seq))
        reading.stop()
      }
  }
})

test('[SEQ-08] connections that name no session share nothing and see nothing', async () => {
  await start()
  const [a, b] = [server.socket('/ws'), server.socket('/ws')]
  await a.ask('protocol.ping')
  await b.ask('protocol.ping')
  await server.run('s', 3)
  const input = await a.ask('session.append', {}, { events: [message('x')] })
  expect([input.type, input.payload.code]).toEqual(['protocol.error', 'invalid_request'])
  const unknown = await a.ask('session.append', { session_id: 'never-made' }, { events: [message('x')] })
  expect(unknown.payload.code).toBe('not_found')
  expect((await server.call('GET', '/sessions/never-made')).status).toBe(404)
  await a.ask('protocol.resume', { session_id: 's' })
  await a.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  expect(a.seqs('s')).toEqual([1, 2, 3])
  await b.ask('protocol.ping')
  expect(b.messages.map(({ type }) => type)).toEqual(['protocol.pong', 'protocol.pong'])
})

test('[SEQ-17] nothing but appended events takes a seq: pings, heartbeats, acks, errors and attaches leave the log as it was', async () => {
  await start({ env: { TIMES_HEARTBEAT_MS: '100', TIMES_SILENCE_MS: '5000' } })
  await server.run('s', 1)
  const client = server.socket('/ws?session_id=s')
  await client.ask('protocol.ping')
  await client.ask('nonsense', { session_id: 's' })
  await client.ask('session.rename', { session_id: 's' }, { session_name: 'other' })
  await client.next('a heartbeat', ({ type }) => type === 'protocol.heartbeat')
  await client.ask('protocol.detach', { session_id: 's' })
  expect((await server.call('GET', '/sessions/s')).body.session.head_seq).toBe(1)
  await server.append('s', message('next'))
  expect((await server.log('s')).length).toBe(2)
})

test('[SEQ-18] [fault 5] [fault 6] one id sent over WebSocket and HTTP, at once and again, is one event with one seq', async () => {
  await start()
  await server.run('s')
  const client = server.socket('/ws?client_id=c1')
  const item = { id: 'same', ...message('hello') }
  const over = await Promise.all([
    client.ask('session.append', { id: 'in-1', session_id: 's' }, { events: [item] }),
    server.call('POST', '/sessions/s/events?client_id=c1', item),
    server.call('POST', '/sessions/s/inputs', { type: 'session.append', id: 'in-2', client_id: 'c1', payload: { events: [item] } }),
    server.call('POST', '/sessions/s/events?client_id=c1', [item]),
  ])
  const seqs = [over[0].payload.seq, over[1].body.last_seq, over[2].body.seq, over[3].body.last_seq]
  expect(seqs).toEqual([1, 1, 1, 1])
  expect([over[0].payload.duplicate, over[1].body.duplicate, over[2].body.duplicate, over[3].body.duplicate].filter(duplicate => !duplicate)).toHaveLength(1)
  expect(await server.log('s')).toHaveLength(1)
  // An input's own id, over each way, too.
  const input = { type: 'session.append', payload: { events: [message('two')] } }
  const first = await client.ask(input.type, { id: 'in-3', session_id: 's' }, input.payload)
  const again = await server.call('POST', '/sessions/s/inputs', { ...input, id: 'in-3', client_id: 'c1' })
  expect([first.payload.seq, first.payload.duplicate, again.body.seq, again.body.duplicate, again.status]).toEqual([2, false, 2, true, 202])
  const other = await server.call('POST', '/sessions/s/inputs', {
    type: 'session.append',
    id: 'in-3',
    client_id: 'c1',
    payload: { events: [message('another')] },
  })
  expect([other.status, other.body.error.code]).toEqual([409, 'conflict'])
})

test('[fault 34] two clients that choose one id for different messages both have theirs stored', async () => {
  await start()
  await server.run('s')
  const [a, b] = [server.socket('/ws?client_id=a'), server.socket('/ws?client_id=b')]
  const answers = await Promise.all(
    [a, b].map((client, n) => client.ask('session.append', { id: 'one', session_id: 's' }, { events: [{ id: 'i', ...message(`from ${n}`) }] })),
  )
  expect(answers.map(({ type }) => type)).toEqual(['protocol.ack', 'protocol.ack'])
  expect(await server.log('s')).toHaveLength(2)
})

test('[SEQ-10] two ids that differ are a typed error wherever they stand', async () => {
  await start()
  await server.run('a', 1)
  await server.run('b', 1)
  const mismatch = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<void> => {
    const answer = await server.call(method, path, body, { headers })
    expect([path, answer.status, answer.body.error.code]).toEqual([path, 400, 'id_mismatch'])
  }
  await mismatch('GET', '/sessions/a/events?session_id=b')
  await mismatch('GET', '/sessions/a?session_id=b')
  await mismatch('GET', '/sessions/a', undefined, { 'x-session-id': 'b' })
  await mismatch('GET', '/events/a?session_id=b')
  await mismatch('POST', '/sessions/a/events', message('x', { session_id: 'b' }))
  await mismatch('POST', '/sessions/a/events', [message('x'), message('y', { session_id: 'b' })])
  await mismatch('POST', '/sessions/a/events?session_id=b', message('x'))
  await mismatch('POST', '/sessions/a/inputs', { type: 'session.append', session_id: 'b', payload: { events: [message('x')] } })
  await mismatch('POST', '/sessions?session_id=x', { session_id: 'y', session_name: 'y' })
  await mismatch('POST', '/sessions?session_id=x', { session_name: 'y' })
  await mismatch('POST', '/events?session_id=b', message('x', { session_id: 'a' }))
  await mismatch('POST', '/events', message('x', { session_id: 'a' }), { 'x-session-id': 'b' })
  const stream = await server.stream('/sessions/a/events?session_id=b')
  await until('a body', () => stream.body !== '')
  expect([stream.status, JSON.parse(stream.body).error.code]).toEqual([400, 'id_mismatch'])
  const client = server.socket('/ws?client_id=me')
  const codes = [
    await client.ask('protocol.resume', { session_id: 'a' }, { session_id: 'b' }),
    await client.ask('session.append', { session_id: 'a' }, { session_id: 'b', events: [message('x')] }),
    await client.ask('session.append', { session_id: 'a', client_id: 'you' }, { events: [message('x')] }),
    await client.ask('protocol.resume', { session_id: 'a' }, { last_seen_seq: 'abcd.1', epoch: 'efgh' }),
  ].map(({ payload }) => payload.code)
  expect(codes).toEqual(['id_mismatch', 'id_mismatch', 'id_mismatch', 'id_mismatch'])
  expect((await server.call('GET', '/sessions/a/events?after=0&cursor=1')).status).toBe(400)
  expect((await server.call('GET', '/sessions/a/events?after=0&after=1')).status).toBe(400)
  expect((await server.socket('/ws?session_id=a&session_id=b').closed).code).toBe(4400)
  expect((await server.socket('/ws?session_id=a&cursor=0&last_seen_seq=1').closed).code).toBe(4400)
  expect([await server.log('a'), await server.log('b')].map(log => log.length)).toEqual([1, 1])
})

test('[SEQ-11] an id that the server gave is announced in hello, on every transport, and stays', async () => {
  await start()
  const made = await server.call('POST', '/sessions', { session_name: 'n' })
  const id = made.body.session.session_id as string
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
  const hello = await server.socket(`/ws?session_id=${id}`).next('hello', ({ type }) => type === 'protocol.hello')
  expect((hello.payload.session as { session_id: string }).session_id).toBe(id)
  expect(hello.payload).toMatchObject({ resume: 'new', reconnected: false, head_seq: 0, floor_seq: 0, role: null, epoch: server.store.epoch })
  const stream = await server.stream(`/sessions/${id}/events`)
  const first = await stream.next('hello', () => true)
  expect([first.message.type, first.event, first.id]).toEqual(['protocol.hello', 'control', undefined])
})

test('[fault 21] a reader that got no event reconnects with the id of caught_up and misses nothing', async () => {
  await start()
  await server.run('s', 3)
  const first = await server.stream(`/sessions/s/events?cursor=${server.store.epoch}.3`)
  const caughtUp = await first.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
  expect(caughtUp.id).toBe(`${server.store.epoch}.3`)
  expect(first.texts()).toEqual([])
  first.close()
  await server.append('s', message('meanwhile'))
  // The URL still holds the old cursor; the header wins.
  const second = await server.stream('/sessions/s/events?cursor=0', { 'last-event-id': caughtUp.id as string })
  await second.next('the event', ({ message: { header } }) => header.seq === 4)
  expect(seqsOf(second.texts())).toEqual([4])
})
