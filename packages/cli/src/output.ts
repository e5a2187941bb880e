import { stripVTControlCharacters, styleText } from 'node:util'
import type { Io } from './io.ts'

export type Style = Parameters<typeof styleText>[0]

/** Colours where a person looks at a terminal and did not say NO_COLOR. */
export type Paint = (style: Style, text: string) => string

export const paintFor = (io: Io): Paint =>
  io.isTerminal && !io.env.NO_COLOR ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text

/** A column of a table; the last one takes what is left of the line. */
export interface Column<Row> {
  readonly title: string
  readonly text: (row: Row) => string
  readonly align?: 'right'
  readonly style?: (row: Row) => Style | undefined
  /** May be cut, with an ellipsis, on a terminal that is too narrow. */
  readonly cut?: boolean
}

const widthOf = (text: string): number => stripVTControlCharacters(text).length

/** Text for one line of a terminal: control characters from elsewhere can't move the cursor or colour anything. */
export const oneLine = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\s+/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .trim()

/** The same for several lines. */
export const plainText = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\n\t])\p{Cc}/gu, '')

export function cutTo(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}

/** A table with a heading, columns two spaces apart. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], paint: Paint, maxWidth?: number): string {
  const cells = rows.map(row => columns.map(column => oneLine(column.text(row))))
  const widths = columns.map((column, index) => Math.max(column.title.length, ...cells.map(line => widthOf(line[index] ?? ''))))
  const excess = widths.reduce((sum, width) => sum + width + 2, -2) - (maxWidth ?? Number.POSITIVE_INFINITY)
  const flexible = columns.findIndex(column => column.cut)
  if (excess > 0 && flexible >= 0) widths[flexible] = Math.max(8, (widths[flexible] ?? 0) - excess)
  const draw = (texts: readonly string[], style: (index: number) => Style | undefined): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0
        const shown = cutTo(text, width)
        const wanted = style(index)
        const painted = wanted === undefined ? shown : paint(wanted, shown)
        const space = ' '.repeat(Math.max(0, width - widthOf(shown)))
        if (columns[index]?.align === 'right') return space + painted
        return index === columns.length - 1 ? painted : painted + space
      })
      .join('  ')
  const heading = draw(
    columns.map(column => column.title),
    () => 'dim',
  )
  return [heading, ...cells.map((line, at) => draw(line, index => columns[index]?.style?.(rows[at] as Row)))].map(line => `${line}\n`).join('')
}

/** `name: value` lines, names padded. */
export function list(entries: readonly (readonly [string, string])[], paint: Paint): string {
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}\n`).join('')
}

/** "3 min ago", for people; `now` without a date. */
export function ago(iso: string | null | undefined, nowMs: number): string {
  if (!iso) return '–'
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000))
  if (seconds < 5) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} days ago`
}

/** "1.4 MB": powers of 1000, three digits. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(2 + (value >= 10 ? 1 : 0))} ${units[unit]}`
}

export const jsonLine = (value: unknown): string => `${JSON.stringify(value)}\n`

/** How a state looks in a table. */
export const stateStyle = (state: string): Style | undefined =>
  ({ running: 'green', idle: 'cyan', waiting: 'yellow', failed: 'red', lost: 'red', ended: 'dim', expired: 'dim' })[state] as Style | undefined
