/** A small seeded generator (mulberry32): the same seed gives the same stream for ever. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below)
  }
}

export type Step = { readonly text: string } | { readonly resize: readonly [cols: number, rows: number] }

const WORDS = [
  'ls -la',
  'error: ',
  'lqqk',
  'The quick brown fox jumps',
  '漢字',
  'かな',
  '한글',
  '👍',
  'é',
  'e\u0301',
  'a\u0308\u0301',
  '─│┌',
  ' ',
  '      ',
  '~#@[]{}',
  '\u200b',
  '\u0300',
]
const MODES = [1, 6, 12, 25, 45, 66, 9, 1000, 1002, 1003, 1004, 1006, 1016, 1005, 1015, 2004, 2026]
const SGR = ['0', '1', '2', '3', '5', '7', '8', '9', '22', '23', '25', '27', '28', '29', '53', '55', '39', '49']
const UNDERLINES = ['4', '21', '24', '4:3', '4:4', '4:5', '4:0', '59']

/** Plausible output of programs, ill-mannered ones among them: text, colours, motion, erasure, modes, both screens, resizes. */
export function vtStream(seed: number, length: number, { cols = 20, rows = 6, odd = false }: { cols?: number; rows?: number; odd?: boolean } = {}): Step[] {
  const below = seeded(seed)
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const n = (most: number): string => (below(4) === 0 ? '' : String(below(most) + 1))
  // One family a seed, for what no text can bring back: tab stops beyond a narrower screen, looks that disagree after a restored cursor.
  const family = one(['resizes', 'saves', 'styles'] as const)
  const resizes = family === 'resizes'
  const saves = family === 'saves'
  const color = (base: number): string =>
    one([`${base + below(8)}`, `${base + 60 + below(8)}`, `${base + 8};5;${below(256)}`, `${base + 8};2;${below(256)};${below(256)};${below(256)}`])
  const makers: readonly (readonly [weight: number, make: () => string])[] = [
    [30, () => Array.from({ length: 1 + below(5) }, () => one(WORDS)).join('')],
    [6, () => 'x'.repeat(below(cols * 2))],
    [4, () => '漢'.repeat(below(cols))],
    [12, () => one(['\r\n', '\n', '\r', '\r\n\r\n', '\b', '\t', '\x0b', '\x1bD', '\x1bM', '\x1bE'])],
    [
      14,
      () =>
        `\x1b[${one([...SGR, ...(saves ? [] : [...UNDERLINES, `58:5:${below(256)}`, `58:2::${below(256)}:0:9`]), color(30), color(40), `1;${color(30)};${color(40)}`])}m`,
    ],
    [10, () => `\x1b[${below(rows) + 1};${below(cols) + 1}H`],
    [8, () => `\x1b[${n(4)}${one(['A', 'B', 'C', 'D', 'E', 'F', 'a', 'e', 'I', 'Z'])}`],
    [3, () => `\x1b[${n(cols)}${one(['G', '`'])}`],
    [3, () => `\x1b[${n(rows)}d`],
    [6, () => `\x1b[${one(['', '0', '1', '2'])}${one(['J', 'K'])}`],
    [4, () => `\x1b[${n(4)}${one(['@', 'P', 'X', 'L', 'M', 'S', 'T', 'b'])}`],
    [3, () => `\x1b[${below(rows) + 1};${below(rows) + 1}r`],
    [1, () => '\x1b[r'],
    [4, () => `\x1b[?${one(MODES)}${one(['h', 'l'])}`],
    [1, () => `\x1b[${one([4, 20])}${one(['h', 'l'])}`],
    [2, () => `\x1b[4${one(['h', 'l', 'l'])}`],
    [saves ? 6 : 0, () => one(['\x1b7', '\x1b8', '\x1b[s', '\x1b[u', '\x1b[?1048h', '\x1b[?1048l'])],
    [2, () => `\x1b[?${one([47, 1047, 1049])}${one(['h', 'l'])}`],
    [saves ? 0 : 3, () => one(['\x1b(0', '\x1b(B', '\x1b)0', '\x1b)B', '\x1b*A', '\x1b+0', '\x0e', '\x0f', '\x1bn', '\x1bo', '\x1b(4'])],
    [resizes ? 0 : 2, () => one(['\x1bH', '\x1b[g', '\x1b[3g'])],
    [2, () => `\x1b[${below(7)} q`],
    [
      saves ? 0 : 3,
      () =>
        `${one(['\x1b]8;;https://example.com/a\x1b\\', '\x1b]8;id=7;https://example.com/b;c\x07'])}${one(WORDS)}${one(['', '\r\n', '\x1b[4m'])}${one(WORDS)}\x1b]8;;\x07`,
    ],
    [1, () => `\x1b]${one([0, 1, 2])};title ${below(9)} é\x07`],
    [1, () => `\x1b[${one([22, 23])};${below(3)}t`],
    [1, () => one(['\x1b=', '\x1b>', '\x1b#8', '\x1b[!p', '\x1bc'])],
    [1, () => one([`\x1b]4;${below(256)};rgb:12/34/56\x07`, '\x1b]10;#abcdef\x07', '\x1b]11;#010203\x1b\\', '\x1b]112\x07', '\x1b]104;3\x07', '\x1b]104\x07'])],
    [
      odd ? 3 : 0,
      () =>
        one([
          '\x1b[1"q',
          '\x1b[0"q',
          '\x1b[?J',
          '\x1b[?K',
          "\x1b[2'}",
          "\x1b[1'~",
          '\x1b[1 @',
          '\x1b[2 A',
          '\u009b3m',
          '\x1b[1;\x18',
          '\x1b]0;x\x18',
          '\x1b_apc\x1b\\',
        ]),
    ],
  ]
  const total = makers.reduce((sum, [weight]) => sum + weight, 0)
  const steps: Step[] = []
  for (let index = 0; index < length; index++) {
    if (resizes && below(40) === 0) {
      steps.push({ resize: [2 + below(cols * 2), 1 + below(rows * 2)] })
      continue
    }
    let pick = below(total)
    for (const [weight, make] of makers) {
      if (pick < weight) {
        steps.push({ text: make() })
        break
      }
      pick -= weight
    }
  }
  return steps
}
