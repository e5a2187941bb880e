import { describe, expect, it } from 'vitest'
import { check, createHistory, hashBytes, hashText, type History, type Reader, type Rule } from './index.ts'

const EPOCH = 'e1'
const bytesAt = (seq: number): bigint => hashText(`bytes of ${seq}`)
const stateAt = (seq: number): bigint => hashText(`state at ${seq}`)
const input = (key: string) => ({ key, body: hashText(`body of ${key}`) })
const rulesOf = (history: History): Rule[] => check(history).map(violation => violation.rule)

type Hello = Parameters<Reader['hello']>[0]

const hello = (cursor: number, more: Partial<Hello> = {}): Hello => ({ epoch: EPOCH, resume: cursor === 0 ? 'new' : 'ok', head: cursor, floor: 0, ...more })

function attach(reader: Reader, cursor: number, more: Partial<Hello> = {}): void {
  reader.attach(cursor)
  reader.hello(hello(cursor, more))
}

/** One client that sends a and b and gets acks 1 and 2, one reader that sees both live, one that replays. */
function sound(): { history: History; live: Reader } {
  const history = createHistory()
  const live = history.reader('live', 's')
  attach(live, 0)
  live.caughtUp(0)
  for (const [index, key] of ['a', 'b'].entries()) {
    history.send('s', key, input(key).body)
    history.ack(key, { seq: index + 1, duplicate: false })
    live.apply(index + 1, bytesAt(index + 1), input(key))
  }
  live.state(2, stateAt(2))
  const replay = history.reader('final', 's')
  attach(replay, 0, { head: 2 })
  replay.apply(1, bytesAt(1), input('a'))
  replay.apply(2, bytesAt(2), input('b'))
  replay.caughtUp(2)
  replay.state(2, stateAt(2))
  replay.settled()
  history.final({ session: 's', epoch: EPOCH, floor: 0, head: 2 })
  return { history, live }
}

describe('the oracle', () => {
  it('finds nothing in a sound history, nor in retries, gaps, snapshots, resets and a change of epoch', () => {
    const { history, live } = sound()
    history.send('s', 'b', input('b').body)
    history.ack('b', { seq: 2, duplicate: true })
    history.send('s', 'never stored', 1n)
    history.refuse('never stored')
    const lagging = history.reader('lagging', 's')
    attach(lagging, 0, { head: 2, floor: 1, resume: 'gap' })
    lagging.gap(1, 1)
    lagging.snapshot(2, stateAt(2))
    lagging.caughtUp(2)
    attach(lagging, 7, { head: 2, resume: 'reset' })
    lagging.snapshot(2, stateAt(2))
    attach(lagging, 2, { resume: 'ok' })
    lagging.settled()
    live.attach(2)
    live.hello({ epoch: EPOCH, resume: 'ok', head: 2, floor: 0, live: true })
    const elsewhere = history.reader('of another epoch', 's')
    attach(elsewhere, 0, { epoch: 'e2', head: 1 })
    elsewhere.apply(1, 99n)
    expect(check(history)).toEqual([])
  })

  it('finds an acked input that is not in the log, and one whose place holds something else', () => {
    const { history } = sound()
    history.send('s', 'c', 1n)
    history.ack('c', { seq: 3, duplicate: false })
    expect(rulesOf(history)).toEqual(['acked-lost'])
    const other = sound().history
    other.send('s', 'c', 1n)
    other.ack('c', { seq: 2, duplicate: false })
    expect(rulesOf(other)).toContain('acked-lost')
  })

  it('finds an input that is stored twice, acked or not', () => {
    const { history } = sound()
    const reader = history.reader('reader', 's')
    attach(reader, 2, { head: 3 })
    reader.apply(3, bytesAt(3), input('a'))
    expect(rulesOf(history)).toEqual(['stored-twice'])
    const unacked = createHistory()
    unacked.send('s', 'u', input('u').body)
    const second = unacked.reader('reader', 's')
    attach(second, 0, { head: 2 })
    second.apply(1, 1n, input('u'))
    second.apply(2, 2n, input('u'))
    expect(rulesOf(unacked)).toEqual(['stored-twice'])
  })

  it('finds a body that is not the one sent, and a refused input that was stored', () => {
    const history = createHistory()
    history.send('s', 'a', 1n)
    const reader = history.reader('reader', 's')
    attach(reader, 0)
    reader.apply(1, 5n, { key: 'a', body: 2n })
    expect(rulesOf(history)).toEqual(['body-changed'])
    history.refuse('a')
    expect(rulesOf(history)).toEqual(['body-changed', 'refused-but-stored'])
  })

  it('finds a repeat that got another seq, and two acks that both claim to be the first', () => {
    const { history } = sound()
    history.send('s', 'a', input('a').body)
    history.ack('a', { seq: 2, duplicate: true })
    expect(rulesOf(history)).toContain('acks-differ')
    const twice = sound().history
    twice.send('s', 'a', input('a').body)
    twice.ack('a', { seq: 1, duplicate: false })
    expect(rulesOf(twice)).toEqual(['acks-differ'])
  })

  it('finds an input that was sent after an ack and lies before it', () => {
    const { history, live } = sound()
    history.send('s', 'late', input('late').body)
    history.ack('late', { seq: 1, duplicate: false })
    expect(rulesOf(history)).toContain('order')
    expect(live.history.name).toBe('live')
  })

  it('[fault 3] finds other bytes at the same place', () => {
    const { history } = sound()
    const reader = history.reader('reader', 's')
    attach(reader, 0, { head: 1 })
    reader.apply(1, bytesAt(77), input('a'))
    expect(rulesOf(history)).toEqual(['bytes-differ'])
  })

  it.each<[string, number, Hello | undefined, (reader: Reader) => void]>([
    ['a hole', 0, hello(0), reader => reader.apply(2, bytesAt(2))],
    ['events from before the cursor', 1, hello(1), reader => reader.apply(1, bytesAt(1))],
    ['a gap that leaves out more than it says', 0, hello(0, { resume: 'gap', floor: 2 }), reader => reader.gap(2, 2)],
    ['a snapshot from before the cursor', 2, hello(2), reader => reader.snapshot(1, stateAt(1))],
    ['an event before hello', 0, undefined, reader => reader.apply(1, bytesAt(1))],
    ['a reset that starts anywhere', 9, hello(9, { resume: 'reset', head: 2 }), reader => reader.apply(2, bytesAt(2))],
    [
      'a repeat',
      0,
      hello(0),
      reader => {
        reader.apply(1, bytesAt(1))
        reader.apply(1, bytesAt(1))
      },
    ],
    [
      'a hole at the handover',
      1,
      hello(1),
      reader => {
        reader.caughtUp(1)
        reader.apply(3, bytesAt(3))
      },
    ],
  ])('[SEQ-03] finds %s', (_name, cursor, greeting, read) => {
    const { history } = sound()
    const reader = history.reader('reader', 's')
    reader.attach(cursor)
    if (greeting) reader.hello(greeting)
    read(reader)
    expect(rulesOf(history)).toEqual(['hole'])
  })

  it('finds a caught_up that comes too early, folds that differ, and a reader that is stuck', () => {
    const { history } = sound()
    const early = history.reader('early', 's')
    attach(early, 0, { head: 2 })
    early.caughtUp(0)
    expect(rulesOf(history)).toEqual(['caught-up-early'])
    const folds = sound()
    folds.live.state(2, stateAt(3))
    expect(rulesOf(folds.history)).toEqual(['folds-differ'])
    const snapshot = sound().history
    const reader = snapshot.reader('reader', 's')
    attach(reader, 0, { resume: 'snapshot', head: 2 })
    reader.snapshot(2, stateAt(1))
    expect(rulesOf(snapshot)).toEqual(['folds-differ'])
    const stuck = sound().history
    const lagging = stuck.reader('lagging', 's')
    attach(lagging, 1, { head: 2 })
    lagging.settled()
    expect(rulesOf(stuck)).toEqual(['stuck'])
  })

  it('refuses a harness that uses one key for two bodies', () => {
    const { history } = sound()
    expect(() => history.send('s', 'a', 7n)).toThrow('two inputs')
    expect(() => history.ack('unknown', { seq: 1, duplicate: false })).toThrow('never sent')
  })

  it('judges a hundred thousand events of five readers in seconds and a few dozen bytes each', () => {
    const history = createHistory()
    const readers = Array.from({ length: 5 }, (_, index) => history.reader(`r${index}`, 's'))
    for (const reader of readers) attach(reader, 0)
    for (let seq = 1; seq <= 100_000; seq++) {
      const sent = input(`k${seq}`)
      history.send('s', sent.key, sent.body)
      history.ack(sent.key, { seq, duplicate: false })
      for (const reader of readers) reader.apply(seq, bytesAt(seq), sent)
    }
    history.final({ session: 's', epoch: EPOCH, floor: 0, head: 100_000 })
    expect(check(history)).toEqual([])
  })

  it('hashes differ for bytes that differ in one bit, in order, or in length', () => {
    const hashes = new Set<bigint>()
    for (let index = 0; index < 20_000; index++) hashes.add(hashText(`event ${index}`))
    for (let bit = 0; bit < 800; bit++) {
      const bytes = new Uint8Array(100)
      bytes[bit >> 3] = 1 << (bit & 7)
      hashes.add(hashBytes(bytes))
    }
    for (let length = 0; length < 100; length++) hashes.add(hashBytes(new Uint8Array(length)))
    expect(hashes.size).toBe(20_900)
    expect(hashText('abc')).toBe(hashBytes(new TextEncoder().encode('abc')))
  })
})
