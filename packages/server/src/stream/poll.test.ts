import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StoreError } from '@holdfast/core'
import { type Answer, message, startTestServer, type TestServer, textsFromPage } from '../testing/start-test-server.ts'
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
const refused = (answer: Answer): [number, string] => [answer.status, answer.body?.error?.code]
const waiting = (count: number): Promise<unknown> =>
  until('the waits', async () => (await server.call('GET', '/metrics')).text.includes(`holdfast_connections{transport="poll"} ${count}\n`))

describe('parameters', () => {
  test.each([
    'limit=0',
    'limit=1001',
    'limit=-1',
    'limit=1.5',
    'limit=',
    'limit=x',
    'limit=1e2',
    'limit=99999999999999999',
    'wait=-1',
    'wait=x',
    'wait=1.5',
    'mode=fast',
    'mode=',
    'before=0',
    'before=-1',
    'before=x',
    'before=1.5',
    'before=abcd.5',
    'before=3&after=1',
    'before=3&wait=1',
    'before=3&cursor=1',
    'before=3&last_seen_seq=1',
    'before=3&limit=0',
    'before=3&mode=fast',
    'client_id=-',
    'client_id=',
    'on_missing=maybe',
    'window_bytes=0',
    'after=1&cursor=2',
    'limit=1&limit=2',
  ])('%s is invalid_request', async query => {
    await server.run('s', 3)
    expect(refused(await server.call('GET', `/sessions/s/events?${query}`))).toEqual([400, 'invalid_request'])
  })

  test.each([
    'limit=1',
    'limit=1000',
    'wait=0',
    'wait=9007199254740991&after=0',
    'after=0&cursor=0',
    'before=9007199254740991',
    'mode=snapshot',
    'mode=auto',
    'unknown=1',
    'limit=5&limit=5',
  ])('%s is fine', async query => {
    await server.run('s', 3)
    expect((await server.call('GET', `/sessions/s/events?${query}`)).status).toBe(200)
  })

  test.each(['limit=0', 'limit=1001', 'page=', 'page=x', 'page=1.', 'page=x.y', 'page=1.-', 'kind=room', 'status=gone'])(
    'a list of sessions with %s is invalid_request',
    async query => {
      expect(refused(await server.call('GET', `/sessions?${query}`))).toEqual([400, 'invalid_request'])
    },
  )

  test('[SEQ-08] unknown, deleted and others’ sessions are told apart as the contract says', async () => {
    await server.run('mine', 1)
    await server.run('theirs', 1, { token: server.adminToken })
    await server.call('DELETE', '/sessions/mine')
    expect(refused(await server.call('GET', '/sessions/none/events'))).toEqual([404, 'not_found'])
    expect(refused(await server.call('GET', '/sessions/theirs/events'))).toEqual([404, 'not_found'])
    expect(refused(await server.call('GET', '/sessions/mine/events'))).toEqual([410, 'session_deleted'])
    for (const id of ['none', 'theirs', 'mine', '%00', '-x', 'x'.repeat(200)])
      expect((await server.call('GET', `/sessions/${id}/status`)).body).toEqual({ status: 'not_existent', state: null })
    for (const id of ['-x', '%00', 'x'.repeat(200), 'a%2fb'])
      expect(refused(await server.call('GET', `/sessions/${id}/events`))).toEqual([400, 'invalid_request'])
  })
})

test('[RUN-07] pages tile the log, and say what is left', async () => {
  await server.run('s', 25)
  const first = await server.call('GET', '/sessions/s/events?limit=10')
  expect(first.body).toMatchObject({
    epoch: server.store.epoch,
    head_seq: 25,
    floor_seq: 0,
    next_after: 10,
    next_cursor: `${server.store.epoch}.10`,
    has_more: true,
    resume: 'new',
  })
  const last = await server.call('GET', '/sessions/s/events?after=20&limit=10')
  expect([last.body.events.length, last.body.has_more, last.body.next_after, last.body.resume]).toEqual([5, false, 25, 'ok'])
  const empty = await server.call('GET', '/sessions/s/events?after=25')
  expect([empty.body.events, empty.body.has_more, empty.body.next_cursor]).toEqual([[], false, `${server.store.epoch}.25`])
})

test('[RUN-07] a page holds at most 4 MiB, and one event at least', async () => {
  await server.run('s')
  for (let n = 0; n < 3; n++)
    await server.append(
      's',
      Array.from({ length: 15 }, () => message('x'.repeat(200_000))),
    )
  const page = await server.call('GET', '/sessions/s/events?limit=1000')
  expect(page.text.length).toBeLessThan(4 * 1024 * 1024 + 1000)
  expect([page.body.has_more, page.body.events.length]).toEqual([true, 20])
  const back = await server.call('GET', '/sessions/s/events?before=46&limit=1000')
  expect(back.text.length).toBeLessThan(4 * 1024 * 1024 + 1000)
  expect([back.body.events.at(-1).header.seq, back.body.has_more, back.body.prev_before]).toEqual([45, true, back.body.events[0].header.seq])
  expect((await server.log('s')).length).toBe(45)
})

test.each([1, 3, 7, 25, 1000])('[RUN-07] paging back with limit %d gives the bytes of paging forward', async limit => {
  await server.run('s', 25)
  const log = await server.log('s')
  const back: string[] = []
  for (let before = 26; ; ) {
    const page = await server.call('GET', `/sessions/s/events?before=${before}&limit=${limit}`)
    back.unshift(...textsFromPage(page.text))
    expect(page.body.head_seq).toBe(25)
    if (!page.body.has_more) break
    before = page.body.prev_before as number
  }
  expect(back).toEqual(log)
  expect((await server.call('GET', '/sessions/s/events?before=1')).body).toMatchObject({ events: [], has_more: false })
  expect((await server.call('GET', '/sessions/s/events?before=999&limit=2')).body.events.map(({ header }: { header: { seq: number } }) => header.seq)).toEqual([
    24, 25,
  ])
})

test('[SEQ-14] paging back ends at the floor', async () => {
  await restart({ env: { RETENTION_RUN_MAX_EVENTS: '10', TIMES_SWEEP_MS: '100' } })
  await server.run('s', 30)
  await until('the trim', async () => (await server.call('GET', '/sessions/s')).body.session.floor_seq === 20)
  const seqs = async (query: string): Promise<[number[], boolean]> => {
    const { body } = await server.call('GET', `/sessions/s/events?${query}`)
    return [body.events.map(({ header }: { header: { seq: number } }) => header.seq), body.has_more]
  }
  expect(await seqs('before=25&limit=2')).toEqual([[23, 24], true])
  expect(await seqs('before=25&limit=10')).toEqual([[21, 22, 23, 24], false])
  expect(await seqs('before=21')).toEqual([[], false])
  expect(await seqs('before=5')).toEqual([[], false])
})

describe('waiting', () => {
  test('[SEQ-04] a wait ends with the first event, each event once, however they race', async () => {
    await server.run('s')
    const texts: string[] = []
    let after = 0
    const reader = (async () => {
      while (after < 200) {
        const page = await server.call('GET', `/sessions/s/events?after=${after}&wait=20000`)
        texts.push(...textsFromPage(page.text))
        after = page.body.next_after as number
      }
    })()
    for (let n = 0; n < 200; n++) await server.append('s', message(`n${n}`))
    await reader
    expect(texts).toEqual(await server.log('s'))
  })

  test('[fault 1] a wait at the head is woken by the next event, again and again', async () => {
    await server.run('s')
    for (let n = 0; n < 10; n++) {
      const poll = server.call('GET', `/sessions/s/events?after=${n}&wait=20000`)
      await waiting(1)
      const start = performance.now()
      await server.append('s', message(`n${n}`))
      expect((await poll).body.next_after).toBe(n + 1)
      expect(performance.now() - start).toBeLessThan(5000)
    }
  })

  test('a wait ends empty after its time, and at once where there is something to say', async () => {
    await server.run('s', 1)
    const start = performance.now()
    const empty = await server.call('GET', '/sessions/s/events?after=1&wait=150')
    expect([empty.status, empty.body.events, empty.body.resume]).toEqual([200, [], 'ok'])
    expect(performance.now() - start).toBeGreaterThan(140)
    const reset = await server.call('GET', '/sessions/s/events?after=other.1&wait=30000')
    expect([reset.body.resume, reset.body.events.length]).toEqual(['reset', 1])
    await server.run('empty')
    expect((await server.call('GET', '/sessions/empty/events?after=other.0&wait=30000')).body.resume).toBe('reset')
    expect(performance.now() - start).toBeLessThan(5000)
  })

  test('a client that goes away gives its place back', async () => {
    await server.run('s', 1)
    const stoppers = Array.from({ length: 5 }, () => new AbortController())
    for (const { signal } of stoppers) fetch(`${server.url}/sessions/s/events?after=1&wait=30000`, { signal }).catch(() => undefined)
    await waiting(5)
    for (const stopper of stoppers) stopper.abort()
    await waiting(0)
  })

  test('[fault 4] a write that fails while it waits is told', async () => {
    let fails = false
    await restart({
      store: {
        beforeCommit: () => {
          if (fails) throw new StoreError('full', 'no room')
        },
      },
    })
    await server.run('s', 1)
    const poll = server.call('GET', '/sessions/s/events?after=1&wait=20000')
    const client = server.socket('/ws?session_id=s')
    await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
    const stream = await server.stream('/sessions/s/events')
    await stream.next('caught_up', ({ message: { type } }) => type === 'protocol.caught_up')
    await waiting(1)
    fails = true
    expect(refused(await server.append('s', message('lost')))).toEqual([503, 'storage_failed'])
    expect(refused(await poll)).toEqual([503, 'storage_failed'])
    await client.next('the error', ({ type, payload }) => type === 'protocol.error' && payload.code === 'storage_failed')
    await stream.next('the error', ({ message: { type, payload } }) => type === 'protocol.error' && payload.code === 'storage_failed')
    fails = false
    expect((await server.append('s', message('kept'))).body.first_seq).toBe(2)
    await client.next('the event', ({ header }) => header.seq === 2)
    await stream.next('the event', ({ message: { header } }) => header.seq === 2)
  })
})

test('the export is the log, a line each, and breaks where it cannot be whole', async () => {
  let damaged = false
  await restart({
    env: { TAIL_SESSION_BYTES: '0', TAIL_TOTAL_BYTES: '0' },
    store: {
      afterRead: (id, after) => {
        if (damaged && id === 's' && after > 0) throw new StoreError('damaged', 'bad checksum', { sessionId: 's' })
      },
    },
  })
  await server.run('s')
  for (let n = 0; n < 5; n++)
    await server.append(
      's',
      Array.from({ length: 10 }, () => message('x'.repeat(20_000))),
    )
  const whole = await server.call('GET', '/sessions/s/export?format=jsonl')
  expect(whole.text.trimEnd().split('\n')).toEqual(await server.log('s'))
  expect(refused(await server.call('GET', '/sessions/s/export?format=pdf'))).toEqual([400, 'invalid_request'])
  expect(refused(await server.call('GET', '/sessions/none/export'))).toEqual([404, 'not_found'])
  damaged = true
  await expect(server.call('GET', '/sessions/s/export')).rejects.toThrow()
})

test('[RUN-11] [RUN-15] the old endpoints create, resume, append and list, marked deprecated', async () => {
  const post = (body: object): Promise<Answer> => server.call('POST', '/events', body)
  expect(refused(await post({ session_id: 'o', event_type: 'message' }))).toEqual([404, 'not_found'])
  const started = await post({ session_id: 'o', event_type: 'session_start', session_name: 'old', project_dir: '/p' })
  expect([started.status, started.body.first_seq, started.headers.get('deprecation')]).toEqual([201, 1, 'true'])
  expect((await post({ session_id: 'o', event_type: 'message', role: 'assistant', content: 'hi' })).status).toBe(201)
  expect((await post({ session_id: 'o', event_type: 'session_stop', exit_code: 0 })).status).toBe(201)
  expect((await server.call('GET', '/sessions/o/status')).body).toEqual({ status: 'finished', state: 'ended' })
  expect((await post({ session_id: 'o', event_type: 'session_start' })).status).toBe(201)
  expect((await server.call('GET', '/sessions/o')).body.session).toMatchObject({ session_name: 'old', project_dir: '/p', status: 'running' })
  expect((await server.call('GET', '/sessions/o')).body.session.last_resumed_at).not.toBeNull()
  const list = await server.call('GET', '/events/o?after=1')
  expect([list.status, list.body.events.length, list.headers.get('deprecation')]).toEqual([200, 3, 'true'])
  expect(refused(await server.call('GET', '/events/none'))).toEqual([404, 'not_found'])
  for (const body of [{}, { session_id: 7, event_type: 'message' }, { session_id: '-', event_type: 'session_start' }])
    expect(refused(await post(body))).toEqual([400, 'invalid_request'])
})
