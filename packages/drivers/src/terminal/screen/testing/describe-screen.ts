import { charsetFinal, type Attributes, type Core, type Line, type ScreenBuffer } from '../xterm-internals.ts'

/** Everything that can make two terminals differ, now or after more output, as lines that a test can compare. */
export function describeScreen(core: Core, { links = true } = {}): string[] {
  if (!links)
    return describeScreen({
      ...core,
      cols: core.cols,
      rows: core.rows,
      buffers: core.buffers,
      options: core.options,
      _oscLinkService: { getLinkData: () => undefined },
    })
  const { active, normal, alt } = core.buffers
  const { isCursorHidden, modes, decPrivateModes } = core.coreService
  const { charset, glevel, _charsets } = core._charsetService
  const input = core._inputHandler
  return [
    `size ${core.cols}x${core.rows} ${active === alt ? 'alternate' : 'normal'}`,
    `cursor ${active.x},${active.y} hidden ${isCursorHidden}`,
    `pen ${attributes(core, input._curAttrData, true)}`,
    `modes ${JSON.stringify({ ...modes, ...decPrivateModes })} lnm ${core.options.convertEol} blink ${core.options.cursorBlink}`,
    `mouse ${core.coreMouseService.activeProtocol} ${core.coreMouseService.activeEncoding}`,
    `charsets ${[0, 1, 2, 3].map(level => charsetFinal(_charsets[level])).join('')} at ${glevel}, now ${charsetFinal(charset)}`,
    `titles ${JSON.stringify([input._windowTitle, input._iconName, input._windowTitleStack, input._iconNameStack])}`,
    // Without wrapping, what was printed last need not be on the screen.
    `last printed ${decPrivateModes.wraparound ? width(input._parser.precedingJoinState) : '-'}`,
    ...describeBuffer(core, normal, 'normal', active === alt),
    ...describeBuffer(core, alt, 'alternate', false),
  ]
}

const width = (join: number): number => (join >> 1) & 3

function describeBuffer(core: Core, buffer: ScreenBuffer, name: string, resting: boolean): string[] {
  const stops = Array.from({ length: core.cols }, (_, column) => column).filter(column => buffer.tabs[column])
  const { fg, bg } = buffer.savedCurAttrData
  // A row below the screen is taken for its last one, a column past the last for the last.
  const savedY = Math.min(buffer.savedY, buffer.ybase + core.rows - 1)
  const lines = Array.from({ length: buffer.lines.length }, (_, index) => buffer.lines.get(index))
  return [
    `${name}: history ${buffer.ybase} region ${buffer.scrollTop}-${buffer.scrollBottom} tabs ${stops.join()}`,
    `${name}: saved ${Math.min(buffer.savedX, core.cols - 1)},${savedY} ${colors(fg, bg)} ${(fg & UNDERLINE) >>> 28}${(bg & EXTENDED) >>> 28} ${charsetFinal(buffer.savedCharset)}`,
    ...(resting ? [`${name}: rests at ${Math.min(buffer.x, core.cols - 1)},${buffer.y}`] : []),
    ...lines.map((line, index) => (line ? `${name} ${index}${line.isWrapped && index > 0 ? ' wrapped' : ''}: ${describeLine(core, line)}` : '')),
  ]
}

/** Runs of cells that look the same. Half a wide character in the last column, which a narrower screen leaves, counts as a space. */
function describeLine(core: Core, line: Line): string {
  const out: string[] = []
  let looks: string | undefined
  for (let column = 0; column < Math.min(line.length, core.cols); column++) {
    const content = line._data[column * 3] ?? 0
    const text = (content & 0x200000) !== 0 ? line._combined[column] : (content & 0x1fffff) === 0 ? '␀' : String.fromCodePoint(content & 0x1fffff)
    const cell = attributes(
      core,
      { fg: line._data[column * 3 + 1] ?? 0, bg: line._data[column * 3 + 2] ?? 0, extended: line._extendedAttrs[column] ?? NONE },
      false,
    )
    const before = column === 0 ? 0 : (line._data[column * 3 - 3] ?? 0)
    const tail = content === 0 && before >>> 22 === 2
    if (cell !== looks && !tail) {
      out.push(`<${cell}>`)
      looks = cell
    }
    out.push(tail ? '' : content >>> 22 === 1 || content === 0 ? (text ?? '') : isHalf(line, column, core.cols) ? ' ' : `[${text}${content >>> 22}]`)
  }
  return out.join('')
}

/** A wide character without its second half. */
function isHalf(line: Line, column: number, cols: number): boolean {
  const next = line._data[column * 3 + 3] ?? 0
  if ((line._data[column * 3] ?? 0) >>> 22 !== 2) return false
  return column === cols - 1 || (next !== 0 && !(column === cols - 2 && (next & 0x3fffff) === 0))
}

/**
 * Whether a screen holds what no text can bring back: half of a wide character, a saved cursor that now lies outside of the screen,
 * a first row that goes on from one that is gone. Nothing of it shows at once.
 */
export function hasLimits(core: Core): boolean {
  const { active, normal, alt } = core.buffers
  if ([normal, alt].some(({ savedX, savedY, ybase }) => savedX >= core.cols || savedY >= ybase + core.rows)) return true
  for (let index = 0; index < active.lines.length; index++) {
    const line = active.lines.get(index)
    if (index === 0 && line?.isWrapped) return true
    for (let column = 0; line && column < core.cols; column++) if (isHalf(line, column, core.cols)) return true
  }
  return false
}

const UNDERLINE = 0x10000000
const EXTENDED = 0x10000000
const NONE = {
  underlineStyle: 0,
  underlineColor: 0,
  urlId: 0,
  clone: () => ({ underlineStyle: 0, underlineColor: 0, urlId: 0, clone: () => NONE }),
} as Attributes['extended']

const color = (packed: number): string => {
  const mode = (packed >> 24) & 3
  return mode === 0 ? '-' : `${'-pxr'[mode]}${(mode === 3 ? packed & 0xffffff : packed & 0xff).toString(16)}`
}

const FG_FLAGS = [0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x80000000]
const BG_FLAGS = [0x4000000, 0x8000000, 0x20000000, 0x40000000]
const bits = (value: number, masks: readonly number[]): string => masks.map(mask => ((value & mask) === 0 ? '.' : '#')).join('')

const colors = (fg: number, bg: number): string => `${color(fg)}/${color(bg)} ${bits(fg, FG_FLAGS)}${bits(bg, BG_FLAGS)}`

/** Of the pen that prints next also what does not show yet. */
function attributes(core: Core, { fg, bg, extended }: Attributes, all: boolean): string {
  const link = extended.urlId === 0 || (!all && (bg & EXTENDED) === 0) ? undefined : core._oscLinkService.getLinkData(extended.urlId)
  const bare = extended.clone()
  bare.urlId = 0
  const has = (bg & EXTENDED) !== 0
  if (all) {
    const forgotten = extended.urlId !== 0 && !link
    const drawn = `${(fg & UNDERLINE) === 0 ? 0 : 1}${(forgotten ? bare.underlineStyle !== 0 : has) ? 1 : 0}`
    return `${colors(fg, bg)} u${drawn}.${bare.underlineStyle} ${color(extended.underlineColor)} ${link ? `${link.id ?? ''}|${link.uri}` : ''}`
  }
  // A link whose address xterm dropped is only dashes.
  if (has && extended.urlId !== 0 && !link) return `${colors(fg, bg)} u5 ${color(extended.underlineColor)}`
  const underline = (fg & UNDERLINE) === 0 ? 0 : has ? bare.underlineStyle || 1 : 1
  return `${colors(fg, bg)} u${underline} ${has && (underline !== 0 || link) ? color(extended.underlineColor) : '-'}${link ? ` ${link.id ?? ''}|${link.uri}` : ''}`
}
