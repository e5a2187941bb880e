import type { DriverSession, Folded } from '@holdfast/core'
import { bytesFromText, chunksFromEvents, type Event } from '@holdfast/protocol'
import { createVirtualClock } from '@holdfast/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import type { Batch } from './gatherer.ts'
import { createLiveScreen } from './live-screen.ts'
import { payloadFromBytes } from './output-events.ts'
import { createScreens, ScreenError, type Screens } from './screen/screens.ts'
import { foldScreen } from './screen-fold.ts'

const replies: string[] = []
const real = createScreens({ onReply: (_id, text) => void replies.push(text), onAttention: () => undefined, onLost: () => undefined })
afterAll(() => real.close())

const logger = { debug() {}, info() {}, warn() {}, error() {} }

/** A log with what a live screen needs of its session. */
function createLog(id: string) {
  const events: Event[] = []
  const snapshots = new Map<number, string>()
  const add = (type: string, payload: unknown): number => {
    const seq = events.length + 1
    events.push({ type, header: { id: `e${seq}`, session_id: id, seq, timestamp: '2026-01-01T00:00:00.000Z', version: 1 }, payload })
    return seq
  }
  const session = {
    id,
    get head() {
      return events.length
    },
    async snapshot() {
      const seq = Math.max(-1, ...snapshots.keys())
      return seq < 0 ? undefined : { seq, state: snapshots.get(seq) as string }
    },
    keepSnapshot: async (seq: number, state: string) => void snapshots.set(seq, state),
    read: async (after: number) =>
      chunksFromEvents(
        events.slice(after).map(event => bytesFromText(JSON.stringify(event))),
        after + 1,
        1 << 20,
      )[0],
  } as unknown as DriverSession
  /** Appends and gives the batch, as the gatherer does. */
  const print = (text: string): [Batch, number] => {
    const bytes = Buffer.from(text)
    const payload = payloadFromBytes(bytes)
    const seq = add('terminal.output', payload)
    return [{ events: [{ type: 'terminal.output', payload }], bytes: [bytes], offset: 0 }, seq]
  }
  async function* all(): AsyncGenerator<Event> {
    yield* events
  }
  add('terminal.started', { pid: 1, command: 'x', cwd: '/', cols: 30, rows: 5, incarnation: 1 })
  return { session, events, snapshots, print, all }
}

describe('a live screen', () => {
  it('[TERM-12] is the fold of the log, answers what is new, and keeps a snapshot when it is quiet', async () => {
    const { session, print, all, snapshots } = createLog('quiet')
    const clock = createVirtualClock()
    const live = createLiveScreen({ screens: real, session, clock, logger, incarnation: 1 })
    for (const text of ['one\r\n\x1b[31m', 'two', '\x1b[', '6n', '\x1b]0;title\x07']) await live.write(...print(text))
    const newest = (await live.newest()) as Folded
    expect(newest).toEqual(await foldScreen(real, 'quiet', undefined, all()))
    expect(newest.seq).toBe(6)
    expect(replies).toEqual(['\x1b[2;4R'])
    clock.advance(1000)
    await live.newest()
    expect([...snapshots.keys()]).toEqual([6])
    await live.close()
  })

  it('[TERM-04] after a restart it goes on from the newest snapshot and the log, and answers nothing of it again', async () => {
    const { session, print, all } = createLog('again')
    const clock = createVirtualClock()
    const first = createLiveScreen({ screens: real, session, clock, logger, incarnation: 1 })
    await first.write(...print('one\x1b[6n'))
    await first.close()
    print('two\x1b[6n')
    const before = replies.length
    const second = createLiveScreen({ screens: real, session, clock, logger, incarnation: 1 })
    await second.write(...print('three'))
    expect(await second.newest()).toEqual(await foldScreen(real, 'again', undefined, all()))
    expect(replies.length).toBe(before)
    await second.close()
  })

  it('[TERM-12] lost with its worker, it is built again from the log by what is printed next', async () => {
    const { session, print, all } = createLog('lost')
    let isLost = false
    const screens: Screens = {
      ...real,
      write: (...given) => (isLost ? Promise.reject(new ScreenError('lost', 'gone')) : real.write(...given)),
      snapshot: id => (isLost ? Promise.reject(new ScreenError('lost', 'gone')) : real.snapshot(id)),
    }
    const live = createLiveScreen({ screens, session, clock: createVirtualClock(), logger, incarnation: 1 })
    await live.write(...print('one\r\n'))
    isLost = true
    await live.write(...print('two\r\n'))
    expect(await live.newest()).toBeUndefined()
    isLost = false
    await live.write(...print('three'))
    expect(await live.newest()).toEqual(await foldScreen(real, 'lost', undefined, all()))
    await live.close()
  })
})
