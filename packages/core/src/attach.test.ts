// Long: every cursor, mode and kind against one table.
import { AUTO_BYTES, type Cursor, type Mode, TURN_BYTES } from '@holdfast/protocol'
import { type CounterState, counterFold, createGate, isSettled, principalOf, settle, startEngine, take, type Taken, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Attachment, type Engine, StoreError } from './index.ts'

const admin = principalOf('a')
const KEEP_FIVE = { max_events: 5, max_bytes: null, max_age_ms: null }

/** A session `s` of a kind with snapshots or without, with that many events, of which the last five are kept where it is trimmed. */
async function withLog({
  events = 0,
  kind = 'ui',
  trimmed = false,
  ...options
}: { events?: number; kind?: 'ui' | 'run'; trimmed?: boolean } & Parameters<typeof startEngine>[0]): Promise<TestEngine> {
  const started = await startEngine({ ...(trimmed ? { retention: { ui: KEEP_FIVE, run: KEEP_FIVE } } : {}), ...options })
  await started.engine.createSession(admin, { session_id: 's', session_name: 's', kind })
  for (let index = 1; index <= events; index++) await add(started.engine, index)
  if (trimmed) await started.engine.sweep()
  return started
}

async function add(engine: Engine, n: number, pad = ''): Promise<void> {
  const { kind } = await engine.getSession(admin, 's')
  await engine.appendEvents(admin, 's', [kind === 'ui' ? { type: 'counter.add', payload: { n, pad } } : { event_type: 'message', n, pad }])
}

const attach = (engine: Engine, cursor?: Cursor, mode?: Mode, more: object = {}): Promise<Attachment> =>
  engine.attach(admin, 's', { ...(cursor ? { cursor } : {}), ...(mode ? { mode } : {}), ...more })
const from = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index)
const hello = (taken: Taken) => taken.controls.find(control => control.type === 'protocol.hello')?.payload
const stateIn = (taken: Taken): CounterState =>
  JSON.parse(
    taken.controls
      .filter(control => control.type === 'protocol.snapshot')
      .map(control => control.payload.data)
      .join(''),
  ) as CounterState

describe('an attachment', () => {
  it.each([1, 3, 10])('[SEQ-03] resuming after %i gives what follows, each once, in order, then caught_up, then live', async seq => {
    const { engine } = await withLog({ events: 10 })
    const reader = await attach(engine, { seq })
    const taken = await take(reader)
    expect(hello(taken)).toMatchObject({ resume: 'ok', head_seq: 10, floor_seq: 0, reconnected: true, epoch: 'memory', role: null })
    expect(taken.seqs).toEqual(from(seq + 1, 10))
    expect(taken.types.at(-1)).toBe('protocol.caught_up')
    expect(taken.controls.at(-1)).toMatchObject({ payload: { seq: 10 }, seq: 10 })
    await add(engine, 11)
    expect((await take(reader)).seqs).toEqual([11])
  })

  it('[fault 8] [SEQ-03] a reader that has seen nothing gets everything', async () => {
    const { engine } = await withLog({ events: 4 })
    for (const cursor of [undefined, { seq: 0 }, { epoch: 'memory', seq: 0 }]) {
      const taken = await take(await attach(engine, cursor))
      expect(hello(taken)).toMatchObject({ resume: 'new', reconnected: cursor !== undefined })
      expect(taken.seqs).toEqual([1, 2, 3, 4])
    }
  })

  const foreign = { epoch: 'other', seq: 7 }
  it.each<[string, 'ui' | 'run', Cursor | undefined, Mode, string[]]>([
    ['floor-1', 'run', { seq: 4 }, 'replay', ['hello gap', 'gap 5-5 trimmed', '6-10', 'caught_up 10']],
    ['floor-1', 'ui', { seq: 4 }, 'replay', ['hello gap', 'gap 5-5 trimmed', 'snapshot 10', 'caught_up 10']],
    ['nothing', 'run', undefined, 'replay', ['hello gap', 'gap 1-5 trimmed', '6-10', 'caught_up 10']],
    ['nothing', 'ui', undefined, 'auto', ['hello gap', 'gap 1-5 trimmed', 'snapshot 10', 'caught_up 10']],
    ['floor', 'run', { seq: 5 }, 'replay', ['hello ok', '6-10', 'caught_up 10']],
    ['floor', 'ui', { seq: 5 }, 'replay', ['hello ok', '6-10', 'caught_up 10']],
    ['head', 'ui', { seq: 10 }, 'replay', ['hello ok', 'caught_up 10']],
    ['head+1', 'run', { seq: 11 }, 'replay', ['hello reset', '6-10', 'caught_up 10']],
    ['head+1', 'ui', { seq: 11 }, 'replay', ['hello reset', 'snapshot 10', 'caught_up 10']],
    ['another epoch', 'run', foreign, 'auto', ['hello reset', '6-10', 'caught_up 10']],
    ['another epoch', 'ui', foreign, 'auto', ['hello reset', 'snapshot 10', 'caught_up 10']],
    ['in between', 'ui', { seq: 7 }, 'snapshot', ['hello snapshot', 'snapshot 10', 'caught_up 10']],
    ['in between', 'run', { seq: 7 }, 'snapshot', ['hello ok', '8-10', 'caught_up 10']],
    ['in between', 'ui', { seq: 7 }, 'auto', ['hello ok', '8-10', 'caught_up 10']],
    ['in between', 'ui', { seq: 7 }, 'live', ['hello ok', 'caught_up 10']],
    ['nothing', 'run', undefined, 'live', ['hello new', 'caught_up 10']],
  ])('[fault 9] [SEQ-14] cursor at %s, kind %s, %j in mode %s', async (_name, kind, cursor, mode, expected) => {
    const { engine } = await withLog({ events: 10, kind, trimmed: true })
    const taken = await take(await attach(engine, cursor, mode))
    const seqs = taken.seqs.length > 0 ? [`${taken.seqs[0]}-${taken.seqs.at(-1)}`] : []
    const controls = taken.controls.map(({ type, payload }) => {
      const name = type.replace('protocol.', '')
      return { hello: `${name} ${payload.resume}`, gap: `${name} ${payload.from_seq}-${payload.to_seq} ${payload.reason}` }[name] ?? `${name} ${payload.seq}`
    })
    expect([...controls.slice(0, -1), ...seqs, ...controls.slice(-1)]).toEqual(expected)
    if (controls.some(control => control.startsWith('snapshot'))) expect(stateIn(taken)).toMatchObject({ events: 10, sum: 55 })
    expect(taken.seqs).toEqual(taken.seqs.length > 0 ? from(taken.seqs[0] as number, 10) : [])
  })

  it('[fault 1] an append that lands between reading the backlog and waiting for more arrives once', async () => {
    const gate = createGate()
    const started = await withLog({ events: 6, tailBytes: { perLog: 1, total: 1 } })
    const { engine, store } = await started.restart({ afterRead: () => gate.pass() })
    expect(store.disk.logs.get('s')?.row.head).toBe(6)
    const reader = await attach(engine)
    await reader.pull(65_536)
    const backlog = reader.pull(65_536) as Promise<unknown>
    await gate.reached
    await add(engine, 7)
    gate.open()
    expect(await backlog).toMatchObject({ type: 'events', chunk: { firstSeq: 1, lastSeq: 6 } })
    let wakes = 0
    reader.onWake(() => void wakes++)
    const rest = await take(reader)
    expect(rest.types).toEqual(['protocol.caught_up', 'counter.add'])
    expect(rest.seqs).toEqual([7])
    await add(engine, 8)
    await settle()
    expect(wakes).toBe(1)
    expect((await take(reader)).seqs).toEqual([8])
  })

  it('[fault 2] an append just before caught_up arrives once, after it or before it, and caught_up names the head at attach', async () => {
    const { engine } = await withLog({ events: 3 })
    const reader = await attach(engine)
    while (reader.cursor < 3) await reader.pull(65_536)
    await add(engine, 4)
    const rest = await take(reader)
    expect(rest.types).toEqual(['protocol.caught_up', 'counter.add'])
    expect(rest.controls[0]?.payload).toEqual({ seq: 3 })
    expect(rest.seqs).toEqual([4])
  })

  it('[fault 1] the wake comes once for what was appended while a pull was giving nothing', async () => {
    const { engine } = await withLog({})
    const reader = await attach(engine)
    let wakes = 0
    reader.onWake(() => void wakes++)
    await take(reader)
    for (let index = 0; index < 5; index++) await add(engine, index)
    await settle()
    expect(wakes).toBe(1)
    expect((await take(reader)).seqs).toEqual([1, 2, 3, 4, 5])
  })

  it('[fault 10] [SEQ-14] retention that passes a paused reader is told: gap and snapshot, or gap and what is kept', async () => {
    for (const kind of ['ui', 'run'] as const) {
      const { engine } = await withLog({ events: 3, kind, retention: { ui: KEEP_FIVE, run: KEEP_FIVE } })
      const reader = await attach(engine)
      const before = await take(reader)
      for (let index = 4; index <= 20; index++) await add(engine, index)
      await engine.sweep()
      const after = await take(reader)
      expect(after.controls[0]).toMatchObject({ type: 'protocol.gap', payload: { from_seq: 4, to_seq: 15, reason: 'trimmed' } })
      if (kind === 'run') expect([...before.seqs, ...after.seqs]).toEqual([1, 2, 3, ...from(16, 20)])
      else {
        expect(after.types).toEqual(['protocol.gap', 'protocol.snapshot'])
        expect(after.controls[1]?.payload.seq).toBe(20)
        expect(stateIn(after)).toMatchObject({ events: 20, sum: 210 })
      }
    }
  })

  it('[fault 10] retention that passes a reader while the store is asked, before the engine knows, is a gap and no failure', async () => {
    const readGate = createGate()
    const trimGate = createGate()
    const started = await withLog({ events: 20, kind: 'run', retention: { run: KEEP_FIVE } })
    let gated = false
    const { engine } = await started.restart({
      beforeRead: () => (gated ? readGate.pass() : undefined),
      afterCommit: commit => ((commit.trims?.length ?? 0) > 0 ? trimGate.pass() : undefined),
    })
    // Something to sweep for.
    await add(engine, 21)
    const reader = await attach(engine)
    await reader.pull(65_536)
    const sweeping = engine.sweep()
    await trimGate.reached
    gated = true
    const pulled = reader.pull(65_536) as Promise<unknown>
    await readGate.reached
    readGate.open()
    expect(await isSettled(pulled)).toBe(false)
    trimGate.open()
    await sweeping
    expect(await pulled).toMatchObject({ type: 'control', message: { type: 'protocol.gap', payload: { from_seq: 1, to_seq: 16 } } })
    expect((await take(reader)).seqs).toEqual(from(17, 21))
  })

  it('[fault 10] a snapshot that is folded while retention goes on is whole', async () => {
    for (const step of ['getSnapshot', 'read'] as const) {
      const gate = createGate()
      let gated = false
      const started = await withLog({ events: 30, retention: { ui: KEEP_FIVE } })
      const wrapped = await startEngine({
        clock: started.clock,
        faults: { disk: started.store.disk, ...(step === 'read' ? { beforeRead: () => (gated ? gate.pass() : undefined) } : {}) },
        retention: { ui: KEEP_FIVE },
        wrapStore: store => ({
          ...store,
          async getSnapshot(id, at) {
            const snapshot = await store.getSnapshot(id, at)
            if (gated && step === 'getSnapshot') await gate.pass()
            return snapshot
          },
        }),
      })
      const { engine } = wrapped
      await add(engine, 31)
      const reader = await attach(engine, undefined, 'snapshot')
      await reader.pull(65_536)
      gated = true
      const pulled = reader.pull(65_536) as Promise<unknown>
      await gate.reached
      gated = false
      await engine.sweep()
      gate.open()
      const snapshot = await pulled
      expect(snapshot).toMatchObject({ type: 'control', message: { type: 'protocol.snapshot', payload: { seq: 31, part: 1, parts: 1 } } })
      expect(JSON.parse((snapshot as { message: { payload: { data: string } } }).message.payload.data)).toMatchObject({ events: 31, sum: 496 })
      expect((await take(reader)).types).toEqual(['protocol.caught_up'])
    }
  })

  it('[fault 18] a wake-up that is lost costs a second', async () => {
    const { engine, clock } = await withLog({ faults: { dropWake: () => true } })
    const reader = await attach(engine)
    let wakes = 0
    reader.onWake(() => void wakes++)
    await take(reader)
    await add(engine, 1)
    await settle()
    clock.advance(999)
    expect(wakes).toBe(0)
    clock.advance(1)
    expect(wakes).toBe(1)
    expect((await take(reader)).seqs).toEqual([1])
  })

  it('[fault 33] a turn is at most what was asked for; one event always fits', async () => {
    for (const perLog of [1, 10_000_000]) {
      const { engine } = await withLog({ tailBytes: { perLog, total: perLog } })
      await engine.appendEvents(
        admin,
        's',
        Array.from({ length: 400 }, () => ({ type: 'counter.add', payload: { n: 1, pad: 'x'.repeat(900) } })),
      )
      await add(engine, 1, 'y'.repeat(100_000))
      const taken = await take(await attach(engine), TURN_BYTES)
      expect(taken.seqs).toEqual(from(1, 401))
      expect(Math.max(...taken.sizes.slice(0, -1))).toBeLessThanOrEqual(TURN_BYTES)
      expect(taken.sizes.at(-1)).toBeGreaterThan(100_000)
      expect((await take(await attach(engine), 1)).sizes).toHaveLength(401)
    }
  })

  it('mode auto skips to a snapshot for a reader that is 1 MiB or more behind, at attach and later, and not before', async () => {
    const { engine } = await withLog({})
    const pad = 'x'.repeat(130_000)
    const reader = await attach(engine, undefined, 'auto')
    await take(reader)
    for (let index = 1; index <= 8; index++) await add(engine, index, pad)
    const near = await attach(engine, undefined, 'auto')
    expect((await take(near)).seqs).toEqual(from(1, 8))
    await add(engine, 9, pad)
    expect((await engine.getSession(admin, 's')).bytes).toBeGreaterThan(AUTO_BYTES)
    const far = await take(await attach(engine, undefined, 'auto'))
    expect(far.types).toEqual(['protocol.hello', 'protocol.gap', 'protocol.snapshot', 'protocol.caught_up'])
    expect(far.controls[1]?.payload).toEqual({ from_seq: 1, to_seq: 9, reason: 'skipped' })
    expect(stateIn(far)).toMatchObject({ events: 9, sum: 45 })
    const fell = await take(reader)
    expect(fell.types).toEqual(['protocol.gap', 'protocol.snapshot'])
    expect(fell.controls[0]?.payload).toEqual({ from_seq: 1, to_seq: 9, reason: 'skipped' })
    expect((await take(await attach(engine, undefined, 'replay'))).seqs).toEqual(from(1, 9))
    expect(hello(await take(await attach(engine, { seq: 2 }, 'auto')))).toMatchObject({ resume: 'ok' })
  })

  it('a large state comes in parts of at most 192 KiB, which joined are its JSON', async () => {
    const { engine } = await withLog({
      kinds: [
        {
          name: 'ui',
          version: 1,
          openAfterEnd: true,
          parseEvent: item => item as { type: string; payload: unknown },
          summarize: summary => summary,
          fold: { initial: () => '', reduce: (state, event) => state + (event.payload as { pad: string }).pad },
        },
      ],
    })
    const pad = 'aé🎈\u2028"'.repeat(12_000)
    for (let index = 0; index < 4; index++) await add(engine, index, pad)
    const taken = await take(await attach(engine, undefined, 'snapshot'))
    const parts = taken.controls.filter(control => control.type === 'protocol.snapshot')
    expect(parts.length).toBeGreaterThan(2)
    expect(parts.map(part => part.payload.part)).toEqual(from(1, parts.length))
    for (const part of parts) expect(new TextEncoder().encode(part.payload.data as string).byteLength).toBeLessThanOrEqual(192 * 1024)
    expect(parts.map(part => part.seq)).toEqual([...Array(parts.length - 1).fill(undefined), 4])
    expect(JSON.parse(parts.map(part => part.payload.data).join(''))).toBe(pad.repeat(4))
  })

  it('[fault 11] the fold of a replay, of a snapshot and of a snapshot with its tail are the same', async () => {
    const { engine } = await withLog({ events: 12, retention: { ui: KEEP_FIVE } })
    const replay = (await take(await attach(engine))).events.reduce(counterFold.reduce, counterFold.initial())
    await engine.sweep()
    const { seq, state } = await engine.snapshot(admin, 's', 9)
    const tail = await take(await attach(engine, { seq }))
    expect(tail.events.reduce(counterFold.reduce, state as CounterState)).toEqual(replay)
    expect(await engine.snapshot(admin, 's')).toEqual({ seq: 12, epoch: 'memory', state: replay })
    for (const at of [13, -1, 1.5]) await expect(engine.snapshot(admin, 's', at)).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(engine.snapshot(admin, 's', 3)).rejects.toMatchObject({ code: 'invalid_request', details: { floor_seq: 7 } })
  })

  it('[fault 19] the last event of a turn reaches a reader whose wake-up was lost, and one that was away; nobody waits for ever', async () => {
    const { engine, clock } = await withLog({ events: 2, kind: 'run', faults: { dropWake: (_id, head) => head === 3 } })
    const attached = await attach(engine)
    const away = await attach(engine)
    const { seqs } = await take(away)
    away.close()
    await take(attached)
    await engine.appendEvents(admin, 's', [{ event_type: 'session_stop' }])
    const woken = new Promise<void>(resolve => attached.onWake(resolve))
    clock.advance(1000)
    await woken
    expect((await take(attached)).types).toEqual(['run.session_stop'])
    expect((await take(await attach(engine, { seq: seqs.at(-1) as number }))).types).toEqual(['protocol.hello', 'run.session_stop', 'protocol.caught_up'])
  })

  it('[SEQ-04] [RUN-07] a cursor means the same in both its forms and at every page size, and the newest is never left out', async () => {
    const { engine } = await withLog({ events: 9 })
    const whole = (await take(await attach(engine, { seq: 2 }))).texts
    expect(whole).toHaveLength(7)
    for (const cursor of [{ seq: 2 }, { epoch: 'memory', seq: 2 }])
      for (const maxBytes of [1, 300, 1000, 1e9]) expect((await take(await attach(engine, cursor), maxBytes)).texts).toEqual(whole)
  })

  it("[SEQ-15] version is the protocol's, whatever the sender calls its own", async () => {
    const { engine } = await withLog({ kind: 'run' })
    await engine.appendEvents(admin, 's', [{ event_type: 'message', version: 7, header: { version: 9 } }])
    const [event] = (await take(await attach(engine))).events
    expect(event?.header.version).toBe(1)
    expect(event?.payload).toMatchObject({ version: 7 })
  })

  it('[SEQ-08] there is no session that one gets by naming none, and what is in one is in no other', async () => {
    const { engine } = await withLog({ events: 2 })
    await engine.createSession(admin, { session_id: 't', session_name: 't' })
    for (const id of ['', 'undefined', 'null', 'default']) await expect(engine.attach(admin, id)).rejects.toMatchObject({ code: 'not_found' })
    expect((await take(await engine.attach(admin, 't'))).seqs).toEqual([])
  })

  it('[SEQ-12] [SEQ-17] control messages have no seq in their header, events always one', async () => {
    const { engine } = await withLog({ events: 2, trimmed: true })
    const reader = await attach(engine)
    for (let delivery = await reader.pull(65_536); delivery; delivery = await reader.pull(65_536)) {
      if (delivery.type === 'control') expect(delivery.message.header).toEqual({ session_id: 's' })
    }
    expect((await engine.getSession(admin, 's')).head_seq).toBe(2)
  })

  it('[SEQ-09] a client id that was attached before is a reconnect, and the session keeps its id and age over a restart', async () => {
    const started = await withLog({ events: 1 })
    expect(hello(await take(await attach(started.engine, undefined, undefined, { clientId: 'c' })))).toMatchObject({ reconnected: false })
    expect(hello(await take(await attach(started.engine, undefined, undefined, { clientId: 'c' })))).toMatchObject({ reconnected: true })
    started.clock.advance(1500)
    const { engine } = await started.restart()
    expect(hello(await take(await attach(engine, { seq: 1 })))).toMatchObject({ resume: 'ok', age_seconds: 1.5, session: { session_id: 's' } })
  })

  it('a damaged log ends its readers with storage_failed, and others go on', async () => {
    const started = await withLog({ events: 3 })
    await started.engine.createSession(admin, { session_id: 't', session_name: 't' })
    await started.engine.appendEvents(admin, 't', [{ event_type: 'message' }])
    const { engine } = await started.restart({
      beforeRead: id => {
        if (id === 's') throw new StoreError('damaged', 'a checksum does not fit', { sessionId: 's' })
      },
    })
    expect((await take(await attach(engine))).types).toEqual(['protocol.hello', 'end:storage_failed'])
    expect((await take(await engine.attach(admin, 't'))).seqs).toEqual([1])
  })

  it('a closed attachment gives nothing more, also when the store was being asked', async () => {
    const gate = createGate()
    const started = await withLog({ events: 3 })
    const { engine } = await started.restart({ afterRead: () => gate.pass() })
    const reader = await attach(engine)
    await reader.pull(65_536)
    const pulled = reader.pull(65_536) as Promise<unknown>
    await gate.reached
    reader.close()
    gate.open()
    expect(await pulled).toBeUndefined()
    expect(await reader.pull(65_536)).toBeUndefined()
  })
})
