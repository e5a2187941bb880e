import { describe, expect, test } from 'vitest'
import { createScreen, type Screen } from './screen.ts'
import { QUERIES, differencesLater } from './testing/probe.ts'
import { bytesOf, differences } from './testing/twins.ts'

const SIZE = { cols: 20, rows: 6 }

/** What a program printed, and something that says that it took effect; without one, what it changes is in the description. */
interface Case {
  readonly name: string
  readonly printed: string
  readonly shows?: (screen: Screen) => boolean
}

const decset = (...modes: number[]): string => modes.map(mode => `\x1b[?${mode}h`).join('')
const private_ = (name: keyof Screen['core']['coreService']['decPrivateModes'], value: unknown) => (screen: Screen) =>
  screen.core.coreService.decPrivateModes[name] === value
const protocol = (name: string) => (screen: Screen) => screen.core.coreMouseService.activeProtocol === name
const encoding = (name: string) => (screen: Screen) => screen.core.coreMouseService.activeEncoding === name

const CASES: readonly Case[] = [
  { name: 'nothing at all', printed: '' },
  { name: 'plain text', printed: 'one\r\ntwo' },
  { name: 'X10 mouse (9)', printed: decset(9), shows: protocol('X10') },
  { name: 'mouse buttons (1000)', printed: decset(1000), shows: protocol('VT200') },
  { name: 'mouse drags (1002)', printed: decset(1002), shows: protocol('DRAG') },
  { name: 'mouse motion (1003)', printed: decset(1003), shows: protocol('ANY') },
  { name: 'SGR mouse (1006)', printed: decset(1000, 1006), shows: encoding('SGR') },
  { name: 'SGR mouse in pixels (1016)', printed: decset(1003, 1016), shows: encoding('SGR_PIXELS') },
  { name: 'mouse encodings that xterm left out (1005, 1015)', printed: decset(1000, 1005, 1015), shows: encoding('DEFAULT') },
  { name: 'focus reports (1004)', printed: decset(1004), shows: private_('sendFocus', true) },
  { name: 'bracketed paste (2004)', printed: decset(2004), shows: private_('bracketedPasteMode', true) },
  { name: 'application cursor keys (1)', printed: decset(1), shows: private_('applicationCursorKeys', true) },
  { name: 'application keypad (DECKPAM)', printed: '\x1b=', shows: private_('applicationKeypad', true) },
  { name: 'application keypad (66)', printed: decset(66), shows: private_('applicationKeypad', true) },
  { name: 'a hidden cursor (25)', printed: 'text\x1b[?25l', shows: screen => screen.cursor.hidden },
  { name: 'a blinking cursor (12)', printed: decset(12), shows: screen => screen.core.options.cursorBlink },
  ...[1, 2, 3, 4, 5, 6].map(style => ({ name: `cursor style ${style}`, printed: `\x1b[${style} q`, shows: private_('cursorBlink', style % 2 === 1) })),
  { name: 'cursor style put back', printed: '\x1b[5 q\x1b[0 q', shows: private_('cursorStyle', undefined) },
  { name: 'a scroll region', printed: 'head\x1b[2;4r\x1b[4;3Hlast row of it', shows: screen => screen.core.buffers.active.scrollBottom === 3 },
  { name: 'the cursor below the scroll region', printed: '\x1b[2;4r\x1b[6;3Hstatus' },
  { name: 'G0 as line drawing', printed: '\x1b(0lqqk', shows: screen => screen.text().startsWith('┌──┐') },
  { name: 'G1 as line drawing, shifted in', printed: '\x1b)0\x0elqqk', shows: screen => screen.core._charsetService.glevel === 1 },
  { name: 'G1 as line drawing, shifted out', printed: '\x1b)0\x0elqqk\x0fq' },
  { name: 'G2 and G3', printed: '\x1b*0\x1b+A\x1bnqq', shows: screen => screen.core._charsetService.glevel === 2 },
  { name: 'a national charset', printed: '\x1b(A###', shows: screen => screen.text().startsWith('£££') },
  { name: 'a saved cursor with its looks', printed: '\x1b[3;5H\x1b[1;31m\x1b7\x1b[m\x1b[Helsewhere' },
  { name: 'a saved cursor with its charset', printed: '\x1b(0\x1b[2;2H\x1b7\x1b(B\x1b[5;5Hxx' },
  { name: 'a saved cursor that scrolled away', printed: `\x1b[32m\x1b[4;7H\x1b7\x1b[m${'\r\nline'.repeat(20)}` },
  { name: 'a cursor saved while the screen scrolled', printed: `${'line\r\n'.repeat(9)}\x1b[44mhere\x1b7\x1b[m${'\r\nline'.repeat(20)}` },
  { name: 'a saved cursor in each buffer', printed: '\x1b[2;2H\x1b[31m\x1b7\x1b[?1047h\x1b[4;4H\x1b[7m\x1b7\x1b[m\x1b[H' },
  { name: 'a saved cursor in the alternate screen that was left', printed: '\x1b[?1047h\x1b[4;4H\x1b[7m\x1b7\x1b[m\x1b[?1047lback' },
  { name: 'a restored cursor whose underline is gone', printed: '\x1b[4:3m\x1b7\x1b[0;31mx\x1b8' },
  { name: 'a restored cursor whose charset is gone', printed: '\x1b7\x1b(0qq\x1b8qq' },
  { name: 'origin mode (6)', printed: '\x1b[2;4r\x1b[?6h\x1b[2;2Hin', shows: private_('origin', true) },
  { name: 'origin mode, at a place where nothing was printed', printed: '\x1b[2;4r\x1b[?6h\x1b[2;5H\x1b[31m' },
  { name: 'origin mode, the cursor outside of the region', printed: '\x1b[2;4r\x1b[?6h\x1b[?1047h\x1b[6;5H\x1b[?1047l' },
  { name: 'origin mode in the alternate screen', printed: '\x1b[?1049h\x1b[2;4r\x1b[?6h\x1b[3;2Hin', shows: private_('origin', true) },
  { name: 'no wrapping (7)', printed: `\x1b[?7l${'x'.repeat(30)}`, shows: private_('wraparound', false) },
  { name: 'a wide character without room where nothing wraps', printed: `\x1b[?7l${'漢'.repeat(12)}\x1b[m` },
  { name: 'reverse wrapping (45)', printed: `\x1b[?45h${'x'.repeat(25)}`, shows: private_('reverseWraparound', true) },
  { name: 'insert mode (4)', printed: 'abcdef\x1b[4h\x1b[1;3HXY', shows: screen => screen.core.coreService.modes.insertMode },
  { name: 'insert mode right after a sequence', printed: 'abcdef\x1b[1;3H\x1b[4h' },
  { name: 'line feed mode (20)', printed: '\x1b[20hab\ncd', shows: screen => screen.core.options.convertEol },
  { name: 'synchronized output (2026)', printed: '\x1b[?2026hpart', shows: private_('synchronizedOutput', true) },
  ...['4', '4:2', '4:3', '4:4', '4:5', '21'].map(code => ({ name: `underline ${code}`, printed: `a\x1b[${code}mbc` })),
  { name: 'the colour of an underline', printed: '\x1b[4;58:5:200mab\x1b[58:2::1:2:3mcd\x1b[59mef' },
  { name: 'the colour of an underline that comes later', printed: '\x1b[58:5:9mab' },
  { name: 'a link', printed: 'a\x1b]8;;https://example.com/a;b\x1b\\link\x1b]8;;\x1b\\ b' },
  { name: 'a link with an id, over two rows', printed: '\x1b]8;id=x1;https://example.com\x07link that goes over the end\x1b]8;;\x07' },
  { name: 'a link that is open', printed: '\x1b[4:2m\x1b]8;;https://example.com\x07open' },
  { name: 'title and icon name', printed: '\x1b]2;a “title”\x07\x1b]1;icon\x1b\\', shows: screen => screen.title === 'a “title”' },
  {
    name: 'titles that were put aside',
    printed: '\x1b]0;one\x07\x1b[22;0t\x1b]0;two\x07\x1b[22;2t\x1b]2;three\x07',
    shows: screen => screen.title === 'three',
  },
  ...[47, 1047, 1049].map(mode => ({
    name: `alternate screen (${mode}) over the normal one`,
    printed: `${'shell\r\n'.repeat(9)}\x1b[33m$ vim\x1b[?${mode}h\x1b[2J\x1b[H\x1b[m~ file\r\n~`,
    shows: (screen: Screen) => screen.core.buffers.active === screen.core.buffers.alt,
  })),
  { name: 'alternate screen, left again', printed: 'shell\x1b[?1049hvim\x1b[?1049l $', shows: screen => screen.text() === 'shell $\n' },
  { name: 'alternate screen entered past the last column', printed: `${'x'.repeat(20)}\x1b[?1049h` },
  { name: 'tab stops', printed: '\x1b[3g\x1b[5G\x1bH\x1b[11G\x1bH\r\ta\tb' },
  { name: 'no tab stops', printed: '\x1b[3g' },
  { name: 'tab stops of the alternate screen', printed: '\x1b[?1049h\x1b[3g\x1b[4G\x1bH\r\ta' },
  ...[
    '1',
    '2',
    '3',
    '5',
    '7',
    '8',
    '9',
    '53',
    '31',
    '92',
    '38;5;7',
    '38;5;200',
    '38;2;1;3;5',
    '44',
    '103',
    '48;5;17',
    '48;2;9;7;5',
    '1;2;3;4;5;7;8;9;53;35;46',
  ].map(code => ({
    name: `looks ${code}`,
    printed: `a\x1b[${code}mb c\x1b[K\r\nd\x1b[2J\x1b[3;3He`,
  })),
  { name: 'protected cells', printed: 'a\x1b[1"qb\x1b[0"qc\x1b[1"q' },
  { name: 'past the last column', printed: 'x'.repeat(20), shows: screen => screen.cursor.column === 20 },
  { name: 'past the last column, then other looks', printed: `${'x'.repeat(20)}\x1b[31m`, shows: screen => screen.cursor.column === 20 },
  { name: 'past the last column, with a wide character', printed: '漢'.repeat(10), shows: screen => screen.cursor.column === 20 },
  { name: 'past the last column of an erased row', printed: `\x1b[3;1H${'x'.repeat(20)}\x1b[44m\x1b[2K`, shows: screen => screen.cursor.column === 20 },
  {
    name: 'past the last column of the alternate screen',
    printed: `\x1b[?1049h\x1b[2;1H${'x'.repeat(20)}\x1b[31m`,
    shows: screen => screen.cursor.column === 20,
  },
  { name: 'a mark that is still to join', printed: '\x1b[35mcafe' },
  { name: 'a mark that is still to join line drawing', printed: '\x1b(0x' },
  { name: 'rows that wrap', printed: `${'words and '.repeat(9)}\r\nshort` },
  { name: 'rows that wrap into history', printed: 'words and colours \x1b[42mof \x1b[m'.repeat(40) },
  { name: 'a row that wraps with a colour, which is then erased', printed: `\x1b[6;1H${'x'.repeat(20)}\x1b[44mab\x1b[m\x1b[K\r\n${'y'.repeat(20)}\x1b[45mcd` },
  { name: 'blank rows below history', printed: `${'line\r\n'.repeat(9)}\x1b[2J\x1b[H` },
  { name: 'wide characters that wrap early', printed: `x${'\x1b[41m漢\x1b[43m字\x1b[m'.repeat(30)}` },
  { name: 'a row that wraps into an erased one', printed: `${'x'.repeat(30)}\x1b[1K` },
  { name: 'an erased row that wraps', printed: `${'x'.repeat(30)}\x1b[A\x1b[45m\x1b[5G\x1b[K` },
  { name: 'halves of wide characters', printed: '\x1b[31m漢字漢字\x1b[2;1H漢漢\x1b[1;2Hx\x1b[1;7Hy\x1b[2;1H ' },
  { name: 'marks with nothing to sit on', printed: 'ab\x1b[1;2H\u0301\x1b[3;3H\u0308\x1b[4;1H\u0300' },
  { name: 'coloured blanks in history', printed: '\x1b[44m\r\n\x1b[K\r\n\x1b[Kx\r\n'.repeat(8) },
  { name: 'erased history', printed: `${'line\r\n'.repeat(30)}\x1b[3J` },
  { name: 'the screen of Es', printed: '\x1b[31m\x1b#8' },
  { name: 'a soft reset', printed: '\x1b[?1h\x1b[4h\x1b[2;4r\x1b[31mx\x1b[!p' },
  { name: 'a hard reset', printed: '\x1b]2;t\x07\x1b[20h\x1b[?25l\x1b[?2004h\x1b[31mx\x1bcy' },
]

/** A terminal that saw all, and a fresh one that is given the snapshot, with all that they answer from then on. */
function pair(printed: string): { one: Screen; other: Screen; answers: [string[], string[]] } {
  const answers: [string[], string[]] = [[], []]
  const one = createScreen({ ...SIZE, onReply: text => answers[0].push(text) })
  one.write(bytesOf(printed))
  const other = createScreen({ cols: 9, rows: 3, onReply: text => answers[1].push(text) })
  other.restore(one.snapshot())
  return { one, other, answers }
}

describe('[TERM-12] a snapshot restores', () => {
  for (const { name, printed, shows } of CASES)
    test(name, () => {
      const { one, other } = pair(printed)
      if (shows) expect(shows(one)).toBe(true)
      expect(differences(one, other)).toEqual([])
      expect(differencesLater(one, other)).toEqual([])
    })
})

describe('[TERM-12] a snapshot restores what a terminal answers', () => {
  for (const { name, printed } of CASES)
    test(name, () => {
      const { one, other, answers } = pair(printed)
      for (const screen of [one, other]) {
        screen.live = true
        screen.write(bytesOf(QUERIES))
      }
      expect(answers[0].length).toBeGreaterThan(30)
      expect(answers[1]).toEqual(answers[0])
    })

  test('colours of the palette', () => {
    const { one, other, answers } = pair('\x1b]4;1;rgb:12/34/56;200;#abcdef\x07\x1b]10;#010203\x07\x1b]11;rgb:ff/00/ff\x07\x1b]12;#445566\x07')
    for (const screen of [one, other]) {
      screen.live = true
      screen.write(bytesOf('\x1b]4;1;?;200;?;2;?\x07\x1b]10;?\x07\x1b]11;?\x07\x1b]12;?\x07'))
    }
    expect(answers[1]).toEqual(answers[0])
    expect(answers[1]).toContain('\x1b]4;1;rgb:1212/3434/5656\x1b\\')
    expect(answers[1]).toContain('\x1b]11;rgb:ffff/0000/ffff\x1b\\')
  })
})

test('[TERM-12] a terminal that was reset keeps nothing of what it showed before', () => {
  const clean = createScreen(SIZE)
  clean.write(bytesOf('now'))
  const used = createScreen(SIZE)
  used.write(bytesOf('\x1b]0;old\x07\x1b]4;1;#123456\x07\x1b[20h\x1b[?25l\x1b[?12h\x1b[?1003;1006;2004h\x1b[31mold\x1b[?1049h'))
  used.restore(clean.snapshot())
  expect(differences(clean, used)).toEqual([])
})

test('[TERM-12] a snapshot of a snapshot is the same', () => {
  for (const { printed } of CASES) {
    const { one, other } = pair(printed)
    expect(other.snapshot()).toEqual(one.snapshot())
  }
})
