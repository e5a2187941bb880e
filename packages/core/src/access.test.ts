import { principalOf, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'

const owner = principalOf('a', ['read', 'write', 'produce', 'exec'])
const message = (content: unknown, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content, ...extra })
const run = (id: string, extra: object = {}) => ({ session_id: id, session_name: id, ...extra })

async function withRuns(...ids: string[]): Promise<TestEngine> {
  const started = await startEngine()
  for (const id of ids) await started.engine.createSession(owner, run(id))
  return started
}

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
