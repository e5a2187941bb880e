import { createGate, isSettled, principalOf, settle, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'

const owner = principalOf('a', ['read', 'write', 'produce', 'exec'])
const message = (content: unknown, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content, ...extra })
const run = (id: string, extra: object = {}) => ({ session_id: id, session_name: id, ...extra })

async function withRuns(...ids: string[]): Promise<TestEngine> {
  const started = await startEngine()
  for (const id of ids) await started.engine.createSession(owner, run(id))
  return started
}

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
