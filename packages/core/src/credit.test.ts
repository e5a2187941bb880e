import type { Cursor, Mode } from '@holdfast/protocol'
import { principalOf, startEngine, take, type TestEngine } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import type { Attachment, Engine } from './index.ts'

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

describe('credit', () => {
  it('[OPS-04] at most the window is unacknowledged, one event always fits, and credit is cumulative', async () => {
    const { engine } = await withLog({ events: 10 })
    const { texts } = await take(await attach(engine))
    const reader = await attach(engine, undefined, undefined, { windowBytes: (texts[0] as string).length * 3 })
    const first = await take(reader)
    expect(first.seqs).toEqual([1, 2, 3])
    expect(reader.starved).toBe(true)
    let wakes = 0
    reader.onWake(() => void wakes++)
    reader.credit(1)
    expect(wakes).toBe(1)
    expect((await take(reader)).seqs).toEqual([4])
    reader.credit(4)
    expect((await take(reader)).seqs).toEqual([5, 6, 7])
    reader.credit(3)
    expect((await take(reader)).seqs).toEqual([])
    expect(() => reader.credit(8)).toThrow(expect.objectContaining({ code: 'invalid_request', details: { sent: 7 } }))
    reader.credit(7)
    expect((await take(reader)).seqs).toEqual([8, 9])
    reader.credit(9)
    expect((await take(reader)).types).toEqual(['counter.add', 'protocol.caught_up'])
    expect(reader.starved).toBe(false)
    const tiny = await attach(engine, undefined, undefined, { windowBytes: 1 })
    expect((await take(tiny)).seqs).toEqual([1])
    tiny.credit(1)
    expect((await take(tiny)).seqs).toEqual([2])
  })

  it('a reader that was told of a gap may give credit for it at once', async () => {
    const { engine } = await withLog({ events: 10, trimmed: true })
    const reader = await attach(engine, undefined, undefined, { windowBytes: 1 })
    await reader.pull(65_536)
    expect(await reader.pull(65_536)).toMatchObject({ message: { type: 'protocol.gap' } })
    reader.credit(5)
    expect((await take(reader)).types).toEqual(['protocol.snapshot', 'protocol.caught_up'])
    for (let index = 11; index <= 20; index++) await add(engine, index)
    await engine.sweep()
    expect(await reader.pull(65_536)).toMatchObject({ message: { type: 'protocol.gap', payload: { from_seq: 11, to_seq: 15 } } })
    reader.credit(15)
    expect((await take(reader)).types).toEqual(['protocol.snapshot'])
  })

  it('a gap forgets what was unacknowledged before it', async () => {
    const { engine } = await withLog({ events: 3, kind: 'run', retention: { run: KEEP_FIVE } })
    const reader = await attach(engine, undefined, undefined, { windowBytes: 1 })
    expect((await take(reader)).seqs).toEqual([1])
    for (let index = 4; index <= 20; index++) await add(engine, index)
    await engine.sweep()
    expect((await take(reader)).seqs).toEqual([16])
  })
})
