import { textsFromChunk } from '@holdfast/protocol'
import { principalOf, settle, startEngine, take, type TestEngineOptions } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Retention, StoreError } from './index.ts'
import { isSurplus, KEEP_ALL } from './retention.ts'

const admin = principalOf('a')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const message = (content: string) => ({ event_type: 'message', role: 'user', content })
const keep = (limits: Partial<Retention>): Retention => ({ ...KEEP_ALL, ...limits })

async function withRun(options: TestEngineOptions = {}) {
  const started = await startEngine(options)
  await started.engine.createSession(admin, { session_id: 's', session_name: 's' })
  const add = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) await started.engine.appendEvents(admin, 's', [message(`event ${index % 10}`)])
  }
  const floorOf = async (id = 's'): Promise<number> => (await started.engine.getSession(admin, id)).floor_seq
  return { ...started, add, floorOf }
}

describe('retention', () => {
  it.each<[string, Partial<Retention>, { events: number; bytes: number }, number, boolean]>([
    ['nothing is limited', {}, { events: 1e9, bytes: 1e15 }, 1e15, false],
    ['as many as are kept', { max_events: 3 }, { events: 3, bytes: 0 }, 0, false],
    ['one more', { max_events: 3 }, { events: 4, bytes: 0 }, 0, true],
    ['as many bytes as are kept', { max_bytes: 100 }, { events: 9, bytes: 100 }, 0, false],
    ['one byte more', { max_bytes: 100 }, { events: 9, bytes: 101 }, 0, true],
    ['exactly as old', { max_age_ms: 100 }, { events: 1, bytes: 0 }, 100, false],
    ['older', { max_age_ms: 100 }, { events: 1, bytes: 0 }, 101, true],
    ['an empty log', { max_events: 0, max_bytes: 0, max_age_ms: 0 }, { events: 0, bytes: 0 }, 1, false],
  ])('is decided purely: %s', (_name, limits, kept, ageMs, surplus) => {
    expect(isSurplus(keep(limits), kept, ageMs)).toBe(surplus)
  })

  it('[SEQ-13] [SEQ-14] by count, by bytes, by age; seq goes on, and the rest is what it was', async () => {
    const { engine, clock, add, floorOf } = await withRun({ retention: { run: keep({ max_events: 10 }) } })
    await add(25)
    const before = (await take(await engine.attach(admin, 's'))).texts
    await engine.sweep()
    expect(await floorOf()).toBe(15)
    const after = await take(await engine.attach(admin, 's', { cursor: { seq: 15 } }))
    expect(after.texts).toEqual(before.slice(15))
    const { bytes } = await engine.getSession(admin, 's')
    expect(bytes).toBe(after.texts.reduce((sum, text) => sum + text.length + 4, 0))
    expect((await engine.appendEvents(admin, 's', [message('x')])).lastSeq).toBe(26)

    const byBytes = await withRun({ retention: { run: keep({ max_bytes: 1000 }) } })
    await byBytes.add(20)
    await byBytes.engine.sweep()
    const left = await byBytes.engine.getSession(admin, 's')
    expect(left.bytes).toBeLessThanOrEqual(1000)
    expect(left.bytes).toBeGreaterThan(700)

    const byAge = await withRun({ retention: { run: keep({ max_age_ms: HOUR_MS }) }, clock })
    await byAge.add(3)
    clock.advance(HOUR_MS)
    await byAge.add(2)
    await byAge.engine.sweep()
    expect(await byAge.floorOf()).toBe(0)
    clock.advance(1)
    await byAge.engine.sweep()
    expect(await byAge.floorOf()).toBe(3)
    clock.advance(2 * HOUR_MS)
    await byAge.engine.sweep()
    expect(await byAge.floorOf()).toBe(5)
    expect((await byAge.engine.appendEvents(admin, 's', [message('x')])).lastSeq).toBe(6)
  })

  it('goes by itself once a minute, also for a log that nobody has touched since the start', async () => {
    const clock = (await startEngine()).clock
    const started = await withRun({ clock, retention: { run: keep({ max_age_ms: HOUR_MS }) } })
    await started.add(3)
    const { engine } = await started.restart()
    clock.advance(HOUR_MS + 60_000)
    for (let round = 0; round < 3; round++) await settle()
    expect((await engine.getSession(admin, 's')).floor_seq).toBe(3)
  })

  it('the feed is kept to its own limit, and a reader of it is told', async () => {
    const { engine } = await startEngine({ retention: { feed: keep({ max_events: 3 }) } })
    for (let index = 0; index < 8; index++) await engine.createSession(admin, { session_id: `s${index}`, session_name: 's' })
    await engine.sweep()
    const feed = await take(await engine.attach(admin, '_feed'))
    expect(feed.types.slice(0, 2)).toEqual(['protocol.hello', 'protocol.gap'])
    expect(feed.seqs).toEqual([6, 7, 8])
  })

  it('[fault 32] a log that fails its sweep holds up no other, and is tried again', async () => {
    let damaged = true
    const started = await withRun({ retention: { run: keep({ max_events: 1 }) } })
    await started.engine.createSession(admin, { session_id: 't', session_name: 't' })
    const { engine } = await started.restart({
      beforeRead: id => {
        if (id === 's' && damaged) throw new StoreError('damaged', 'a checksum does not fit', { sessionId: 's' })
      },
    })
    for (const id of ['s', 't', 's', 't']) await engine.appendEvents(admin, id, [message('x')])
    await engine.sweep()
    expect((await engine.getSession(admin, 't')).floor_seq).toBe(1)
    expect((await engine.getSession(admin, 's')).floor_seq).toBe(0)
    damaged = false
    await engine.sweep()
    expect((await engine.getSession(admin, 's')).floor_seq).toBe(1)
  })
})

describe('a clock that jumps', () => {
  it.each([HOUR_MS, -HOUR_MS])('[fault 15] by %i ms: seq goes on, nothing expires, nothing is trimmed, timers run on time', async jumpMs => {
    const { engine, clock, add, floorOf } = await withRun({ retention: { run: keep({ max_age_ms: HOUR_MS / 2 }) }, idleExpiryMs: { run: HOUR_MS / 2 } })
    await add(2)
    const reader = await engine.attach(admin, 's')
    await take(reader)
    reader.close()
    clock.jump(jumpMs)
    await engine.sweep()
    await engine.createSession(admin, { session_id: 't', session_name: 't' })
    await engine.appendEvents(admin, 't', [message('after the jump')])
    await add(1)
    clock.advance(60_000)
    for (let round = 0; round < 3; round++) await settle()
    clock.jump(-jumpMs)
    await add(1)
    await engine.sweep()
    expect(await floorOf()).toBe(0)
    expect((await engine.getSession(admin, 's')).head_seq).toBe(4)
    expect(await engine.getSession(admin, 't')).toMatchObject({ state: 'running', floor_seq: 0 })
    const again = await engine.attach(admin, 's')
    const stamps = (await take(again)).events.map(event => Date.parse(event.header.timestamp))
    again.close()
    // A time stamp is the wall's: it says what the clock said.
    expect((stamps[2] as number) - (stamps[1] as number)).toBe(jumpMs)
    clock.advance(HOUR_MS)
    await settle()
    await engine.sweep()
    await expect(engine.getSession(admin, 's')).rejects.toMatchObject({ code: 'session_expired' })
  })

  it('a start at which the clock was set back leaves rows and memory agreed', async () => {
    const started = await withRun()
    await started.add(1)
    started.clock.jump(-HOUR_MS)
    const second = await started.restart()
    await second.engine.patchSession(admin, 's', { description: 'd' })
    await second.engine.appendEvents(admin, 's', [message('x')])
    const session = await second.engine.getSession(admin, 's')
    expect(await (await second.restart()).engine.getSession(admin, 's')).toEqual(session)
  })
})

describe('idle expiry', () => {
  const expiring = () => withRun({ idleExpiryMs: { run: DAY_MS } })

  it('[TERM-07] exactly 24 h is not expired, a moment more is; then the id answers session_expired, and readers end with it', async () => {
    const started = await expiring()
    const { engine, clock, add } = started
    await add(1)
    clock.advance(DAY_MS)
    await settle()
    await engine.sweep()
    expect(await engine.status(admin, 's')).toMatchObject({ state: 'running' })
    clock.advance(1)
    await engine.sweep()
    await expect(engine.getSession(admin, 's')).rejects.toMatchObject({ code: 'session_expired' })
    const { engine: fresh } = await started.restart()
    await expect(fresh.getSession(admin, 's')).rejects.toMatchObject({ code: 'session_expired' })
    expect(await fresh.status(admin, 's')).toEqual({ status: 'finished', state: 'expired' })
    expect((await fresh.getSession(admin, 's', { onMissing: 'new' })).previous_session_id).toBe('s')
    const feed = (await take(await fresh.attach(admin, '_feed'))).events.map(
      event => `${event.type} ${(event.payload as { session?: { state: string } }).session?.state}`,
    )
    expect(feed).toEqual(['session.created running', 'session.updated expired', 'session.created running'])
  })

  it('[TERM-07] a reader keeps a session alive, and so does what comes just before it would expire', async () => {
    const { engine, clock } = await expiring()
    const reader = await engine.attach(admin, 's')
    clock.advance(DAY_MS + 1)
    await engine.sweep()
    expect(await engine.status(admin, 's')).toMatchObject({ state: 'running' })
    reader.close()
    // The append is under way when the sweep looks.
    await Promise.all([engine.appendEvents(admin, 's', [message('just in time')]), engine.sweep()])
    expect(await engine.status(admin, 's')).toMatchObject({ state: 'running' })
    clock.advance(DAY_MS + 1)
    await settle()
    await engine.sweep()
    expect(await engine.status(admin, 's')).toMatchObject({ state: 'expired' })
  })

  it('what was trimmed is gone from the store', async () => {
    const { store, engine, add } = await withRun({ retention: { run: keep({ max_events: 1 }) } })
    await add(5)
    await engine.sweep()
    const chunk = await store.read('s', 0, 1e9)
    expect(chunk && [chunk.firstSeq, textsFromChunk(chunk).length]).toEqual([5, 1])
  })
})
