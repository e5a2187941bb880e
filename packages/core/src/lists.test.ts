import { createGate, principalOf, settle, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Engine, type Principal } from './index.ts'

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
