import type { Row } from './case.ts'

const UNITS: readonly (readonly [number, string])[] = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e4, 'k'],
]

/** Three figures, with k, M or G where that is shorter. */
export function figure(value: number): string {
  for (const [size, letter] of UNITS) if (Math.abs(value) >= size) return `${Number((value / (letter === 'k' ? 1e3 : size)).toPrecision(3))} ${letter}`
  return String(Number(value.toPrecision(3)))
}

const ratio = (value: number | null): string => (value === null ? '' : `${Number(value.toPrecision(3))} x`)

/** The cells of a row, for people: case, metric, ours, peer, limit, target, verdict. */
export function cells(row: Row): readonly string[] {
  const side = (value: number | null, name: string | null, of: number | null): string => (value === null ? '' : `${figure(value)} (${ratio(of)}) ${name ?? ''}`)
  return [
    row.case,
    row.metric,
    `${figure(row.ours)} ${row.unit}`,
    side(row.peer, row.peer_name, row.ratio_peer),
    side(row.limit, row.limit_name, row.ratio_limit),
    row.target ?? '',
    row.ok === null ? '' : row.ok ? 'ok' : 'MISSED',
  ]
}

export const HEADINGS = ['case', 'metric', 'Holdfast', 'peer (ours / peer)', 'limit (ours / limit)', 'target', ''] as const

/** A table for a terminal. */
export function tableFrom(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map(line => (line[column] ?? '').length)))
  return lines
    .map(line =>
      line
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
