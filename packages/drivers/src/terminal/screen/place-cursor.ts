import type { Ink } from './ink.ts'
import { PLAIN, colorOf, isForgotten, penAt, penOf, samePen, type Pen } from './pen.ts'
import type { Charset, Core, Line, ScreenBuffer } from './xterm-internals.ts'

const CODE = 0x1fffff
const COMBINED = 0x200000

/** Puts the cursor where it is, also past the last column, where the next character wraps. */
export function placeCursor(core: Core, ink: Ink, { x, y, scrollTop, scrollBottom }: ScreenBuffer, onAlt: boolean): void {
  const { origin } = core.coreService.decPrivateModes
  const outside = origin && (y < scrollTop || y > scrollBottom)
  if (!onAlt && (x >= core.cols || outside)) {
    // The normal screen takes over the cursor of the other one, whose region is whole, and which is gone afterwards.
    ink.put(`\x1b[?1047h\x1b[${y + 1};${Math.min(x, core.cols - 1) + 1}H${x >= core.cols ? 'x' : ''}\x1b[?1047l`)
    return
  }
  ink.put(`\x1b[${y - (origin ? scrollTop : 0) + 1};${Math.min(x, core.cols - 1) + 1}H`)
}

/** The character before the cursor: printed once more, it brings back what only printing leaves behind. */
export interface LastCharacter {
  readonly column: number
  readonly width: number
  readonly text: string
  readonly pen: Pen
  /** What prints it with the pen and charset that are current; undefined where nothing does. */
  readonly again: string | undefined
}

export function lastCharacter(core: Core, buffer: ScreenBuffer): LastCharacter | undefined {
  const { origin } = core.coreService.decPrivateModes
  const line = buffer.lines.get(buffer.ybase + buffer.y)
  if (!line || buffer.x === 0 || buffer.x > core.cols) return undefined
  if (origin && (buffer.y < buffer.scrollTop || buffer.y > buffer.scrollBottom)) return undefined
  const tail = (line._data[(buffer.x - 1) * 3] ?? 0) === 0 ? 1 : 0
  const column = buffer.x - 1 - tail
  const content = column < 0 ? 0 : (line._data[column * 3] ?? 0)
  const width = content >>> 22
  if ((content & (CODE | COMBINED)) === 0 || (width !== 1 + tail && width + tail !== 0)) return undefined
  const pen = penAt(core, line, column)
  const text = textOf(line, column, content)
  const current = core._inputHandler._curAttrData
  const { fg, bg, extended } = current
  const again = width > 0 && !isForgotten(core, current) && samePen(pen, penOf(core, fg, bg, extended)) ? typed(text, core._charsetService.charset) : undefined
  return { column, width, text, pen, again }
}

/** Prints it where it is. In insert mode it makes room for itself. */
export function reprint(core: Core, ink: Ink, { y, scrollTop }: ScreenBuffer, { column, width }: LastCharacter, text: string, inserts: boolean): void {
  const { origin } = core.coreService.decPrivateModes
  ink.put(`\x1b[${y - (origin ? scrollTop : 0) + 1};${column + 1}H${inserts ? `\x1b[${width}P` : ''}${text}`)
}

/**
 * Puts the cursor past the last column of the alternate screen, before modes and charsets are set. False where that can't be: with a
 * blank in the last column of a row that is not blank.
 */
export function hangCursor(core: Core, ink: Ink, buffer: ScreenBuffer, last: LastCharacter | undefined): boolean {
  if (last) {
    ink.use(last.pen)
    reprint(core, ink, buffer, last, last.text, false)
    return true
  }
  const line = buffer.lines.get(buffer.ybase + buffer.y)
  const background = colorOf(line?._data[2] ?? 0)
  const { origin } = core.coreService.decPrivateModes
  if (!line || origin) return false
  for (let column = 0; column < core.cols; column++)
    if (((line._data[column * 3] ?? 0) & (CODE | COMBINED)) !== 0 || !samePen(penAt(core, line, column), { ...PLAIN, bg: background })) return false
  ink.use({ ...PLAIN, bg: background, link: ink.pen.link })
  ink.put(`\x1b[${buffer.y + 1};${core.cols}Hx\x1b[1K`)
  return true
}

const textOf = (line: Line, column: number, content: number): string =>
  (content & COMBINED) === 0 ? String.fromCodePoint(content & CODE) : (line._combined[column] ?? '')

/** What has to arrive for this text to be printed under a charset; undefined where nothing does that. */
function typed(text: string, charset: Charset | undefined): string | undefined {
  if (charset === undefined) return text
  let out = ''
  for (const character of text) {
    const code = character.charCodeAt(0)
    const key = Object.keys(charset).find(name => charset[name] === character)
    if (key !== undefined) out += key
    else if (code < 127 && charset[character] !== undefined) return undefined
    else out += character
  }
  return out
}
