// Long: every call of a session's life on one engine.
import { DEFAULT_LIMITS } from '@holdfast/protocol'
import { createGate, isSettled, principalOf, settle, startEngine, take, type TestEngine } from '@holdfast/testkit'
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

describe('lists, watching, feed', () => {
  it('[SEQ-02] pages come newest activity first, and neither skip nor repeat a session that does not move', async () => {
    const { engine, clock } = await startEngine()
    const ids = Array.from({ length: 25 }, (_, index) => `s${String(index).padStart(2, '0')}`)
    for (const [index, id] of ids.entries()) {
      if (index % 3 === 0) clock.advance(5)
      await engine.createSession(owner, run(id))
    }
    const seen: string[] = []
    for (let page: string | undefined; ; ) {
      const answer = await engine.listSessions(owner, { limit: 4, ...(page ? { page } : {}) })
      seen.push(...answer.sessions.map(session => session.session_id))
      if (answer.next_page === null) break
      page = answer.next_page
      clock.advance(10)
      // Two move to the front while the pages are read.
      for (const id of ['s03', 's20']) await engine.appendEvents(owner, id, [message('moved')])
    }
    const still = ids.filter(id => id !== 's03' && id !== 's20').reverse()
    expect(seen.filter(id => id !== 's03' && id !== 's20')).toHaveLength(23)
    expect(new Set(seen.filter(id => still.includes(id)))).toEqual(new Set(still))
    expect((await engine.listSessions(owner, { limit: 2 })).sessions.map(session => session.session_id).sort()).toEqual(['s03', 's20'])
    for (const page of ['x', '5', '.s', '1.no id', '1._feed/a'])
      await expect(engine.listSessions(owner, { page })).rejects.toMatchObject({ code: 'invalid_request' })
    for (const limit of [0, 1001, 1.5]) await expect(engine.listSessions(owner, { limit })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('filters by kind and status; shows only what the principal may see, on whole pages', async () => {
    const { engine } = await withRuns('r1', 'r2', 'r3')
    await engine.createSession(owner, { session_id: 'u1', kind: 'ui' })
    await engine.createSession(principalOf('b'), run('of-b'))
    await engine.endSession(owner, 'r1')
    const ids = async (who: Principal, query: object = {}) => (await engine.listSessions(who, query)).sessions.map(session => session.session_id).sort()
    expect(await ids(owner)).toEqual(['r1', 'r2', 'r3', 'u1'])
    expect(await ids(owner, { kind: 'ui' })).toEqual(['u1'])
    expect(await ids(owner, { status: 'finished' })).toEqual(['r1'])
    expect(await ids(admin)).toEqual(['of-b', 'r1', 'r2', 'r3', 'u1'])
    expect(await ids(principalOf('a', ['read'], { kinds: new Set(['run']) }))).toEqual(['r1', 'r2', 'r3'])
    expect(await ids(principalOf('a', ['read'], { kinds: new Set(['run', 'chat']) }))).toEqual(['r1', 'r2', 'r3'])
    expect(await ids(principalOf('a', ['read'], { kinds: new Set(['run']) }), { kind: 'ui' })).toEqual([])
    expect(await ids(principalOf('a', ['read'], { sessionId: 'r2' }))).toEqual(['r2'])
    expect(await ids(principalOf('a', ['read'], { sessionId: 'of-b' }))).toEqual([])
    const partly = principalOf('a', ['read'], { kinds: new Set(['run', 'chat']) })
    const first = await engine.listSessions(partly, { limit: 2 })
    const rest = await engine.listSessions(partly, { limit: 2, page: first.next_page as string })
    expect([...first.sessions, ...rest.sessions].map(session => session.session_id).sort()).toEqual(['r1', 'r2', 'r3'])
    expect(rest.next_page).toBeNull()
    await expect(engine.listSessions(owner, { kind: 'feed' })).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(engine.listSessions(owner, { status: 'gone' })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('watch gives every session there is and tells of every one created later, also while the list is read and sessions move', async () => {
    const gate = createGate()
    let gated = false
    const { engine, clock } = await startEngine({
      wrapStore: store => ({
        ...store,
        async listSessions(query) {
          const rows = await store.listSessions(query)
          if (gated) await gate.pass()
          return rows
        },
      }),
    })
    const ids = Array.from({ length: 620 }, (_, index) => `s${index}`)
    for (const id of ids) await engine.createSession(owner, run(id))
    const later: string[] = []
    gated = true
    const watching = engine.watch(owner, undefined, id => void later.push(id))
    await gate.reached
    clock.advance(1)
    for (const id of ids.slice(0, 40)) await engine.appendEvents(owner, id, [message('moves')])
    await engine.createSession(owner, run('while'))
    await engine.createSession(principalOf('b'), run('of-b'))
    gate.open()
    const { ids: found, stop } = await watching
    await settle()
    expect(new Set([...found, ...later])).toEqual(new Set([...ids, 'while']))
    expect(found.length + later.length).toBe(621)
    await engine.createSession(owner, run('later'))
    expect(later).toEqual(['while', 'later'])
    stop()
    await engine.createSession(owner, run('too late'.replace(' ', '-')))
    expect(later).toHaveLength(2)
    expect((await engine.watch(owner, new Set(['ui']), () => undefined)).ids).toEqual([])
    expect((await engine.watch(principalOf('a', ['read'], { sessionId: 's7' }), undefined, () => undefined)).ids).toEqual(['s7'])
  })

  it('[RUN-08] the feed is a log of its own: dense, resumable, per owner, read-only, the same over a restart', async () => {
    const started = await withRuns('s', 't')
    const first = await take(await started.engine.attach(owner, '_feed'))
    expect(first.controls[0]?.payload).toMatchObject({ session: { session_id: '_feed', kind: 'feed' }, resume: 'new' })
    expect(first.events.map(event => [event.header.seq, event.header.session_id])).toEqual([
      [1, '_feed'],
      [2, '_feed'],
    ])
    await started.engine.endSession(owner, 's')
    await started.engine.createSession(principalOf('b'), run('of-b'))
    const { engine } = await started.restart()
    const resumed = await take(await engine.attach(owner, '_feed', { cursor: { epoch: engine.epoch, seq: 2 } }))
    expect(resumed.types).toEqual(['protocol.hello', 'session.updated', 'protocol.caught_up'])
    expect(await feedOf(engine, principalOf('b'))).toEqual(['session.created of-b running'])
    expect((await take(await engine.attach(admin, '_feed', { owner: 'a' }))).seqs).toEqual([1, 2, 3])
    for (const id of ['_feed', '_feed/a']) {
      await expect(engine.appendEvents(admin, id, [message('x')])).rejects.toMatchObject({ code: 'not_found' })
      await expect(engine.deleteSession(admin, id, 'keep')).rejects.toMatchObject({ code: 'not_found' })
    }
  })
})

describe('who may see what', () => {
  it("[fault 27] [OPS-02] another owner's session reads as not found in every call, for a bound token every other one", async () => {
    const { engine } = await withRuns('s', 't')
    for (const stranger of [
      principalOf('b', ['read', 'write', 'produce', 'exec']),
      principalOf('a', ['read', 'write', 'produce', 'exec'], { sessionId: 't' }),
      principalOf('a', ['read', 'write', 'produce'], { kinds: new Set(['ui']) }),
    ]) {
      const calls: Promise<unknown>[] = [
        engine.getSession(stranger, 's'),
        engine.getSession(stranger, 's', { onMissing: 'new' }),
        engine.attach(stranger, 's', { cursor: { epoch: engine.epoch, seq: 0 } }),
        engine.attach(stranger, 's', { onMissing: 'new' }),
        engine.appendEvents(stranger, 's', [message('x')]),
        engine.input(stranger, 's', { type: 'session.rename', payload: { session_name: 'x' } }),
        engine.patchSession(stranger, 's', { session_name: 'x' }),
        engine.deleteSession(stranger, 's', 'keep'),
        engine.endSession(stranger, 's'),
        engine.resume(stranger, 's'),
        engine.result(stranger, 's', true),
        engine.snapshot(stranger, 's'),
        engine.putBlob(stranger, 's', 'a'.repeat(64), (async function* () {})()),
        engine.getBlob(stranger, 's', 'a'.repeat(64)),
      ]
      for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'not_found' })
    }
    expect(await engine.getSession(owner, 's')).toMatchObject({ head_seq: 0, session_name: 's' })
  })

  it('[fault 27] a cursor of another session is a place in this one, or a reset; it shows nothing of the other', async () => {
    const { engine } = await withRuns('s', 't')
    for (let index = 0; index < 5; index++) await engine.appendEvents(owner, 't', [message('of t')])
    await engine.appendEvents(owner, 's', [message('of s')])
    const taken = await take(await engine.attach(owner, 's', { cursor: { epoch: engine.epoch, seq: 5 } }))
    expect(taken.controls[0]?.payload).toMatchObject({ resume: 'reset', head_seq: 1 })
    expect(taken.texts.join()).not.toContain('of t')
    expect(taken.seqs).toEqual([1])
  })

  it("[fault 27] the feed of a token that is bound to a session is not found; another owner's needs admin", async () => {
    const { engine } = await withRuns('s')
    await expect(engine.attach(principalOf('a', ['read'], { sessionId: 's' }), '_feed')).rejects.toMatchObject({ code: 'not_found' })
    await expect(engine.attach(owner, '_feed', { owner: 'b' })).rejects.toMatchObject({ code: 'forbidden' })
    await expect(engine.createSession(principalOf('a', ['produce'], { sessionId: 's' }), run('x'))).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('every call needs its scope', async () => {
    const { engine } = await withRuns('s')
    const without = (scope: string) =>
      principalOf(
        'a',
        (['read', 'write', 'produce', 'exec'] as const).filter(other => other !== scope),
      )
    const forbidden: [Promise<unknown>, string][] = [
      [engine.getSession(without('read'), 's'), 'read'],
      [engine.attach(without('read'), 's'), 'read'],
      [engine.listSessions(without('read'), {}), 'read'],
      [engine.watch(without('read'), undefined, () => undefined), 'read'],
      [engine.status(without('read'), 's'), 'read'],
      [engine.result(without('read'), 's', true), 'read'],
      [engine.snapshot(without('read'), 's'), 'read'],
      [engine.appendEvents(without('produce'), 's', [message('x')]), 'produce'],
      [engine.createSession(without('produce'), run('x')), 'produce'],
      [engine.createSession(without('exec'), { kind: 'ui' }), 'exec'],
      [engine.patchSession(without('write'), 's', {}), 'write'],
      [engine.endSession(without('write'), 's'), 'write'],
      [engine.resume(without('write'), 's'), 'write'],
      [engine.deleteSession(without('write'), 's', 'keep'), 'write'],
      [engine.input(without('write'), 's', { type: 'session.end', payload: {} }), 'write'],
    ]
    for (const [call, scope] of forbidden) await expect(call).rejects.toMatchObject({ code: 'forbidden', details: { scope } })
  })
})

describe('stopping', () => {
  it('[OPS-05] drain ends every attachment as draining, refuses what comes later, and what was accepted is on disk', async () => {
    const gate = createGate()
    const started = await startEngine({
      faults: { beforeCommit: commit => (commit.appends?.some(append => append.sessionId === 's') ? gate.pass() : undefined) },
    })
    const { engine } = started
    await engine.createSession(owner, run('s'))
    const readers = [await engine.attach(owner, 's'), await engine.attach(owner, '_feed')]
    for (const reader of readers) await take(reader)
    const appended = engine.appendEvents(owner, 's', [message('last words')])
    await gate.reached
    const drained = engine.drain()
    expect(await isSettled(drained)).toBe(false)
    await expect(engine.appendEvents(owner, 's', [message('too late')])).rejects.toMatchObject({ code: 'draining', retryable: true })
    await expect(engine.attach(owner, 's')).rejects.toMatchObject({ code: 'draining' })
    await expect(engine.createSession(owner, run('t'))).rejects.toMatchObject({ code: 'draining' })
    gate.open()
    expect((await appended).lastSeq).toBe(1)
    await drained
    for (const reader of readers) expect((await take(reader)).types.at(-1)).toBe('end:draining')
    await engine.close()
    const { engine: next } = await started.restart()
    expect((await take(await next.attach(owner, 's'))).seqs).toEqual([1])
  })

  it('a closed engine runs no timers and answers draining', async () => {
    const { engine, clock } = await withRuns('s')
    await engine.close()
    clock.advance(10 * 60_000)
    await settle()
    await expect(engine.getSession(owner, 'unknown')).rejects.toMatchObject({ code: 'draining' })
    await expect(engine.appendEvents(owner, 's', [message('x')])).rejects.toMatchObject({ code: 'draining' })
  })
})
