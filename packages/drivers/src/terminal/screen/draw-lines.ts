import type { Ink } from './ink.ts'
import { PLAIN, colorOf, flagsOf, penAt, samePen, type Pen } from './pen.ts'
import type { Core, Line } from './xterm-internals.ts'

const CODE = 0x1fffff
const COMBINED = 0x200000
const WIDTH_SHIFT = 22
const UNDERLINE_OR_EXTENDED = 0x10000000
/** Two columns wide in every terminal; always drawn over. */
const WIDE = '\u3000'

interface Sheet {
  readonly core: Core
  readonly ink: Ink
  readonly cols: number
}

/** Columns that hold something else than a blank of colour `fill`, when a line begins to be drawn. */
interface Ground {
  readonly fill: number
  readonly dirty: Set<number>
}

const contentAt = (line: Line, column: number): number => line._data[column * 3] ?? 0
const isBlank = (content: number): boolean => (content & (CODE | COMBINED)) === 0
const widthOf = (content: number): number => content >>> WIDTH_SHIFT

/** A blank that erasing does not make: it has more than a background, half of a wide character was written over. */
function isTorn(line: Line, column: number, cols: number): boolean {
  if (!isBlank(contentAt(line, column))) return false
  const fg = line._data[column * 3 + 1] ?? 0
  const bg = line._data[column * 3 + 2] ?? 0
  return (colorOf(fg) !== 0 || flagsOf(fg, bg) !== 0 || ((fg | bg) & UNDERLINE_OR_EXTENDED) !== 0) && !isTail(line, column, cols)
}

/** The second half of a wide character. */
const isTail = (line: Line, column: number, cols: number): boolean =>
  column > 0 && column < cols && contentAt(line, column) === 0 && widthOf(contentAt(line, column - 1)) === 2

/** Draws lines one below the other from the first row of a blank screen; what does not fit scrolls into history. */
export function drawLines(
  core: Core,
  ink: Ink,
  get: (index: number) => Line | undefined,
  { rows, count, before, stopAt }: { rows: number; count: number; stopAt?: number; before?: (index: number) => void },
): void {
  const sheet: Sheet = { core, ink, cols: core.cols }
  let above: Line | undefined
  for (let index = 0; index < count; index++) {
    const line = get(index)
    if (!line) return
    const torn = tornRuns(line, sheet.cols)
    const ground = above
      ? nextRow(sheet, above, line, { scrolls: index >= rows, still: torn.length > 0 || index === stopAt })
      : { fill: 0, dirty: new Set<number>() }
    if (index === stopAt) before?.(index)
    drawTorn(sheet, line, torn, ground)
    drawCells(sheet, line, ground, index + 1 < count && get(index + 1)?.isWrapped === true)
    above = line
  }
}

/** Moves to the first column of the next row, or leaves it to the first character to wrap. */
function nextRow(sheet: Sheet, above: Line, line: Line, { scrolls, still }: { scrolls: boolean; still: boolean }): Ground {
  const { core, ink, cols } = sheet
  if (!line.isWrapped) {
    if (scrolls && ink.pen.bg !== 0) ink.use({ ...PLAIN, link: ink.pen.link })
    ink.put('\r\n')
    return { fill: 0, dirty: new Set() }
  }
  const end = contentAt(above, cols - 1)
  const first = contentAt(line, 0)
  const startsWithText = !isBlank(first) && widthOf(first) > 0
  if (!isBlank(end) || isTail(above, cols - 1, cols)) {
    if (startsWithText && !still && !(widthOf(first) === 2 && !isTail(line, 1, cols))) return { fill: scrolls ? penAt(core, line, 0).bg : 0, dirty: new Set() }
    ink.use(PLAIN)
    ink.put('x\r')
    return { fill: 0, dirty: new Set([0]) }
  }
  // A wide character that does not fit leaves a blank of its own looks behind as it wraps.
  const left = penAt(core, above, cols - 1)
  ink.put(`\x1b[${cols}G`)
  ink.use(left)
  ink.put(`${WIDE}\r`)
  return { fill: scrolls ? left.bg : 0, dirty: new Set([0, 1]) }
}

/** Runs of such blanks, as their first and last columns. */
function tornRuns(line: Line, cols: number): (readonly [from: number, to: number])[] {
  const runs: (readonly [number, number])[] = []
  for (let column = 0; column < cols; column++) {
    if (!isTorn(line, column, cols)) continue
    const from = column
    while (column + 1 < cols && isTorn(line, column + 1, cols)) column++
    runs.push([from, column])
  }
  return runs
}

/** Writing over one half of a wide character blanks the other in the pen's looks. What stands beside a run is drawn again later. */
function drawTorn({ core, ink, cols }: Sheet, line: Line, runs: readonly (readonly [from: number, to: number])[], { dirty }: Ground): void {
  for (const [from, to] of runs) {
    const atEnd = to === cols - 1
    for (let step = 0; step <= to - from; step++) {
      const column = atEnd ? to - step : from + step
      const start = atEnd ? Math.max(0, column - 1) : column
      ink.use(penAt(core, line, column))
      ink.put(`\x1b[${start + 1}G${WIDE}\x1b[${(start === column ? start + 1 : start) + 1}Gx`)
      dirty.delete(column)
      dirty.add(start === column ? column + 1 : start)
    }
  }
  if (runs.length > 0) ink.put('\r')
}

function drawCells(sheet: Sheet, line: Line, { fill, dirty }: Ground, continues: boolean): void {
  const { core, ink, cols } = sheet
  let at = 0
  let lastFg = 0
  let lastBg = 0
  let lastPen: Pen | undefined
  const moveTo = (column: number): void => {
    if (column === at) return
    ink.put(column > at ? (column - at === 1 ? '\x1b[C' : `\x1b[${column - at}C`) : `\x1b[${column + 1}G`)
    at = column
  }
  for (let column = 0; column < cols; ) {
    const content = contentAt(line, column)
    if (isBlank(content)) {
      let end = column
      const background = colorOf(line._data[column * 3 + 2] ?? 0)
      const torn = isTorn(line, column, cols) && !dirty.has(column)
      let spoiled = false
      while (
        end < cols &&
        isBlank(contentAt(line, end)) &&
        colorOf(line._data[end * 3 + 2] ?? 0) === background &&
        (isTorn(line, end, cols) && !dirty.has(end)) === torn
      ) {
        if (dirty.has(end)) spoiled = true
        end++
      }
      // The last column of a line that goes on is left to the wrap.
      const wraps = continues && end === cols
      if (!torn && (spoiled || background !== fill) && !(wraps && end - column === 1 && !spoiled)) {
        ink.use({ ...PLAIN, bg: background, link: ink.pen.link })
        moveTo(column)
        // Erasing from the first column to the end would also unwrap the line.
        ink.put(end === cols && column > 0 ? '\x1b[K' : `\x1b[${end - column === 1 ? '' : end - column}X`)
      }
      column = end
      continue
    }
    const width = widthOf(content)
    const fg = line._data[column * 3 + 1] ?? 0
    const bg = line._data[column * 3 + 2] ?? 0
    if (lastPen === undefined || fg !== lastFg || bg !== lastBg || (bg & UNDERLINE_OR_EXTENDED) !== 0) {
      lastPen = penAt(core, line, column)
      lastFg = fg
      lastBg = bg
    }
    moveTo(column)
    if (!samePen(ink.pen, lastPen)) ink.use(lastPen)
    if (width === 0) {
      // A mark with nothing to sit on; a sequence before it keeps it from joining what was printed last.
      ink.put(`\x1b[${column + 1}G${textOf(line, column, content)}`)
      at = column + 1
    } else if (width === 2 && column === cols - 2 && !isTail(line, column + 1, cols)) {
      // Without wrapping, a wide character that finds no room leaves the one before it without its second half.
      const text = textOf(line, column, content)
      ink.put(`\x1b[?7l${text}`)
      ink.use(penAt(core, line, column + 1))
      ink.put(`${WIDE}\x1b[?7h`)
      at = cols
    } else if (width === 2 && !isTail(line, column + 1, cols)) {
      // Half of a wide character, cut by a narrower screen: nothing can print that.
      ink.put(' ')
      at = column + 1
    } else {
      ink.put(textOf(line, column, content))
      at = column + width
    }
    column = at
  }
}

const textOf = (line: Line, column: number, content: number): string =>
  (content & COMBINED) === 0 ? String.fromCodePoint(content & CODE) : (line._combined[column] ?? ' ')
