import { type CounterState, counterFold, createGate, type Gate, hashText, isSettled, principalOf, settle, startEngine, take } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Commit, type MemoryStoreOptions, StoreError } from './index.ts'

const admin = principalOf('a')
const message = (content: string, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content, ...extra })
const appendsTo = (commit: Commit, id: string): boolean => commit.appends?.some(append => append.sessionId === id) ?? false

describe('a disk that fails', () => {
  it('[fault 4] [SEQ-13] no room: that append fails, everybody attached is told, no seq is burnt, and appends work again', async () => {
    let full = false
    const { engine, fatal } = await startEngine({
      faults: {
        beforeCommit: () => {
          if (full) throw new StoreError('full', 'no room')
        },
      },
    })
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    await engine.appendEvents(admin, 's', [message('a')])
    const readers = [await engine.attach(admin, 's'), await engine.attach(admin, 's')]
    for (const reader of readers) await take(reader)
    const wakes: number[] = []
    for (const [index, reader] of readers.entries()) reader.onWake(() => void wakes.push(index))
    full = true
    await expect(engine.appendEvents(admin, 's', [message('b', { id: 'b' })])).rejects.toMatchObject({
      code: 'storage_failed',
      retryable: true,
      details: { reason: 'full' },
    })
    expect(wakes).toEqual([0, 1])
    for (const reader of readers)
      expect((await take(reader)).controls).toMatchObject([{ type: 'protocol.error', payload: { code: 'storage_failed', details: { reason: 'full' } } }])
    full = false
    expect(await engine.appendEvents(admin, 's', [message('b', { id: 'b' })])).toMatchObject({ lastSeq: 2, duplicate: false })
    for (const reader of readers) expect((await take(reader)).seqs).toEqual([2])
    expect(fatal).toEqual([])
  })

  it('[fault 4] what was in flight behind a failed write fails too, is told so, and goes through when it is sent again', async () => {
    const gate = createGate()
    let failures = 1
    const { engine } = await startEngine({
      faults: {
        async beforeCommit(commit) {
          if (!appendsTo(commit, 's')) return
          await gate.pass()
          if (failures-- > 0) throw new StoreError('full', 'no room')
        },
      },
    })
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    await engine.createSession(admin, { session_id: 't', session_name: 't' })
    const reader = await engine.attach(admin, 's')
    await take(reader)
    const sends = ['1', '2', '3'].map(id => engine.appendEvents(admin, 's', [message(id, { id })]))
    await gate.reached
    const other = engine.appendEvents(admin, 't', [message('of another session')])
    await settle()
    gate.open()
    const outcomes = await Promise.allSettled(sends)
    expect(outcomes.map(outcome => (outcome.status === 'rejected' ? outcome.reason.details.reason : 'stored'))).toEqual(['full', 'stale', 'stale'])
    expect((await other).lastSeq).toBe(1)
    expect((await take(reader)).types).toEqual(['protocol.error'])
    for (const [index, id] of ['1', '2', '3'].entries())
      expect(await engine.appendEvents(admin, 's', [message(id, { id })])).toMatchObject({ lastSeq: index + 1, duplicate: false })
    expect((await take(reader)).seqs).toEqual([1, 2, 3])
  })

  it('[fault 4] what is asked for between a failure and the failures that follow from it waits for them, and is stored', async () => {
    const second = createGate()
    let commits = 0
    const { engine } = await startEngine({
      faults: {
        async beforeCommit(commit) {
          if (!appendsTo(commit, 's')) return
          commits++
          if (commits === 1) throw new StoreError('full', 'no room')
          if (commits === 2) await second.pass()
        },
      },
    })
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    const sends = Promise.allSettled(['1', '2'].map(content => engine.appendEvents(admin, 's', [message(content)])))
    await second.reached
    const third = engine.appendEvents(admin, 's', [message('3')])
    await settle()
    second.open()
    expect((await sends).map(outcome => outcome.status)).toEqual(['rejected', 'rejected'])
    expect((await third).lastSeq).toBe(1)
  })

  it('[fault 4] a change that was planned on an append that fails does not outlive it, nor the other way round', async () => {
    let gate: Gate | undefined
    const started = await startEngine({
      faults: {
        async beforeCommit() {
          const current = gate
          if (!current) return
          gate = undefined
          await current.pass()
          throw new StoreError('full', 'no room')
        },
      },
    })
    const { engine } = started
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    /** The first is under way when the second is asked for, and then fails. */
    const behind = async (first: () => Promise<unknown>, second: () => Promise<unknown>): Promise<void> => {
      const current = createGate()
      gate = current
      const failing = first()
      await current.reached
      const following = second()
      await settle()
      current.open()
      await expect(failing).rejects.toMatchObject({ details: { reason: 'full' } })
      await following
    }
    const rename = (name: string) => () => engine.patchSession(admin, 's', { session_name: name })
    await behind(() => engine.appendEvents(admin, 's', [message('a')]), rename('renamed'))
    expect(await engine.getSession(admin, 's')).toMatchObject({ head_seq: 0, session_name: 'renamed' })
    await behind(rename('never'), () => engine.appendEvents(admin, 's', [message('b', { role: 'user' })]))
    // The end must not be answered as done already.
    await behind(
      () => engine.appendEvents(admin, 's', [{ event_type: 'session_stop' }]),
      () => engine.endSession(admin, 's'),
    )
    const session = await engine.getSession(admin, 's')
    expect(session).toMatchObject({ session_name: 'renamed', head_seq: 2, state: 'ended' })
    expect(await (await started.restart()).engine.getSession(admin, 's')).toEqual(session)
    await expect((await started.restart()).engine.appendEvents(admin, 's', [message('c')])).resolves.toMatchObject({ lastSeq: 3 })
  })

  it('[fault 16] a reader that takes nothing is told once of a disk that stays full', async () => {
    let full = false
    const { engine } = await startEngine({
      faults: {
        beforeCommit: () => {
          if (full) throw new StoreError('full', 'no room')
        },
      },
    })
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    const reader = await engine.attach(admin, 's')
    full = true
    for (let index = 0; index < 50; index++) await engine.appendEvents(admin, 's', [message('a')]).catch(() => undefined)
    expect((await take(reader)).types).toEqual(['protocol.hello', 'protocol.error', 'protocol.caught_up'])
  })

  it('[fault 4] a write whose fate is unknown: everybody is told and ended, nothing is taken any more, and the owner is to end the process', async () => {
    let failing = false
    const { engine, fatal } = await startEngine({
      faults: {
        beforeCommit: () => {
          if (failing) throw new StoreError('fatal', 'fsync failed')
        },
      },
    })
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    const readers = [await engine.attach(admin, 's'), await engine.attach(admin, '_feed')]
    for (const reader of readers) await take(reader)
    failing = true
    await expect(engine.appendEvents(admin, 's', [message('a')])).rejects.toMatchObject({ code: 'storage_failed', details: { reason: 'fatal' } })
    expect(fatal).toHaveLength(1)
    expect((await take(readers[0] as never)).types).toEqual(['protocol.error', 'end:storage_failed'])
    expect((await take(readers[1] as never)).types).toEqual(['end:storage_failed'])
    failing = false
    await expect(engine.appendEvents(admin, 's', [message('a')])).rejects.toMatchObject({ retryable: true })
    await expect(engine.attach(admin, 's')).rejects.toMatchObject({ code: 'draining' })
  })

  it('[fault 13] a server that another one took the store from stores nothing more', async () => {
    const first = await startEngine()
    await first.engine.createSession(admin, { session_id: 's', session_name: 's' })
    const second = await startEngine({ faults: { disk: first.store.disk } })
    await expect(first.engine.appendEvents(admin, 's', [message('old')])).rejects.toMatchObject({ code: 'storage_failed', details: { reason: 'fenced' } })
    expect(first.fatal).toHaveLength(1)
    expect(await second.engine.appendEvents(admin, 's', [message('new')])).toMatchObject({ lastSeq: 1 })
  })
})

describe('a process that is killed', () => {
  /** Kills inside the third append, before or after it is on disk, and starts again on the same disk. */
  async function killedAt(hook: 'beforeCommit' | 'afterCommit') {
    const gate = createGate()
    const faults: MemoryStoreOptions = {
      [hook]: (commit: Commit) => (commit.appends?.some(append => append.firstSeq === 3 && append.sessionId === 's') ? gate.pass() : undefined),
    }
    const started = await startEngine({ faults })
    await started.engine.createSession(admin, { session_id: 's', session_name: 's' })
    const seen: string[] = []
    const reader = await started.engine.attach(admin, 's')
    for (const id of ['1', '2']) {
      await started.engine.appendEvents(admin, 's', [message(id, { id })])
      seen.push(...(await take(reader)).texts)
    }
    const third = started.engine.appendEvents(admin, 's', [message('3', { id: '3' })])
    await gate.reached
    seen.push(...(await take(reader)).texts)
    const late = await take(await started.engine.attach(admin, 's', { cursor: { seq: 0 } }))
    started.clock.advance(5)
    const { engine } = await started.restart()
    gate.open()
    expect(await isSettled(third)).toBe(false)
    return { engine, seen, late }
  }

  it.each(['beforeCommit', 'afterCommit'] as const)('[fault 3] [SEQ-13] killed at %s: no seq that anybody saw ever has other bytes', async hook => {
    const { engine, seen, late } = await killedAt(hook)
    expect(seen).toHaveLength(2)
    expect(late.texts).toEqual(seen)
    await engine.appendEvents(admin, 's', [message('another')])
    const after = await take(await engine.attach(admin, 's'))
    expect(after.seqs).toEqual(hook === 'afterCommit' ? [1, 2, 3, 4] : [1, 2, 3])
    expect(after.texts.slice(0, 2)).toEqual(seen)
  })

  it.each(['beforeCommit', 'afterCommit'] as const)(
    '[fault 7] [fault 30] killed at %s: everything acked is there, and the retry of what was not is one event',
    async hook => {
      const { engine } = await killedAt(hook)
      expect(await engine.appendEvents(admin, 's', [message('3', { id: '3' })])).toMatchObject({ lastSeq: 3, duplicate: hook === 'afterCommit' })
      const contents = (await take(await engine.attach(admin, 's'))).events.map(event => (event.payload as { content: string }).content)
      expect(contents).toEqual(['1', '2', '3'])
    },
  )

  const KEEP_FOUR = { max_events: 4, max_bytes: null, max_age_ms: null }
  it.each(['before the snapshot', 'after the snapshot', 'in the trim', 'after the trim'] as const)(
    '[fault 11] killed %s: fold(log) = fold(snapshot + tail)',
    async where => {
      const gate = createGate()
      const isTrim = (commit: Commit): boolean => (commit.trims?.length ?? 0) > 0
      const started = await startEngine({
        retention: { ui: KEEP_FOUR },
        faults: {
          beforeCommit: commit => (where === 'in the trim' && isTrim(commit) ? gate.pass() : undefined),
          afterCommit: commit => (where === 'after the trim' && isTrim(commit) ? gate.pass() : undefined),
        },
        wrapStore: store => ({
          ...store,
          async putSnapshot(id, seq, state) {
            if (where === 'before the snapshot') await gate.pass()
            await store.putSnapshot(id, seq, state)
            if (where === 'after the snapshot') await gate.pass()
          },
        }),
      })
      await started.engine.createSession(admin, { session_id: 'u', kind: 'ui' })
      for (let n = 1; n <= 10; n++) await started.engine.appendEvents(admin, 'u', [{ type: 'counter.add', payload: { n } }])
      const whole = (await take(await started.engine.attach(admin, 'u'))).events.reduce(counterFold.reduce, counterFold.initial())
      started.engine.sweep().catch(() => undefined)
      await gate.reached
      const { engine } = await started.restart()
      gate.open()
      const { floor_seq: floor } = await engine.getSession(admin, 'u')
      expect(floor).toBe(where === 'after the trim' ? 6 : 0)
      for (const at of [floor, floor + 1, 10]) {
        const { seq, state } = await engine.snapshot(admin, 'u', at)
        const tail = await take(await engine.attach(admin, 'u', { cursor: { seq } }))
        expect(tail.events.reduce(counterFold.reduce, state as CounterState)).toEqual(whole)
      }
      await engine.appendEvents(admin, 'u', [{ type: 'counter.add', payload: { n: 11 } }])
      await engine.sweep()
      expect((await engine.getSession(admin, 'u')).floor_seq).toBe(7)
      expect((await engine.snapshot(admin, 'u')).state).toMatchObject({ events: 11, sum: 66 })
    },
  )

  it('[SEQ-01] what a killed server had planned and not stored leaves no trace in rows, lists, feed or ids', async () => {
    const gate = createGate()
    const started = await startEngine({ faults: { beforeCommit: commit => (commit.creates?.some(row => row.id === 'never') ? gate.pass() : undefined) } })
    await started.engine.createSession(admin, { session_id: 's', session_name: 's' })
    const creating = started.engine.createSession(admin, { session_id: 'never', session_name: 'n' }, { idempotencyKey: 'k' })
    await gate.reached
    const { engine } = await started.restart()
    gate.open()
    expect(await isSettled(creating)).toBe(false)
    expect((await engine.listSessions(admin, {})).sessions.map(session => session.session_id)).toEqual(['s'])
    expect(await engine.status(admin, 'never')).toEqual({ status: 'not_existent', state: null })
    expect((await take(await engine.attach(admin, '_feed'))).types).toEqual(['protocol.hello', 'session.created', 'protocol.caught_up'])
    expect(await engine.createSession(admin, { session_id: 'never', session_name: 'other' }, { idempotencyKey: 'k' })).toMatchObject({ created: true })
  })

  it('hashes of what is replayed are those of what was sent live', async () => {
    const started = await startEngine()
    await started.engine.createSession(admin, { session_id: 's', session_name: 's' })
    for (let index = 0; index < 50; index++) await started.engine.appendEvents(admin, 's', [message(`${index}`)])
    const live = (await take(await started.engine.attach(admin, 's'))).texts.map(hashText)
    const { engine } = await started.restart()
    expect((await take(await engine.attach(admin, 's'))).texts.map(hashText)).toEqual(live)
  })
})
