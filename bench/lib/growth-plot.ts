import { type GrowthAxis, type GrowthMeasure, sizeName, threeFigures } from './growth-figures.ts'

// Sizes in pixels of the drawing.
const WIDTH = 760
const PANEL = 250
const GAP = 26
const TOP = 18
const LEFT = 66
const RIGHT = 196
const BOTTOM = 52
const LINE = 16

/** In the middle of the scale, so that they can be read on white and on black. */
const COLORS = ['#2f81f7', '#d9730d', '#2da44e', '#bf4b8a', '#8957e5'] as const
const INK = '#7d8590'
const MARKERS = [
  (x: number, y: number) => `<circle cx="${x}" cy="${y}" r="4.5"/>`,
  (x: number, y: number) => `<rect x="${x - 4}" y="${y - 4}" width="8" height="8"/>`,
  (x: number, y: number) => `<path d="M${x} ${y - 5.5}l5.5 10h-11z"/>`,
  (x: number, y: number) => `<path d="M${x} ${y - 6}l6 6l-6 6l-6 -6z"/>`,
  (x: number, y: number) => `<path d="M${x} ${y + 5.5}l5.5 -10h-11z"/>`,
] as const

/** A position for each value, with powers of ten at even distances. */
interface Scale {
  readonly at: (value: number) => number
  readonly least: number
  readonly most: number
}

function scaleOf(least: number, most: number, from: number, to: number): Scale {
  const span = Math.max(1e-9, Math.log10(most / least))
  return { least, most, at: value => round(from + (Math.log10(value / least) / span) * (to - from)) }
}

const round = (pixels: number): number => Math.round(pixels * 10) / 10

/** 1, 2 and 5 times the powers of ten. */
function ticksOf({ least, most }: Scale, steps: readonly number[]): number[] {
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++)
    for (const step of steps) if (step * 10 ** power >= least * 0.999 && step * 10 ** power <= most * 1.001) ticks.push(step * 10 ** power)
  return ticks
}

/** `10 k` instead of `10,000`: names below the plot must not lie on each other. */
function shortName(axis: GrowthAxis['axis'], value: number): string {
  if (axis === 'log-size' || value < 1000) return sizeName(axis, value)
  return value < 1e6 ? `${value / 1000} k` : `${value / 1e6} M`
}

/** The next 1, 2 or 5 of a power of ten, below or above. */
function rounded(value: number, direction: 'down' | 'up'): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const steps = [1, 2, 5, 10].map(step => step * power)
  return direction === 'down' ? (steps.findLast(step => step <= value * 1.001) ?? power) : (steps.find(step => step >= value * 0.999) ?? 10 * power)
}

const text = (x: number, y: number, content: string, more = ''): string => `<text x="${x}" y="${y}"${more}>${content}</text>`
const line = (x1: number, y1: number, x2: number, y2: number, more = ''): string => `<path d="M${x1} ${y1}L${x2} ${y2}"${more}/>`

/** A drawing of an axis, log-log: a panel for each unit, a line for each measure. */
export function plotOf(growth: GrowthAxis): string {
  const xs = growth.points.map(point => point.x)
  const x = scaleOf(Math.min(...xs), Math.max(...xs, Math.min(...xs) * 10), LEFT + 14, WIDTH - RIGHT)
  const units = [...new Set(growth.measures.map(measure => measure.unit))]
  const height = TOP + units.length * PANEL + (units.length - 1) * GAP + BOTTOM
  const panels = units.map((unit, index) => panelOf(growth, unit, x, TOP + index * (PANEL + GAP)))
  const names = xs.map(value => text(x.at(value), height - BOTTOM + 20, shortName(growth.axis, value), ' text-anchor="middle"'))
  const label = text((LEFT + WIDTH - RIGHT) / 2, height - 10, growth.label, ' text-anchor="middle"')
  const about = `${growth.measures.map(measure => measure.label).join('; ')}: against ${growth.label}, both scales logarithmic`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="${INK}" role="img" aria-label="${about}">`,
    `<title>${about}</title>`,
    ...panels,
    ...names,
    label,
    '</svg>\n',
  ].join('\n')
}

function panelOf(growth: GrowthAxis, unit: GrowthMeasure['unit'], x: Scale, top: number): string {
  const measures = growth.measures.filter(measure => measure.unit === unit)
  const figuresOf = (key: string) => growth.points.flatMap(point => (point.values[key] === undefined ? [] : [{ x: point.x, value: point.values[key] }]))
  const all = measures.flatMap(({ key }) => figuresOf(key).map(figure => figure.value))
  const least = rounded(Math.min(...all), 'down')
  const y = scaleOf(least, Math.max(rounded(Math.max(...all), 'up'), least * 10), top + PANEL, top)
  const steps = y.most / y.least > 1000 ? [1] : [1, 2, 5]
  const grid = ticksOf(y, steps).map(
    tick =>
      line(LEFT, y.at(tick), WIDTH - RIGHT + 14, y.at(tick), ` stroke="${INK}" stroke-opacity="0.28"`) +
      text(LEFT - 8, y.at(tick) + 4.5, threeFigures(tick), ' text-anchor="end"'),
  )
  const posts = growth.points.map(point => line(x.at(point.x), top, x.at(point.x), top + PANEL, ` stroke="${INK}" stroke-opacity="0.16"`))
  const ends = apart(measures.map(({ key }) => y.at(figuresOf(key).at(-1)?.value ?? y.least)))
  const lines = measures.map(({ key, label }, place) => {
    const points = figuresOf(key).map(figure => ({ x: x.at(figure.x), y: y.at(figure.value) }))
    const color = COLORS[place % COLORS.length]
    const marker = MARKERS[place % MARKERS.length] ?? MARKERS[0]
    const path = `<path d="M${points.map(point => `${point.x} ${point.y}`).join('L')}" fill="none" stroke="${color}" stroke-width="2"/>`
    const name = text((points.at(-1)?.x ?? LEFT) + 12, round((ends[place] ?? 0) + 4.5), label, ` fill="${color}"`)
    return `${path}<g fill="${color}">${points.map(point => marker(point.x, point.y)).join('')}</g>${name}`
  })
  const base = line(LEFT, top + PANEL, WIDTH - RIGHT + 14, top + PANEL, ` stroke="${INK}" stroke-opacity="0.7"`)
  const title = `<text transform="translate(16 ${top + PANEL / 2}) rotate(-90)" text-anchor="middle">${unit}</text>`
  return [...grid, ...posts, base, title, ...lines].join('\n')
}

/** The same heights, moved so that names at them do not lie on each other. */
function apart(heights: readonly number[]): number[] {
  const order = heights.map((height, index) => ({ height, index })).sort((a, b) => a.height - b.height)
  for (let round = 0; round < 20; round++) {
    for (let i = 1; i < order.length; i++) {
      const [above, below] = [order[i - 1], order[i]]
      if (!above || !below) continue
      const missing = LINE - (below.height - above.height)
      if (missing <= 0) continue
      above.height -= missing / 2
      below.height += missing / 2
    }
  }
  const moved = [...heights]
  for (const { height, index } of order) moved[index] = height
  return moved
}
