import { drawLines } from './draw-lines.ts'
import { createInk, type Ink } from './ink.ts'
import { PLAIN, currentPen, disagrees, ofOneMind, openLink, type Pen } from './pen.ts'
import { hangCursor, lastCharacter, placeCursor, reprint } from './place-cursor.ts'
import { CLEAN, charsets, hasSavedCursor, modes, savedPen, scrollRegion, shift, tabStops, titles, underCharset } from './preamble.ts'
import type { Core, Line, ScreenBuffer } from './xterm-internals.ts'

/** Text that redraws everything in a reset terminal of the same size: history, screens, modes, and what no screen shows. */
export function serialize(core: Core): string {
  const { active, normal, alt } = core.buffers
  const onAlt = active === alt
  const ink = createInk()
  ink.put(CLEAN + titles(core))
  drawBuffer(core, ink, normal)
  if (onAlt || hasSavedCursor(alt)) {
    // The normal screen's cursor decides what a resize does to it while the other one shows.
    ink.use({ ...PLAIN, link: ink.pen.link })
    ink.put(`\x1b[${normal.y + 1};${Math.min(normal.x, core.cols - 1) + 1}H\x1b[?1047h\x1b[H`)
    drawBuffer(core, ink, alt)
    if (!onAlt) ink.put('\x1b[?1047l')
  }
  finish(core, ink, active, onAlt)
  return ink.text()
}

/** One buffer with its tab stops, scroll region and saved cursor, from the first column of its first row. */
function drawBuffer(core: Core, ink: Ink, buffer: ScreenBuffer): void {
  const saved = hasSavedCursor(buffer)
  // The alternate screen has no history, but xterm gives it some after it was made lower.
  const skipped = buffer === core.buffers.alt ? buffer.ybase : 0
  const early = saved && buffer.savedY < buffer.ybase && skipped === 0
  const get = (index: number): Line | undefined => buffer.lines.get(index + skipped)
  drawLines(core, ink, get, {
    rows: core.rows,
    count: usedLines(buffer) - skipped,
    ...(early && { stopAt: buffer.savedY, before: () => saveCursor(core, ink, buffer, '') }),
  })
  ink.use({ ...PLAIN, link: ink.pen.link })
  ink.put(tabStops(core, buffer) + scrollRegion(core, buffer))
  if (saved && !early) saveCursor(core, ink, buffer, `\x1b[${Math.min(Math.max(buffer.savedY - buffer.ybase, 0), core.rows - 1) + 1}d`)
}

/** xterm counts a saved row from the first line of history: a row that is in history by now is saved as it goes by. */
function saveCursor(core: Core, ink: Ink, buffer: ScreenBuffer, toRow: string): void {
  ink.use(savedPen(buffer.savedCurAttrData))
  ink.put(`${toRow}\x1b[${Math.min(buffer.savedX, core.cols - 1) + 1}G${underCharset(buffer.savedCharset, '\x1b7')}\r`)
}

/** With history every row must scroll; without it the blank rows at the end are there already. */
function usedLines({ lines, ybase }: ScreenBuffer): number {
  let count = lines.length
  while (ybase === 0 && count > 0) {
    const line = lines.get(count - 1)
    if (!line || line.isWrapped || line._data.some((value, index) => value !== (index % 3 === 0 ? BLANK : 0))) break
    count--
  }
  return count
}

const BLANK = 1 << 22

/** Modes, pen and cursor. What moves the cursor comes before it is placed. */
function finish(core: Core, ink: Ink, active: ScreenBuffer, onAlt: boolean): void {
  const { _curAttrData } = core._inputHandler
  const { decPrivateModes, modes: ansi } = core.coreService
  const { charset, glevel, _charsets } = core._charsetService
  const pending = active.x >= core.cols
  if (decPrivateModes.origin) ink.put('\x1b[?6h')
  const last = lastCharacter(core, active)
  const again = core._inputHandler._parser.precedingJoinState === 0 ? undefined : last?.again
  const placed = onAlt && pending && again === undefined && hangCursor(core, ink, active, last)
  // Any sequence will do: what was printed last must not be what this printed.
  if (placed) ink.put('\x1b[?7h')
  ink.put(charsets(core) + modes(core))
  const pen = currentPen(core, _curAttrData)
  const odd = disagrees(_curAttrData)
  if ((odd || charset !== _charsets[glevel]) && !placed) {
    // Only a restored cursor leaves the pen or the charset like this.
    if (odd) {
      ink.use({ ...PLAIN, underline: pen.underline, underlineColor: pen.underlineColor, link: pen.link })
      ink.put('\x1b8')
      if (charset === _charsets[glevel]) ink.put(shift(core))
      if (ofOneMind(_curAttrData)) ink.put(openLink(pen.link))
      ink.pen = { ...ink.pen, ...looksOf(savedPen(active.savedCurAttrData)) }
    } else {
      ink.put('\x1b8\x1b[m')
      ink.pen = { ...PLAIN, link: ink.pen.link }
    }
  }
  ink.use(pen)
  if (ansi.insertMode) ink.put('\x1b[4h')
  if (placed) return
  // So a mark that follows joins the last character, and a repeat repeats it.
  if (last && again !== undefined) reprint(core, ink, active, last, again, ansi.insertMode)
  else placeCursor(core, ink, active, onAlt)
}

const looksOf = ({ fg, bg, flags }: Pen): Pick<Pen, 'fg' | 'bg' | 'flags'> => ({ fg, bg, flags })
