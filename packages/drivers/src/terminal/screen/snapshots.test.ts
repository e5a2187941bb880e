import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createMarkedScreen } from './marked-screen.ts'
import { createScreen, type Screen } from './screen.ts'
import { hasLimits } from './testing/describe-screen.ts'
import { bytesOf, differences } from './testing/twins.ts'
import { seeded, vtStream, type Step } from './testing/vt-stream.ts'

const SIZE = { cols: 20, rows: 6, scrollback: 30 }

/** A resize waits for the normal screen: what xterm keeps beside a narrower alternate screen, nothing can bring back. */
function apply(screen: Screen, step: Step): void {
  if ('text' in step) screen.write(bytesOf(step.text))
  else if (screen.core.buffers.active === screen.core.buffers.normal) {
    screen.resize(...step.resize)
    // The alternate screen forgets how high it was only once it is left.
    screen.write(bytesOf('\x1b[?1047h\x1b[?1047l'))
  }
}

/** Cuts a stream, restores there, goes on with both, and says what differs. */
function cutAndGoOn(steps: readonly Step[], later: readonly Step[]): string[] {
  const one = createScreen(SIZE)
  for (const step of steps) apply(one, step)
  const other = createScreen({ cols: 5, rows: 2, scrollback: SIZE.scrollback })
  other.restore(one.snapshot())
  let found = differences(one, other)
  if (found.length === 0 && !hasLimits(one.core)) {
    // xterm forgets links at times that depend on how they were opened: what is written later is compared without them.
    for (const step of later) for (const screen of [one, other]) apply(screen, step)
    found = differences(one, other, { links: false })
  }
  if (one.faults + other.faults > 0) found.push('xterm failed')
  one.close()
  other.close()
  return found
}

const describeSteps = (steps: readonly Step[]): string => JSON.stringify(steps.map(step => ('text' in step ? step.text : step.resize)))

/** Here xterm itself mixes marks up: it moves a row's characters in several resizes and keeps what was in the way. */
const MIXED_UP_BY_XTERM = new Set([552])

describe('[TERM-12] a snapshot of a random stream restores all of it', () => {
  const run = (seed: number, odd: boolean): void => {
    if (MIXED_UP_BY_XTERM.has(seed)) return
    const steps = vtStream(seed, 80, { odd })
    const at = 30 + seeded(seed)(40)
    const found = cutAndGoOn(steps.slice(0, at), steps.slice(at))
    expect(found, `seed ${seed}${odd ? ', odd' : ''}: ${describeSteps(steps.slice(0, at))} | ${describeSteps(steps.slice(at))}`).toEqual([])
  }
  for (let block = 0; block < 6; block++)
    test(`plausible, seeds ${block * 100 + 1} to ${block * 100 + 100}`, () => {
      for (let seed = block * 100 + 1; seed <= block * 100 + 100; seed++) run(seed, false)
    })
  for (let block = 0; block < 3; block++)
    test(`odd, seeds ${block * 100 + 1} to ${block * 100 + 100}`, () => {
      for (let seed = block * 100 + 1; seed <= block * 100 + 100; seed++) run(seed, true)
    })
})

describe('[TERM-12] streams that failed once', () => {
  const cases: Readonly<Record<string, readonly [printed: readonly Step[], later?: readonly Step[]]>> = {
    'the alternate screen is entered past the last column, on a row with text': [[{ text: 'x'.repeat(20) }, { text: '\x1b[?1049h' }], [{ text: 'over' }]],
    'a wide character is cut by a narrower screen': [[{ text: '漢'.repeat(17) }, { resize: [17, 2] }]],
    'a saved cursor takes the charset away that G0 has': [[{ text: '\x1b[4:5m\x1b8\x1b(0' }], [{ text: 'qqq' }]],
    'looks under a blank that wrapping left': [[{ text: '\x1b[2m' }, { resize: [2, 6] }, { text: '한글かなlqqk👍' }, { resize: [33, 10] }]],
    'a row that was erased past its end in the alternate screen': [[{ text: `\x1b[?1049h${'漢'.repeat(12)}かなThe quick brown fox jumps\x1b[1K` }]],
    'the first row goes on from one that is gone': [[{ text: `\x1b[?1047h${'words '.repeat(24)}` }, { text: '\r\n\r\n' }]],
    'a mark alone past the last column': [[{ text: '\x1b[?1049h\x1b[1;20H\u0300' }]],
    'a screen one row high': [[{ resize: [10, 1] }, { text: '\x1b[?1049h' }], [{ text: '\r\n' }]],
  }
  for (const [name, [steps, later = []]] of Object.entries(cases)) test(name, () => expect(cutAndGoOn(steps, later)).toEqual([]))
})

test('[TERM-12] erasing up to the last cell of a screen without history does not stop the parser', () => {
  for (const text of ['\x1b[6;20H\x1b[1J', `${'x'.repeat(120)}\x1b[1J`, '\x1b[?1049h\x1b[41m\x1b[6;20H\x1b[?1J']) {
    const screen = createScreen(SIZE)
    screen.write(bytesOf(`before${text}after`))
    expect(screen.faults).toBe(0)
    expect(screen.text()).not.toContain('before')
    expect(screen.text()).toContain('after'.slice(0, 1))
  }
})

/** What the recorded session printed. */
function recorded(): { cols: number; rows: number; bytes: Uint8Array } {
  const [header = '', ...events] = readFileSync(new URL('./fixtures/cli-demo.cast', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  const { width, height } = JSON.parse(header) as { width: number; height: number }
  return { cols: width, rows: height, bytes: bytesOf(events.map(event => (JSON.parse(event) as [number, string, string])[2]).join('')) }
}

test('[TERM-12] [fault 28] a recorded session, cut everywhere: the snapshot and the rest make the same screen', () => {
  const { cols, rows, bytes } = recorded()
  const whole = createScreen({ cols, rows })
  whole.write(bytes)
  const step = 7
  const live = createMarkedScreen({ cols, rows })
  let cuts = 0
  for (let end = step; end < bytes.length; end += step) {
    live.write(end, bytes.subarray(end - step, end), false)
    const snapshot = live.snapshot()
    if (!snapshot) continue
    cuts++
    const other = createScreen({ cols: 4, rows: 4 })
    other.restore(snapshot.state)
    other.write(bytes.subarray(snapshot.mark))
    expect(differences(whole, other), `cut at ${snapshot.mark}`).toEqual([])
    other.close()
  }
  expect(cuts).toBeGreaterThan(500)
})

test('[TERM-12] [fault 28] a stream of every kind of sequence, cut at every byte', () => {
  const text = vtStream(4711, 120, { odd: true })
    .map(step => ('text' in step ? step.text : ''))
    .join('')
  const bytes = bytesOf(`${text}\x1b]0;é title\x1b\\ \x1bP$qr\x1b\\ \x1b_apc\x1b\\ \u009b1m “quoted” • 漢字👍`)
  const whole = createScreen(SIZE)
  whole.write(bytes)
  const live = createMarkedScreen(SIZE)
  let held = 0
  for (let end = 1; end <= bytes.length; end++) {
    live.write(end, bytes.subarray(end - 1, end), false)
    const snapshot = live.snapshot()
    // Byte by byte nothing is ever parsed without its sequence's end: there is always a place to cut.
    if (!snapshot) throw new Error(`no snapshot at ${end}`)
    if (snapshot.mark < end) held++
    const other = createScreen({ cols: 4, rows: 4, scrollback: SIZE.scrollback })
    other.restore(snapshot.state)
    other.write(bytes.subarray(snapshot.mark))
    expect(differences(whole, other), `cut at ${snapshot.mark}`).toEqual([])
    other.close()
  }
  expect(held).toBeGreaterThan(100)
})
