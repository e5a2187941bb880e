import { HoldfastError, terminalKind } from '@holdfast/protocol'
import { principalOf, settle, startEngine, take } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'
import { type Driver, type DriverHandle, type DriverInput, type DriverSession, StoreError } from './index.ts'

const admin = principalOf('admin')
const DAY_MS = 24 * 3600_000
const terminal = (id: string, command = 'sh') => ({ session_id: id, kind: 'terminal', terminal: { command } })

/** A driver of which all can be seen; the world outlives engines, as programs outlive servers. */
function createWorld() {
  const running = new Map<string, { incarnation: number }>()
  const said: string[] = []
  const driver = (): Driver => ({
    kind: terminalKind,
    host: {
      async start({ id, options }) {
        if ((options as { command: string }).command === 'none') throw new HoldfastError('invalid_request', 'no such command')
        running.set(id, { incarnation: 1 })
        const payload = { pid: 7, command: 'sh', cwd: '/', cols: 80, rows: 24, incarnation: 1 }
        return {
          events: [{ type: 'terminal.started', payload }],
          own: { alive: true },
          shown: { pid: 7, alive: true },
          abort: async () => void running.delete(id),
        }
      },
      open: session => handle(session),
      takeBack: async known => known.flatMap(({ id, own }) => ((own as { alive?: boolean } | undefined)?.alive ? [id] : [])),
      fold: {
        // Counts events; can be cut after even ones only.
        async fold(_id, base, events) {
          let cut = base ?? { seq: 0, state: { count: 0 } }
          let { count } = cut.state as { count: number }
          for await (const { header } of events) {
            count++
            if (header.seq % 2 === 0) cut = { seq: header.seq, state: { count } }
          }
          return cut
        },
        newest: async id => newest.get(id),
      },
      close: async () => void said.push('closed'),
    },
  })
  const sessions = new Map<string, DriverSession>()
  const newest = new Map<string, { seq: number; state: unknown }>()
  const used = new Map<string, number>()
  const handle = (session: DriverSession): DriverHandle => {
    said.push(`open ${session.id}`)
    sessions.set(session.id, session)
    return {
      async input({ type, payload, receipt }: DriverInput) {
        used.set(session.id, session.now())
        if (type === 'terminal.signal') {
          said.push(`signal ${session.id}`)
          return { seq: null, duplicate: false }
        }
        const seq = await session.commit({ events: [{ type: 'terminal.resized', payload }], ...(receipt ? { receipt } : {}) })
        return { seq, duplicate: false }
      },
      attach: ({ seat }) => {
        said.push(`attach ${seat}`)
        return { role: 'writer', leave: () => void said.push(`leave ${seat}`) }
      },
      get usedAt() {
        return used.get(session.id) ?? 0
      },
      end: () => void said.push(`end ${session.id}`),
      drop: () => {
        running.delete(session.id)
        said.push(`drop ${session.id}`)
      },
      stop: async () => void said.push(`stop ${session.id}`),
    }
  }
  const start = (options: Parameters<typeof startEngine>[0] = {}) => startEngine({ kinds: [terminalKind], drivers: [driver()], ...options })
  return { running, said, sessions, newest, start, driver }
}

describe('a driver', () => {
  it('[TERM-01] what it starts is in the log before the session is answered, and shows in the session', async () => {
    const { start, running } = createWorld()
    const { engine } = await start()
    const { session } = await engine.createSession(admin, terminal('t'))
    expect(session).toMatchObject({ head_seq: 1, state: 'running', terminal: { pid: 7, alive: true } })
    expect((await take(await engine.attach(admin, 't'))).types).toEqual(['protocol.hello', 'terminal.started', 'protocol.caught_up'])
    expect(running.has('t')).toBe(true)
    expect((await engine.createSession(admin, terminal('t'))).created, 'the same again').toBe(false)
  })

  it('[TERM-01] [fault 4] what can not be started is no session; what can not be stored does not go on running', async () => {
    const { start, running } = createWorld()
    let isFull = false
    const { engine } = await start({
      faults: {
        beforeCommit: () => {
          if (isFull) throw new StoreError('full', 'no room')
        },
      },
    })
    await expect(engine.createSession(admin, terminal('t', 'none'))).rejects.toMatchObject({ code: 'invalid_request' })
    expect(await engine.status(admin, 't')).toEqual({ status: 'not_existent', state: null })
    await engine.createSession(admin, terminal('first'))
    isFull = true
    await expect(engine.createSession(admin, terminal('t'))).rejects.toMatchObject({ code: 'storage_failed' })
    expect([...running.keys()]).toEqual(['first'])
    isFull = false
    expect((await engine.createSession(admin, terminal('t'))).created).toBe(true)
    expect((await take(await engine.attach(admin, '_feed'))).types.filter(type => type === 'session.created')).toHaveLength(2)
  })

  it('[TERM-04] a new engine takes back what runs, and lets go of it when it stops', async () => {
    const { start, said } = createWorld()
    const started = await start()
    await started.engine.createSession(admin, terminal('t'))
    said.length = 0
    const { engine } = await started.restart()
    expect(said).toEqual(['open t'])
    await engine.drain()
    expect(said).toEqual(['open t', 'stop t', 'closed'])
  })

  it('[SEQ-18] [fault 7] an input is stored with its effect: its repeat has the first answer, also after a restart, with and without an event', async () => {
    const { start, said } = createWorld()
    const started = await start()
    await started.engine.createSession(admin, terminal('t'))
    const resize = { type: 'terminal.resize', id: 'r', clientId: 'c', payload: { cols: 90, rows: 30 } }
    const signal = { type: 'terminal.signal', id: 's', clientId: 'c', payload: { signal: 'SIGINT' } }
    expect(await started.engine.input(admin, 't', resize)).toEqual({ id: 'r', seq: 2, duplicate: false })
    expect(await started.engine.input(admin, 't', signal)).toEqual({ id: 's', seq: null, duplicate: false })
    const { engine } = await started.restart()
    expect(await engine.input(admin, 't', resize)).toEqual({ id: 'r', seq: 2, duplicate: true })
    expect(await engine.input(admin, 't', signal)).toEqual({ id: 's', seq: null, duplicate: true })
    expect(said.filter(word => word === 'signal t')).toHaveLength(1)
    await expect(engine.input(admin, 't', { ...resize, payload: { cols: 1, rows: 1 } })).rejects.toMatchObject({ code: 'conflict' })
    expect((await engine.getSession(admin, 't')).head_seq).toBe(2)
  })

  it('[TERM-13] every attachment has a seat until it closes, spectators none, and the feed has no roles', async () => {
    const { start, said } = createWorld()
    const { engine } = await start()
    await engine.createSession(admin, terminal('t'))
    said.length = 0
    const attachment = await engine.attach(admin, 't', { clientId: 'c' })
    const hello = (await take(attachment)).controls[0]?.payload
    expect(hello).toMatchObject({ role: 'writer' })
    attachment.close()
    attachment.close()
    ;(await engine.attach(admin, 't', { connectionId: '1' })).close()
    expect((await take(await engine.attach(admin, 't', { isSpectator: true }))).controls[0]?.payload).toMatchObject({ role: 'viewer' })
    expect((await take(await engine.attach(admin, '_feed'))).controls[0]?.payload).toMatchObject({ role: null })
    expect(said).toEqual(['attach c:c', 'leave c:c', 'attach s:1@admin', 'leave s:1@admin'])
  })

  it('[TERM-05] ending tells it, deleting drops what it has', async () => {
    const { start, said, running } = createWorld()
    const { engine } = await start()
    await engine.createSession(admin, terminal('t'))
    await engine.endSession(admin, 't')
    await engine.deleteSession(admin, 't', 'keep')
    expect(said).toEqual(['open t', 'end t', 'drop t'])
    expect(running.size).toBe(0)
  })

  it('[TERM-07] input alone keeps a terminal; after exactly 24 h it is there, a moment later expired with its program, and a new one is there for who asks', async () => {
    const { start, said, running } = createWorld()
    const { engine, clock } = await start({ idleExpiryMs: { terminal: DAY_MS } })
    await engine.createSession(admin, terminal('t'))
    const pass = async (ms: number): Promise<void> => {
      clock.advance(ms)
      // The sweep that fell due meanwhile looked at an earlier time.
      await settle()
      await engine.sweep()
    }
    await pass(DAY_MS - 1)
    await engine.input(admin, 't', { type: 'terminal.signal', payload: { signal: 'SIGINT' } })
    await pass(DAY_MS)
    expect((await engine.getSession(admin, 't')).state).toBe('running')
    const attachment = await engine.attach(admin, 't')
    await pass(DAY_MS)
    expect((await engine.getSession(admin, 't')).state, 'somebody looks').toBe('running')
    attachment.close()
    await pass(1)
    await settle()
    await expect(engine.getSession(admin, 't')).rejects.toMatchObject({ code: 'session_expired' })
    expect(said).toContain('drop t')
    const fresh = await engine.getSession(admin, 't', { onMissing: 'new' })
    expect(fresh).toMatchObject({ kind: 'terminal', previous_session_id: 't', head_seq: 1, terminal: { pid: 7 } })
    expect((await engine.getSession(admin, 't', { onMissing: 'new' })).session_id).toBe(fresh.session_id)
    expect([...running.keys()]).toEqual([fresh.session_id])
  })

  it('[OPS-02] a state that no event says is told on the feed, once, and never after the end', async () => {
    const { start, sessions } = createWorld()
    const { engine } = await start()
    await engine.createSession(admin, terminal('t'))
    const session = sessions.get('t') as DriverSession
    await session.commit({ state: 'waiting' })
    await session.commit({ state: 'waiting' })
    expect((await engine.getSession(admin, 't')).state).toBe('waiting')
    await engine.endSession(admin, 't')
    await session.commit({ state: 'waiting' })
    const feed = (await take(await engine.attach(admin, '_feed'))).events.map(event => (event.payload as { session: { state: string } }).session.state)
    expect(feed).toEqual(['running', 'waiting', 'ended'])
  })

  const output = (words: string) => ({ type: 'terminal.output', payload: { text: words } })

  it('[TERM-10] [TERM-12] history is trimmed where its state can be cut, and who comes from before gets that state and all that follows', async () => {
    const { start, sessions } = createWorld()
    const { engine } = await start({ retention: { terminal: { max_events: 5, max_bytes: null, max_age_ms: null } } })
    await engine.createSession(admin, terminal('t'))
    for (let n = 2; n <= 20; n++) await sessions.get('t')?.commit({ events: [output(String(n))] })
    await engine.sweep()
    expect((await engine.getSession(admin, 't')).floor_seq, '15 is surplus, 14 can be cut').toBe(14)
    expect(await engine.snapshot(admin, 't', 14)).toMatchObject({ seq: 14, state: { count: 14 } })
    expect(await engine.snapshot(admin, 't', 17)).toMatchObject({ seq: 16, state: { count: 16 } })
    const taken = await take(await engine.attach(admin, 't', { cursor: { seq: 3 } }))
    expect(taken.controls.map(({ type, seq }) => [type, seq])).toEqual([
      ['protocol.hello', undefined],
      ['protocol.gap', undefined],
      ['protocol.snapshot', 20],
      ['protocol.caught_up', 20],
    ])
  })

  it('[TERM-12] [SEQ-03] a state a little before the head is followed by exactly what it lacks, and the gap says no more than is left out', async () => {
    const { start, sessions, newest } = createWorld()
    const { engine } = await start()
    await engine.createSession(admin, terminal('t'))
    for (let n = 2; n <= 20; n++) await sessions.get('t')?.commit({ events: [output('x'.repeat(100_000))] })
    newest.set('t', { seq: 18, state: { count: 18 } })
    const taken = await take(await engine.attach(admin, 't', { mode: 'auto', cursor: { seq: 2 } }))
    expect(taken.controls.find(({ type }) => type === 'protocol.gap')?.payload).toEqual({ from_seq: 3, to_seq: 18, reason: 'skipped' })
    expect(taken.seqs).toEqual([19, 20])
    expect(taken.controls.at(-1)).toMatchObject({ type: 'protocol.caught_up', payload: { seq: 20 } })
    newest.set('t', { seq: 1, state: { count: 1 } })
    const stuck = await take(await engine.attach(admin, 't', { mode: 'auto', cursor: { seq: 2 } }))
    expect(
      stuck.controls.map(({ type }) => type),
      'nothing can be skipped',
    ).toEqual(['protocol.hello', 'protocol.caught_up'])
    expect(stuck.seqs).toEqual(Array.from({ length: 18 }, (_, index) => index + 3))
  })
})
