import { DEFAULT_LIMITS } from '@holdfast/protocol'
import { createGate, isSettled, principalOf, settle, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { StoreError } from './index.ts'

const admin = principalOf('a')
const message = (content: string, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content, ...extra })

async function withRun(options: Parameters<typeof startEngine>[0] = {}, id = 's'): Promise<TestEngine> {
  const started = await startEngine(options)
  await started.engine.createSession(admin, { session_id: id, session_name: id })
  return started
}

describe('appending', () => {
  it('[SEQ-01] [SEQ-02] every session counts from 1, without holes, whatever happens in others', async () => {
    const { engine } = await withRun()
    await engine.createSession(admin, { session_id: 't', session_name: 't' })
    await Promise.all(Array.from({ length: 60 }, (_, index) => engine.appendEvents(admin, index % 3 === 0 ? 't' : 's', [message(`${index}`)])))
    expect((await take(await engine.attach(admin, 's'))).seqs).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
    expect((await take(await engine.attach(admin, 't'))).seqs).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  })

  it('appends go on in the order of their calls, with ids and without', async () => {
    const { engine } = await withRun()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => engine.appendEvents(admin, 's', [message('m', index % 2 === 0 ? {} : { id: `i${index}` })])),
    )
    expect(answers.map(answer => answer.lastSeq)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  })

  it('appends of one session go to the store without waiting for each other, so that one sync serves many', async () => {
    const gate = createGate()
    let commits = 0
    const { engine } = await withRun({
      faults: { beforeCommit: commit => (commit.appends?.[0]?.sessionId === 's' ? gate.pass() : undefined) },
      wrapStore: store => ({
        ...store,
        commit(commit) {
          commits++
          return store.commit(commit)
        },
      }),
    })
    commits = 0
    const appended = Promise.all(
      Array.from({ length: 10 }, (_, index) => engine.appendEvents(admin, 's', [message('m', index % 2 === 0 ? {} : { id: `i${index}` })])),
    )
    await gate.reached
    await settle()
    expect(commits).toBe(10)
    gate.open()
    expect((await appended).map(answer => answer.lastSeq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('[SEQ-06] what was seen live and what a replay gives are the same bytes, from memory and from the store', async () => {
    const started = await withRun({ tailBytes: { perLog: 500, total: 500 } })
    const live = await started.engine.attach(admin, 's')
    const seen: string[] = []
    for (let index = 0; index < 30; index++) {
      started.clock.advance(7)
      await started.engine.appendEvents(admin, 's', [message(`grüße ${index} \u2028 🎈`)], { clientId: 'c', traceId: 't' })
      seen.push(...(await take(live)).texts)
    }
    expect((await take(await started.engine.attach(admin, 's'), 700)).texts).toEqual(seen)
    const { engine } = await started.restart()
    expect((await take(await engine.attach(admin, 's'))).texts).toEqual(seen)
    expect(seen).toHaveLength(30)
  })

  it('[SEQ-10] [SEQ-13] a seq of the caller is refused, and an id of another session', async () => {
    const { engine } = await withRun()
    await expect(engine.appendEvents(admin, 's', [message('a', { seq: 3 })])).rejects.toMatchObject({ code: 'invalid_request', details: { field: 'seq' } })
    await expect(engine.appendEvents(admin, 's', [message('a', { header: { seq: 3 } })])).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(engine.appendEvents(admin, 's', [message('a', { session_id: 't' })])).rejects.toMatchObject({ code: 'id_mismatch' })
    expect((await engine.getSession(admin, 's')).head_seq).toBe(0)
  })

  it('[RUN-05] a batch is all or nothing: one bad item, and none is stored', async () => {
    const { engine } = await withRun({ limits: { ...DEFAULT_LIMITS, event_bytes: 1000, batch_events: 5 } })
    await expect(engine.appendEvents(admin, 's', [message('a'), { event_type: 'Bad Type' }])).rejects.toMatchObject({
      code: 'invalid_request',
      details: { index: 1 },
    })
    await expect(engine.appendEvents(admin, 's', [message('a', { id: '1' }), message('x'.repeat(2000), { id: '2' })])).rejects.toMatchObject({
      code: 'too_large',
      details: { index: 1 },
    })
    await expect(engine.appendEvents(admin, 's', [message('a', { id: 'x' }), message('b', { id: 'x' })])).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(engine.appendEvents(admin, 's', [])).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(engine.appendEvents(admin, 's', Array(6).fill(message('a')))).rejects.toMatchObject({ code: 'too_large', details: { limit: 'batch_events' } })
    expect(await engine.appendEvents(admin, 's', [message('a', { id: '1' })])).toMatchObject({ firstSeq: 1, duplicate: false })
  })

  it('[SEQ-18] in a batch, known items are skipped, others appended, and the answer spans them all', async () => {
    const { engine } = await withRun()
    await engine.appendEvents(admin, 's', [message('a', { id: 'a' }), message('b', { id: 'b' })])
    const mixed = await engine.appendEvents(admin, 's', [message('c', { id: 'c' }), message('a', { id: 'a' }), message('plain')])
    expect(mixed).toMatchObject({
      firstSeq: 1,
      lastSeq: 4,
      duplicate: false,
      results: [
        { id: 'c', seq: 3, duplicate: false },
        { id: 'a', seq: 1, duplicate: true },
        { seq: 4, duplicate: false },
      ],
    })
    expect(await engine.appendEvents(admin, 's', [message('b', { id: 'b' }), message('c', { id: 'c' })])).toMatchObject({
      firstSeq: 2,
      lastSeq: 3,
      duplicate: true,
    })
    expect((await engine.getSession(admin, 's')).head_seq).toBe(4)
    await expect(engine.appendEvents(admin, 's', [message('new', { id: 'new' }), message('other', { id: 'a' })])).rejects.toMatchObject({
      code: 'conflict',
      details: { id: 'a', seq: 1 },
    })
    expect((await engine.getSession(admin, 's')).head_seq).toBe(4)
  })

  it('[fault 5] [fault 7] [SEQ-18] a retry after a lost ack, or after a restart, gets the first seq; the time stamp does not count', async () => {
    const started = await withRun()
    const first = message('a', { id: 'x', timestamp: 1 })
    expect(await started.engine.appendEvents(admin, 's', [first])).toMatchObject({ lastSeq: 1, duplicate: false })
    await started.engine.appendEvents(admin, 's', [message('b')])
    const again = { content: 'a', role: 'assistant', event_type: 'message', timestamp: 2, id: 'x' }
    expect(await started.engine.appendEvents(admin, 's', [again])).toMatchObject({
      lastSeq: 1,
      duplicate: true,
      results: [{ id: 'x', seq: 1, duplicate: true }],
    })
    const { engine } = await started.restart()
    expect(await engine.appendEvents(admin, 's', [first])).toMatchObject({ lastSeq: 1, duplicate: true })
    expect(await engine.appendEvents(admin, 's', [message('c')])).toMatchObject({ lastSeq: 3 })
  })

  it('[fault 7] an id outlives its trimmed event for as long as ids are kept, and no longer', async () => {
    const { engine, clock } = await withRun({ retention: { run: { max_events: 2, max_bytes: null, max_age_ms: null } } })
    for (const id of ['a', 'b', 'c', 'd']) await engine.appendEvents(admin, 's', [message(id, { id })])
    await engine.sweep()
    expect((await engine.getSession(admin, 's')).floor_seq).toBe(2)
    clock.advance(DEFAULT_LIMITS.id_retention_ms)
    await engine.sweep()
    expect(await engine.appendEvents(admin, 's', [message('a', { id: 'a' })])).toMatchObject({ lastSeq: 1, duplicate: true })
    clock.advance(1)
    await engine.sweep()
    expect(await engine.appendEvents(admin, 's', [message('a', { id: 'a' })])).toMatchObject({ lastSeq: 5, duplicate: false })
    expect(await engine.appendEvents(admin, 's', [message('d', { id: 'd' })])).toMatchObject({ lastSeq: 4, duplicate: true })
  })

  it('[fault 6] a retry that comes while the first is in flight waits for it; where the first fails, it takes its place', async () => {
    const gate = createGate()
    let fails = false
    const { engine } = await withRun({
      faults: {
        async beforeCommit(commit) {
          if (!commit.ids?.length) return
          await gate.pass()
          if (!fails) return
          fails = false
          throw new StoreError('full', 'no room')
        },
      },
    })
    const first = engine.appendEvents(admin, 's', [message('a', { id: 'x' })])
    await gate.reached
    const second = engine.input(admin, 's', { type: 'session.append', id: 'i', payload: { events: [message('a', { id: 'x' })] } })
    const third = engine.appendEvents(admin, 's', [message('a', { id: 'x' })])
    expect(await isSettled(Promise.race([first, second, third]))).toBe(false)
    fails = true
    gate.open()
    await expect(first).rejects.toMatchObject({ code: 'storage_failed' })
    expect([(await second).seq, (await third).lastSeq]).toEqual([1, 1])
    expect([(await second).duplicate, (await third).duplicate].sort()).toEqual([false, true])
    expect((await engine.getSession(admin, 's')).head_seq).toBe(1)
  })

  it('[fault 34] two clients choose the same id for different messages: both are stored', async () => {
    const { engine } = await withRun()
    const answers = await Promise.all([
      engine.appendEvents(admin, 's', [message('of a', { id: '1' })], { clientId: 'a' }),
      engine.appendEvents(admin, 's', [message('of b', { id: '1' })], { clientId: 'b' }),
      engine.appendEvents(admin, 's', [message('of nobody', { id: '1' })]),
    ])
    expect(answers.map(answer => answer.lastSeq).sort()).toEqual([1, 2, 3])
    expect(answers.every(answer => !answer.duplicate)).toBe(true)
  })

  it('[fault 24] ids given by the server are unique, and senders that choose theirs get one event each, under many concurrent sends', async () => {
    const total = Number(process.env.HOLDFAST_IDS ?? 100_000)
    const { engine } = await withRun()
    for (let sent = 0; sent < total; sent += 10_000) {
      const count = Math.min(10_000, total - sent)
      await Promise.all(
        Array.from({ length: count / 100 }, (_, call) =>
          engine.appendEvents(
            admin,
            's',
            Array.from({ length: 100 }, (_, index) => (call % 2 === 0 ? message('m') : message('m', { id: `c-${sent}-${call}-${index}` }))),
          ),
        ),
      )
    }
    const ids = new Set<string>()
    const attachment = await engine.attach(admin, 's')
    let seq = 0
    for (let delivery = await attachment.pull(65_536); delivery; delivery = await attachment.pull(65_536)) {
      if (delivery.type !== 'events') continue
      expect(delivery.chunk.firstSeq).toBe(seq + 1)
      seq = delivery.chunk.lastSeq
      for (const match of new TextDecoder().decode(delivery.chunk.body).matchAll(/"header":\{"id":"([^"]+)"/g)) ids.add(match[1] as string)
    }
    expect(seq).toBe(total)
    expect(ids.size).toBe(total)
  }, 120_000)

  it('[fault 25] [SEQ-05] what is appended while nobody is attached is in the log', async () => {
    const { engine } = await withRun()
    await engine.appendEvents(admin, 's', [message('alone')])
    expect((await take(await engine.attach(admin, 's'))).types).toEqual(['protocol.hello', 'run.message', 'protocol.caught_up'])
  })

  it('[SEQ-05] nothing is acked or shown before the store has it', async () => {
    const gate = createGate()
    const { engine } = await withRun({
      faults: { beforeCommit: commit => (commit.appends?.some(append => append.sessionId === 's') ? gate.pass() : undefined) },
    })
    const reader = await engine.attach(admin, 's')
    await take(reader)
    const appended = engine.appendEvents(admin, 's', [message('a')])
    await gate.reached
    expect(await isSettled(appended)).toBe(false)
    expect((await take(reader)).types).toEqual([])
    expect((await take(await engine.attach(admin, 's'))).controls[0]?.payload.head_seq).toBe(0)
    expect((await engine.getSession(admin, 's')).head_seq).toBe(0)
    gate.open()
    expect((await appended).lastSeq).toBe(1)
    expect((await take(reader)).seqs).toEqual([1])
  })

  it('[RUN-13] a reader that takes nothing delays no writer', async () => {
    const { engine } = await withRun()
    const stuck = await engine.attach(admin, 's', { windowBytes: 10 })
    for (let index = 0; index < 200; index++) await engine.appendEvents(admin, 's', [message('m')])
    expect((await engine.getSession(admin, 's')).head_seq).toBe(200)
    expect((await take(stuck)).seqs).toEqual([1])
  })

  it('[SEQ-18] Idempotency-Key: the same key and body is one batch, another body is a conflict; concurrently, too', async () => {
    const { engine } = await withRun()
    const items = [message('a'), message('b')]
    const answers = await Promise.all(Array.from({ length: 5 }, () => engine.appendEvents(admin, 's', items, { idempotencyKey: 'k' })))
    expect(answers.filter(answer => !answer.duplicate)).toEqual([{ firstSeq: 1, lastSeq: 2, duplicate: false }])
    expect(answers.every(answer => answer.firstSeq === 1 && answer.lastSeq === 2)).toBe(true)
    await expect(engine.appendEvents(admin, 's', [message('a')], { idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'conflict' })
    expect(await engine.appendEvents(principalOf('b'), 's', items, { idempotencyKey: 'k' })).toMatchObject({ firstSeq: 3, duplicate: false })
    // With a key, ids of items are not looked at: the same id twice is two events, in the answer as in the log.
    const twice = [message('a', { id: 'x' }), message('a', { id: 'x' })]
    expect(await engine.appendEvents(admin, 's', twice, { idempotencyKey: 'k2' })).toMatchObject({ firstSeq: 5, lastSeq: 6, results: [{ seq: 5 }, { seq: 6 }] })
    expect(await engine.appendEvents(admin, 's', twice, { idempotencyKey: 'k2' })).toMatchObject({
      duplicate: true,
      results: [
        { seq: 5, duplicate: true },
        { seq: 6, duplicate: true },
      ],
    })
  })

  it('[SEQ-18] an id that the store answers about late still stands for one event', async () => {
    let gate = createGate()
    let looks = 0
    const { engine } = await withRun({
      wrapStore: store => ({
        ...store,
        async findIds(keys) {
          const rows = await store.findIds(keys)
          if (keys[0]?.id === 'x' && looks++ === 0) await gate.pass()
          return rows
        },
      }),
    })
    for (const send of [
      () => engine.appendEvents(admin, 's', [message('a', { id: 'x' })]),
      () => engine.appendEvents(admin, 's', [message('a')], { idempotencyKey: 'x' }),
      () => engine.input(admin, 's', { type: 'session.rename', id: 'x', payload: { session_name: 'n' } }),
    ]) {
      looks = 0
      gate = createGate()
      const slow = send()
      const quick = send()
      await settle()
      gate.open()
      expect([await slow, await quick].map(answer => answer.duplicate).sort()).toEqual([false, true])
    }
    expect((await engine.getSession(admin, 's')).head_seq).toBe(2)
  })

  it('[SEQ-18] inputs are performed once per id, and conflict with another body', async () => {
    const started = await withRun()
    const rename = (name: string, clientId?: string) =>
      started.engine.input(admin, 's', { type: 'session.rename', id: '1', payload: { session_name: name }, ...(clientId ? { clientId } : {}) })
    expect(await rename('one')).toEqual({ id: '1', seq: null, duplicate: false })
    expect(await rename('one')).toEqual({ id: '1', seq: null, duplicate: true })
    await expect(rename('two')).rejects.toMatchObject({ code: 'conflict' })
    expect(await rename('two', 'c')).toMatchObject({ duplicate: false })
    expect((await started.engine.getSession(admin, 's')).session_name).toBe('two')
    const { engine } = await started.restart()
    const append = () => engine.input(admin, 's', { type: 'session.append', id: '2', payload: { events: [message('a'), message('b')] } })
    expect(await append()).toMatchObject({ firstSeq: 1, seq: 2, duplicate: false })
    expect(await append()).toMatchObject({ firstSeq: 1, seq: 2, duplicate: true })
    expect(await engine.input(admin, 's', { type: 'session.end', id: '3', payload: {} })).toMatchObject({ seq: 3, duplicate: false })
    expect(await engine.input(admin, 's', { type: 'session.end', id: '3', payload: {} })).toMatchObject({ seq: 3, duplicate: true })
    expect(await engine.input(admin, 's', { type: 'session.end', id: '4', payload: {} })).toMatchObject({ seq: null, duplicate: false })
    await expect(engine.input(admin, 's', { type: 'chat.send', payload: { text: 'x' } })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('an event that was acked before the end of a closed session is a duplicate after it, a new one is refused', async () => {
    const { engine } = await startEngine()
    await engine.createSession(admin, { session_id: 'u', kind: 'ui' })
    const add = (id: string) => engine.appendEvents(admin, 'u', [{ type: 'counter.add', id, payload: { n: 1 } }])
    await add('1')
    await engine.endSession(admin, 'u')
    expect(await add('1')).toMatchObject({ lastSeq: 1, duplicate: true })
    await expect(add('2')).rejects.toMatchObject({ code: 'session_ended' })
    const racing = await startEngine()
    await racing.engine.createSession(admin, { session_id: 'u', kind: 'ui' })
    const [, late] = await Promise.allSettled([
      racing.engine.endSession(admin, 'u'),
      racing.engine.appendEvents(admin, 'u', [{ type: 'counter.add', payload: { n: 1 } }]),
    ])
    const { types } = await take(await racing.engine.attach(admin, 'u'))
    expect(types.indexOf('session.ended')).toBeGreaterThan(types.indexOf('counter.add'))
    expect(late?.status === 'rejected' || types.includes('counter.add')).toBe(true)
  })
})
