import type { Folded } from '@holdfast/core'
import type { Event } from '@holdfast/protocol'
import { afterAll, describe, expect, it } from 'vitest'
import { payloadFromBytes } from './output-events.ts'
import { createScreens } from './screen/screens.ts'
import { foldScreen } from './screen-fold.ts'

const screens = createScreens({ onReply: () => unexpected('a reply'), onAttention: () => unexpected('a call'), onLost: () => unexpected('a loss') })
const surprises: string[] = []
const unexpected = (what: string): void => void surprises.push(what)
afterAll(() => screens.close())

const event = (seq: number, type: string, payload: unknown): Event => ({
  type,
  header: { id: `e${seq}`, session_id: 't', seq, timestamp: '2026-01-01T00:00:00.000Z', version: 1 },
  payload,
})

async function* stream(events: readonly Event[]): AsyncGenerator<Event> {
  yield* events
}

/** Output with colours, titles, characters of every width, queries and modes, cut anywhere. */
function log(seed: number): Event[] {
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % below
  }
  const pieces = [
    'hello ',
    'é€😀',
    '\r\n',
    '\x1b[31m',
    '\x1b[0m',
    '\x1b]0;a title that is long\x07',
    '\x1b[6n',
    '\x07',
    '\x1b[2;5H',
    '\x1b[?1049h',
    '\x1b[?1049l',
    '\x1b[?25l',
    '\x1b[4 q',
  ]
  const bytes = Buffer.from(Array.from({ length: 400 }, () => pieces[random(pieces.length)]).join(''))
  const events = [event(1, 'terminal.started', { pid: 1, command: 'x', cwd: '/', cols: 60, rows: 10, incarnation: 1 })]
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random(60)
    events.push(event(events.length + 1, 'terminal.output', payloadFromBytes(bytes.subarray(at, at + size))))
    at += size
    if (random(15) === 0) events.push(event(events.length + 1, 'terminal.resized', { cols: 40 + random(40), rows: 5 + random(20) }))
    if (random(30) === 0) events.push(event(events.length + 1, 'session.warning', { message: 'x' }))
  }
  return events
}

describe('a fold of a terminal', () => {
  it.each([1, 2, 3, 4, 5, 6])('[TERM-10] [TERM-12] [fault 28] of the log is that of any snapshot and what follows it (seed %i)', async seed => {
    const events = log(seed)
    const whole = await foldScreen(screens, 't', undefined, stream(events))
    expect(whole.state).toMatchObject({ incarnation: 1 })
    for (let at = seed; at < events.length; at += 7) {
      const base: Folded = await foldScreen(screens, 't', undefined, stream(events.slice(0, at)))
      expect(base.seq).toBeLessThanOrEqual(at)
      const stored = JSON.parse(JSON.stringify(base)) as Folded
      expect(await foldScreen(screens, 't', stored, stream(events.slice(base.seq))), `from ${base.seq}`).toEqual(whole)
    }
  })

  it('[TERM-12] inside a sequence it ends where the sequence began, and a base alone is what it was', async () => {
    const events = [
      event(1, 'terminal.started', { cols: 20, rows: 3, incarnation: 2 }),
      event(2, 'terminal.output', { text: 'seen' }),
      event(3, 'terminal.output', { text: '\x1b]0;never' }),
      event(4, 'terminal.output', { text: ' ends' }),
    ]
    const folded = await foldScreen(screens, 't', undefined, stream(events))
    expect(folded).toMatchObject({ seq: 2, state: { cols: 20, rows: 3, incarnation: 2, screen: expect.stringContaining('seen') } })
    expect(await foldScreen(screens, 't', folded, stream([]))).toEqual(folded)
    expect(await foldScreen(screens, 't', undefined, stream([]))).toEqual({ seq: 0, state: { cols: 80, rows: 24, incarnation: 0, screen: '' } })
  })

  it('[fault 23] has no effects: what a program asked then is not answered now', () => {
    expect(surprises).toEqual([])
  })
})
