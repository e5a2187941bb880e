import { describe, expect, test } from 'vitest'
import { createScreen, type Attention } from './screen.ts'
import { QUERIES } from './testing/probe.ts'
import { bytesOf, screenOf } from './testing/twins.ts'
import { coreOf, createTerminal } from './xterm-internals.ts'

const SIZE = { cols: 20, rows: 6 }

describe('[fault 23] answers to queries', () => {
  const answered = (live: boolean, text: string): string[] => {
    const answers: string[] = []
    const screen = createScreen({ ...SIZE, onReply: answer => answers.push(answer) })
    screen.live = live
    screen.write(bytesOf(text))
    return answers
  }

  test('are given to nobody while old output is fed again', () => {
    expect(answered(false, QUERIES.repeat(3))).toEqual([])
  })

  test('are given once each at the live edge', () => {
    const queries = [
      ['\x1b[c', '\x1b[?1;2c'],
      ['\x1b[>c', '\x1b[>0;276;0c'],
      ['\x1b[5n', '\x1b[0n'],
      ['\x1b[3;4H\x1b[6n', '\x1b[3;4R'],
      ['\x1b[?6n', '\x1b[?3;4R'],
      ['\x1b[?2004h\x1b[?2004$p', '\x1b[?2004;1$y'],
      ['\x1b[?1006$p', '\x1b[?1006;2$y'],
      ['\x1b[4$p', '\x1b[4;2$y'],
      ['\x1bP$qr\x1b\\', '\x1bP1$r1;6r\x1b\\'],
      ['\x1b]10;?\x07', '\x1b]10;rgb:ffff/ffff/ffff\x1b\\'],
      ['\x1b]11;?\x1b\\', '\x1b]11;rgb:0000/0000/0000\x1b\\'],
      ['\x1b]12;?\x07', '\x1b]12;rgb:ffff/ffff/ffff\x1b\\'],
      ['\x1b]4;1;?\x07', '\x1b]4;1;rgb:cccc/0000/0000\x1b\\'],
      ['\x1b]4;196;?\x07', '\x1b]4;196;rgb:ffff/0000/0000\x1b\\'],
      ['\x1b[18t', '\x1b[8;6;20t'],
    ] as const
    expect(answered(true, queries.map(([query]) => query).join(''))).toEqual(queries.map(([, answer]) => answer))
  })

  test('are not given for a snapshot', () => {
    const answers: string[] = []
    const asked = screenOf(QUERIES)
    const screen = createScreen({ ...SIZE, onReply: answer => answers.push(answer) })
    screen.live = true
    screen.restore(asked.snapshot())
    expect(answers).toEqual([])
    expect(screen.live).toBe(false)
  })

  test('are given for nothing that a snapshot holds', () => {
    const answers: string[] = []
    const screen = createScreen({ ...SIZE, onReply: answer => answers.push(answer) })
    screen.live = true
    screen.write(bytesOf(screenOf(`${QUERIES}\x1b[?1004h\x1b]0;\u00e9\x07x`).snapshot().screen))
    expect(answers).toEqual([])
  })

  test('[OPS-01] are not given to the clipboard', () => {
    expect(answered(true, '\x1b]52;c;?\x07\x1b]52;c;aGk=\x07')).toEqual([])
  })
})

describe('[fault 23] calls for attention', () => {
  const calls = (text: string, live = true): Attention[] => {
    const out: Attention[] = []
    const screen = createScreen({ ...SIZE, onAttention: attention => out.push(attention) })
    screen.live = live
    screen.write(bytesOf(text))
    return out
  }
  const said = (text: string): Attention[] => [{ reason: 'notification', text }]

  test('the bell, but not where it ends a title', () => expect(calls('\x1b]0;t\x07a\x07')).toEqual([{ reason: 'bell' }]))
  test('OSC 9', () => expect(calls('\x1b]9;build done\x07')).toEqual(said('build done')))
  test('OSC 9 for progress or a folder is none', () => expect(calls('\x1b]9;4;1;50\x07\x1b]9;9;/tmp\x07\x1b]9;\x07')).toEqual([]))
  test('OSC 777', () => expect(calls('\x1b]777;notify;Agent;needs you; now\x1b\\')).toEqual(said('Agent: needs you; now')))
  test('OSC 777 with another command is none', () => expect(calls('\x1b]777;precmd\x07')).toEqual([]))
  test('OSC 99', () => expect(calls('\x1b]99;;Hello\x1b\\')).toEqual(said('Hello')))
  test('OSC 99 in parts, of which one is base64', () =>
    expect(calls('\x1b]99;i=1:d=0;Ag\x07\x1b]99;i=1:d=0;ent\x07\x1b]99;i=1:p=body:e=1;ZG9uZQ==\x07')).toEqual(said('Agent: done')))
  test('OSC 99 that asks or closes is none', () => expect(calls('\x1b]99;i=1:p=?;\x07\x1b]99;i=1:p=close;\x07')).toEqual([]))
  test('a long one is cut', () => expect(calls(`\x1b]9;${'x'.repeat(5000)}\x07`)).toEqual(said('x'.repeat(1000))))
  test('none for output that is fed again', () => expect(calls('\x07\x1b]9;x\x07\x1b]777;notify;a\x07\x1b]99;;y\x07', false)).toEqual([]))
})

describe('a screen', () => {
  test('[fault 28] is at ground only between sequences and characters', () => {
    const screen = createScreen(SIZE)
    const euro = bytesOf('€')
    for (const [bytes, ground] of [
      [bytesOf('text'), true],
      [bytesOf('\x1b['), false],
      [bytesOf('31'), false],
      [bytesOf('m'), true],
      [euro.subarray(0, 2), false],
      [euro.subarray(2), true],
      [bytesOf('\x1b]0;title'), false],
      [bytesOf('\x1b'), false],
      [bytesOf('\\'), true],
    ] as const) {
      screen.write(bytes)
      expect(screen.isGround).toBe(ground)
      if (!ground) expect(() => screen.snapshot()).toThrow(/between sequences/)
    }
    expect(screen.title).toBe('title')
    expect(screen.text()).toBe('text€\n')
  })

  test('[TERM-08] [fault 28] shows the same however its bytes are cut', () => {
    const text = 'é — “quoted” … • 漢字 👍🏽 ‐ \u2000 \uffff'
    const whole = screenOf(text, { cols: 60, rows: 3 })
    for (let size = 1; size < 6; size++) {
      const cut = createScreen({ cols: 60, rows: 3 })
      const bytes = bytesOf(text)
      for (let at = 0; at < bytes.length; at += size) cut.write(bytes.subarray(at, at + size))
      expect(cut.text()).toBe(whole.text())
    }
  })

  test('keeps nothing of the memory that it was given', () => {
    const screen = createScreen(SIZE)
    const bytes = Buffer.from('a€')
    screen.write(bytes.subarray(0, 3))
    bytes.fill(0x78)
    screen.write(Uint8Array.of(0xac))
    expect(screen.text()).toBe('a€\n')
  })

  test('as text: the screen, or all with wrapped rows joined', () => {
    const screen = screenOf(`${'0123456789'.repeat(3)}\r\n${'line\r\n'.repeat(8)}\x1b[31mend  \x1b[m   `)
    expect(screen.text()).toBe(`${'line\n'.repeat(5)}end\n`)
    expect(screen.text({ scrollback: true })).toBe(`${'0123456789'.repeat(3)}\n${'line\n'.repeat(8)}end\n`)
    screen.write(bytesOf('\x1b[?1049h\x1b[Hvim'))
    expect(screen.text()).toBe('vim\n')
    expect(screen.text({ scrollback: true })).toBe(`${'0123456789'.repeat(3)}\n${'line\n'.repeat(3)}vim\n`)
    expect(createScreen(SIZE).text()).toBe('')
  })

  test('keeps as many lines of history as it was told to', () => {
    const screen = createScreen({ ...SIZE, scrollback: 10 })
    for (let line = 0; line < 100; line++) screen.write(bytesOf(`line ${line}\r\n`))
    expect(screen.text({ scrollback: true }).split('\n')[0]).toBe('line 85')
  })

  test('follows a resize', () => {
    const screen = screenOf('0123456789012345678')
    screen.resize(10, 4)
    expect([screen.cols, screen.rows]).toEqual([10, 4])
    expect(screen.snapshot()).toMatchObject({ cols: 10, rows: 4 })
  })
})

test('an xterm that keeps its state elsewhere is refused by name', () => {
  const { terminal, core } = createTerminal(10, 3, 0)
  expect(coreOf(terminal)).toBe(core)
  const charsets = Object.create(core, { _charsetService: { value: {} } }) as object
  expect(() => coreOf(Object.create(terminal, { _core: { value: charsets } }) as typeof terminal)).toThrow(
    /elsewhere: _charsetService\.glevel, _charsetService\._charsets/,
  )
})
