// Long: every call of a session's life on one engine.
import { DEFAULT_LIMITS } from '@holdfast/protocol'
import { createGate, principalOf, settle, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Engine, type Principal, StoreError } from './index.ts'

const admin = principalOf('admin')
const owner = principalOf('a', ['read', 'write', 'produce', 'exec'])
const message = (content: unknown, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content, ...extra })
const run = (id: string, extra: object = {}) => ({ session_id: id, session_name: id, ...extra })

async function withRuns(...ids: string[]): Promise<TestEngine> {
  const started = await startEngine()
  for (const id of ids) await started.engine.createSession(owner, run(id))
  return started
}
const feedOf = async (engine: Engine, principal: Principal = owner) =>
  (await take(await engine.attach(principal, '_feed'))).events.map(({ type, payload }) => {
    const { session, session_id: id } = payload as { session?: { session_id: string; state: string }; session_id?: string }
    return session ? `${type} ${session.session_id} ${session.state}` : `${type} ${id}`
  })

describe('creating', () => {
  it('[RUN-01] [SEQ-11] [SEQ-18] the same id and body is the same session, another body or owner a conflict, at once and after a restart', async () => {
    const started = await startEngine()
    const made = await Promise.all(Array.from({ length: 5 }, () => started.engine.createSession(owner, run('s', { metadata: { a: 1, b: 2 } }))))
    expect(made.filter(answer => answer.created)).toHaveLength(1)
    const { engine } = await started.restart()
    expect(await engine.createSession(owner, { metadata: { b: 2, a: 1 }, session_name: 's', session_id: 's' })).toMatchObject({
      created: false,
      session: { session_id: 's', head_seq: 0 },
    })
    await expect(engine.createSession(owner, run('s', { description: 'other' }))).rejects.toMatchObject({ code: 'conflict' })
    await expect(engine.createSession(principalOf('b'), run('s'))).rejects.toMatchObject({ code: 'conflict' })
    expect(await feedOf(engine)).toEqual(['session.created s running'])
  })

  it('[SEQ-11] without an id the server gives one; every creation is another session', async () => {
    const { engine } = await startEngine()
    const ids = await Promise.all([1, 2, 3].map(async () => (await engine.createSession(owner, { session_name: 'x' })).session.session_id))
    expect(new Set(ids).size).toBe(3)
    await expect(engine.createSession(owner, {})).rejects.toMatchObject({ code: 'invalid_request', details: { field: 'session_name' } })
    await expect(engine.createSession(owner, run('no such id!'))).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('[SEQ-18] Idempotency-Key: one session per key and principal, another body is a conflict, also where the key met a session that was there', async () => {
    const started = await startEngine()
    const { engine } = started
    const keyed = (body: object, who = owner) => engine.createSession(who, body, { idempotencyKey: 'k' })
    const made = await Promise.all([keyed({ session_name: 'x' }), keyed({ session_name: 'x' }), keyed({ session_name: 'x' })])
    expect(new Set(made.map(answer => answer.session.session_id)).size).toBe(1)
    expect(made.filter(answer => answer.created)).toHaveLength(1)
    await expect(keyed({ session_name: 'y' })).rejects.toMatchObject({ code: 'conflict' })
    expect((await keyed({ session_name: 'y' }, principalOf('b'))).created).toBe(true)
    const again = (await started.restart()).engine
    expect(await again.createSession(owner, { session_name: 'x' }, { idempotencyKey: 'k' })).toMatchObject({
      created: false,
      session: { session_id: made[0]?.session.session_id },
    })
    await again.createSession(owner, run('s'))
    expect(await again.createSession(owner, run('s'), { idempotencyKey: 'k2' })).toMatchObject({ created: false })
    await expect(again.createSession(owner, run('t'), { idempotencyKey: 'k2' })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('[SEQ-18] a key is forgotten once ids are no longer kept', async () => {
    const { engine, clock } = await startEngine()
    await engine.createSession(owner, { session_name: 'x' }, { idempotencyKey: 'k' })
    clock.advance(DEFAULT_LIMITS.id_retention_ms)
    await engine.sweep()
    expect(await engine.createSession(owner, { session_name: 'x' }, { idempotencyKey: 'k' })).toMatchObject({ created: false })
    clock.advance(1)
    await engine.sweep()
    expect(await engine.createSession(owner, { session_name: 'x' }, { idempotencyKey: 'k' })).toMatchObject({ created: true })
  })

  it('[OPS-03] a principal has so many sessions and no more, the feed not counted', async () => {
    const { engine } = await startEngine({ limits: { ...DEFAULT_LIMITS, sessions: 2 } })
    await engine.createSession(owner, run('1'))
    await engine.createSession(owner, run('2'))
    await expect(engine.createSession(owner, run('3'))).rejects.toMatchObject({ code: 'rate_limited', details: { limit: 'sessions' } })
    await engine.deleteSession(owner, '1', 'keep')
    expect((await engine.createSession(owner, run('3'))).created).toBe(true)
  })
})

describe('reading and changing', () => {
  it('[RUN-02] [RUN-03] status never fails: running, finished, not_existent', async () => {
    const { engine } = await withRuns('s', 'gone')
    expect(await engine.status(owner, 's')).toEqual({ status: 'running', state: 'running' })
    await engine.endSession(owner, 's')
    expect(await engine.status(owner, 's')).toEqual({ status: 'finished', state: 'ended' })
    await engine.deleteSession(owner, 'gone', 'keep')
    for (const id of ['gone', 'unknown', '_feed', '_feed/a', '']) expect(await engine.status(owner, id)).toEqual({ status: 'not_existent', state: null })
    expect(await engine.status(principalOf('b', ['read']), 's')).toEqual({ status: 'not_existent', state: null })
    expect(await engine.status(admin, 's')).toMatchObject({ status: 'finished' })
  })

  it('[RUN-04] the result is the last assistant message with text, late ones included', async () => {
    const { engine } = await withRuns('s')
    await expect(engine.result(owner, 's', true)).rejects.toMatchObject({ code: 'no_result' })
    await engine.appendEvents(owner, 's', [
      message([{ type: 'text', text: 'one' }, { type: 'image' }, { type: 'text', text: 'two' }]),
      message([]),
      message('from the user', { role: 'user' }),
    ])
    await expect(engine.result(owner, 's', false)).rejects.toMatchObject({ code: 'not_finished' })
    expect(await engine.result(owner, 's', true)).toBe('one\ntwo')
    await engine.appendEvents(owner, 's', [{ event_type: 'session_stop' }])
    expect(await engine.result(owner, 's', false)).toBe('one\ntwo')
    await engine.appendEvents(owner, 's', [message('late')])
    expect(await engine.result(owner, 's', false)).toBe('late')
    await expect(engine.result(owner, 'unknown', true)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('[RUN-04] the result outlives its event, also when the trim comes while it is read', async () => {
    const gate = createGate()
    let gated = false
    const started = await startEngine({
      retention: { run: { max_events: 2, max_bytes: null, max_age_ms: null } },
      tailBytes: { perLog: 1, total: 1 },
      faults: { beforeRead: () => (gated ? gate.pass() : undefined) },
    })
    const { engine } = started
    await engine.createSession(owner, run('s'))
    await engine.appendEvents(owner, 's', [message('the result')])
    await engine.appendEvents(owner, 's', [message('of the user', { role: 'user' }), message('more', { role: 'user' }), message('and more', { role: 'user' })])
    gated = true
    const reading = engine.result(owner, 's', true)
    await gate.reached
    gated = false
    await engine.sweep()
    expect((await engine.getSession(owner, 's')).floor_seq).toBe(2)
    gate.open()
    expect(await reading).toBe('the result')
    expect(await (await started.restart()).engine.result(owner, 's', true)).toBe('the result')
    await engine.appendEvents(owner, 's', [message('newer')]).catch(() => undefined)
  })

  it('[RUN-06] a stop finishes the run and is told on the feed once; later events change no status', async () => {
    const { engine } = await withRuns('s', 't')
    await engine.appendEvents(owner, 's', [{ event_type: 'session_stop', exit_code: 3 }])
    await engine.appendEvents(owner, 's', [{ event_type: 'session_stop', exit_code: 0 }, { event_type: 'pre_tool' }])
    expect(await engine.getSession(owner, 's')).toMatchObject({ status: 'finished', state: 'failed', head_seq: 3 })
    await engine.appendEvents(owner, 't', [{ event_type: 'session_stop', exit_code: 0 }])
    expect(await engine.getSession(owner, 't')).toMatchObject({ state: 'ended' })
    expect(await feedOf(engine)).toEqual(['session.created s running', 'session.created t running', 'session.updated s failed', 'session.updated t ended'])
  })

  it('end is idempotent, resume reopens a run and appends nothing to it', async () => {
    const { engine, clock } = await withRuns('s')
    const ended = await Promise.all([1, 2, 3].map(() => engine.endSession(owner, 's')))
    expect(ended.map(session => [session.state, session.head_seq])).toEqual(Array(3).fill(['ended', 1]))
    clock.advance(1000)
    const resumed = await engine.resume(owner, 's')
    expect(resumed).toMatchObject({ context_restored: false, messages: 0, head_seq: 1, session: { state: 'running', status: 'running', ended_at: null } })
    clock.advance(1000)
    const again = await engine.resume(owner, 's')
    expect(again.session.state).toBe('running')
    expect(Date.parse(again.session.last_resumed_at as string) - Date.parse(resumed.session.last_resumed_at as string)).toBe(1000)
    expect((await take(await engine.attach(owner, 's'))).types).toEqual(['protocol.hello', 'session.ended', 'protocol.caught_up'])
    await engine.appendEvents(owner, 's', [{ event_type: 'session_stop' }])
    expect(await engine.status(owner, 's')).toEqual({ status: 'finished', state: 'ended' })
  })

  it('a patch changes what it names, replaces metadata whole, and is on the feed and the disk', async () => {
    const started = await withRuns('s')
    await started.engine.patchSession(owner, 's', { metadata: { a: 1 }, description: 'd' })
    await started.engine.patchSession(owner, 's', { metadata: { b: 2 }, session_name: 'n', unknown: true })
    await expect(started.engine.patchSession(owner, 's', { session_name: '' })).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(started.engine.patchSession(owner, 's', { session_name: 5 })).rejects.toMatchObject({ code: 'invalid_request' })
    const { engine } = await started.restart()
    expect(await engine.getSession(owner, 's')).toMatchObject({ session_name: 'n', description: 'd', metadata: { b: 2 } })
    expect(await feedOf(engine)).toHaveLength(3)
  })

  it('concurrent patches each keep what the others changed', async () => {
    const { engine } = await withRuns('s')
    await Promise.all([
      engine.patchSession(owner, 's', { session_name: 'n' }),
      engine.appendEvents(owner, 's', [message('r')]),
      engine.patchSession(owner, 's', { description: 'd' }),
      engine.endSession(owner, 's'),
    ])
    expect(await engine.getSession(owner, 's')).toMatchObject({ session_name: 'n', description: 'd', state: 'ended', head_seq: 2 })
    expect(await engine.result(owner, 's', false)).toBe('r')
  })
})

describe('deleting', () => {
  it('[SEQ-19] the log is erased, readers are told and ended, the id stays taken, the feed says so once', async () => {
    const started = await withRuns('s')
    const { engine, store } = started
    await engine.appendEvents(owner, 's', [message('secret', { id: 'x' })])
    const reader = await engine.attach(owner, 's')
    await take(reader)
    let wakes = 0
    reader.onWake(() => void wakes++)
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => engine.deleteSession(owner, 's', 'keep')))
    expect(outcomes.map(outcome => outcome.status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(outcomes.flatMap(outcome => (outcome.status === 'rejected' ? outcome.reason.code : []))).toEqual(['session_deleted', 'session_deleted'])
    expect(wakes).toBe(1)
    expect((await take(reader)).types).toEqual(['end:session_deleted'])
    const log = store.disk.logs.get('s')
    expect([log?.chunks.length, log?.ids.size, log?.snapshots.size, log?.blobs.size]).toEqual([0, 0, 0, 0])
    for (const fresh of [engine, (await started.restart()).engine]) {
      for (const call of [
        fresh.getSession(owner, 's'),
        fresh.attach(owner, 's'),
        fresh.appendEvents(owner, 's', [message('x')]),
        fresh.resume(owner, 's'),
        fresh.deleteSession(owner, 's', 'keep'),
      ])
        await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/session_deleted|draining/) })
    }
    const { engine: again } = await started.restart()
    await expect(again.createSession(owner, run('s'))).rejects.toMatchObject({ code: 'conflict' })
    expect(await feedOf(again)).toEqual(['session.created s running', 'session.deleted s'])
  })

  it('what is appended while a delete is under way is refused as deleted, and stored as before where the delete fails', async () => {
    for (const fails of [false, true]) {
      const gate = createGate()
      const { engine } = await startEngine({
        faults: {
          async beforeCommit(commit) {
            if (!commit.drops?.length) return
            await gate.pass()
            if (fails) throw new StoreError('full', 'no room')
          },
        },
      })
      await engine.createSession(owner, run('s'))
      const deleting = engine.deleteSession(owner, 's', 'keep')
      await gate.reached
      const append = engine.appendEvents(owner, 's', [message('a')])
      const appended = append.then(
        answer => answer.lastSeq,
        error => error.code,
      )
      await settle()
      gate.open()
      if (fails) await expect(deleting).rejects.toMatchObject({ code: 'storage_failed' })
      else await deleting
      expect(await appended).toBe(fails ? 1 : 'session_deleted')
    }
  })

  it('[RUN-14] children are kept or deleted as asked, and parents that form a ring are no trap', async () => {
    const { engine } = await startEngine()
    for (const [id, parent] of [
      ['p', 'c2'],
      ['c1', 'p'],
      ['c2', 'c1'],
      ['c3', 'p'],
      ['other', 'none'],
    ])
      await engine.createSession(owner, run(id as string, { parent_session_id: parent }))
    await engine.deleteSession(owner, 'c3', 'keep')
    for (const outcome of await Promise.allSettled(['p', 'c1'].map(id => engine.deleteSession(owner, id, 'delete'))))
      if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('session_deleted')
    expect((await engine.listSessions(owner, {})).sessions.map(session => session.session_id)).toEqual(['other'])
    expect((await feedOf(engine)).filter(line => line.startsWith('session.deleted')).sort()).toEqual(['c1', 'c2', 'c3', 'p'].map(id => `session.deleted ${id}`))
    await engine.createSession(owner, run('parent'))
    await engine.createSession(owner, run('child', { parent_session_id: 'parent' }))
    await engine.deleteSession(owner, 'parent', 'keep')
    expect(await engine.getSession(owner, 'child')).toMatchObject({ parent_session_id: 'parent' })
  })

  it('on_missing=new: one new session in place of one that is gone, the same when asked again, concurrently, after a restart; a chain goes on', async () => {
    const started = await startEngine()
    await started.engine.createSession(owner, { session_id: 'u', kind: 'ui', session_name: 'name', ui: { catalog: 'c' }, metadata: { secret: 1 } })
    await started.engine.deleteSession(owner, 'u', 'keep')
    const ask = (engine: Engine, id: string) => engine.getSession(owner, id, { onMissing: 'new' })
    const made = await Promise.all([1, 2, 3].map(() => ask(started.engine, 'u')))
    const next = made[0]?.session_id as string
    expect(made.map(session => session.session_id)).toEqual([next, next, next])
    expect(made[0]).toMatchObject({ kind: 'ui', previous_session_id: 'u', session_name: 'name', metadata: {}, head_seq: 0 })
    const { engine } = await started.restart()
    expect((await ask(engine, 'u')).session_id).toBe(next)
    expect((await take(await engine.attach(owner, 'u', { onMissing: 'new' }))).controls[0]?.payload.session).toMatchObject({ session_id: next })
    expect((await engine.resume(owner, 'u', { onMissing: 'new' })).session.session_id).toBe(next)
    await engine.deleteSession(owner, next, 'keep')
    const third = await ask(engine, 'u')
    expect(third).toMatchObject({ previous_session_id: next })
    expect((await ask(engine, next)).session_id).toBe(third.session_id)
    expect((await ask(engine, third.session_id)).session_id).toBe(third.session_id)
    await expect(ask(engine, 'unknown')).rejects.toMatchObject({ code: 'not_found' })
    await expect(engine.getSession(principalOf('b'.repeat(3), ['read']), 'u', { onMissing: 'new' })).rejects.toMatchObject({ code: 'not_found' })
    expect((await feedOf(engine)).filter(line => line.startsWith('session.created'))).toHaveLength(3)
  })
})

describe('a store that answers late', () => {
  it('on_missing=new makes one session however old an answer about the row is', async () => {
    const gate = createGate()
    let looks = -1
    const { engine } = await startEngine({
      wrapStore: store => ({
        ...store,
        async getSession(id) {
          const row = await store.getSession(id)
          if (id === 's' && looks++ === 1) await gate.pass()
          return row
        },
      }),
    })
    await engine.createSession(owner, run('s'))
    await engine.deleteSession(owner, 's', 'keep')
    looks = 0
    const slow = engine.getSession(owner, 's', { onMissing: 'new' })
    const quick = engine.getSession(owner, 's', { onMissing: 'new' })
    await settle()
    gate.open()
    expect((await slow).session_id).toBe((await quick).session_id)
  })
})
