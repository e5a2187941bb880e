import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GrowthAxis, type GrowthResults, sizeName, threeFigures } from './growth-figures.ts'
import { plotOf } from './growth-plot.ts'

const BEGIN = '<!-- growth -->'
const END = '<!-- /growth -->'

/** Draws the plots into `docs/scaling/` and puts the tables between the markers of `docs/scaling.md`; the names of what was written. */
export function writeGrowthDocs(docs: string, results: GrowthResults): string[] {
  mkdirSync(join(docs, 'scaling'), { recursive: true })
  const written = results.axes.map(axis => {
    const path = join(docs, `scaling/${axis.axis}.svg`)
    writeFileSync(path, plotOf(axis))
    return path
  })
  const page = join(docs, 'scaling.md')
  if (!existsSync(page)) return written
  const text = readFileSync(page, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${page} has no ${BEGIN} … ${END}`)
  writeFileSync(page, `${text.slice(0, begin + BEGIN.length)}\n\n${markdownOf(results)}\n\n${text.slice(end)}`)
  return [...written, page]
}

/** Machine, tables and plots. */
export function markdownOf({ facts, quick, seconds, axes }: GrowthResults): string {
  const machine = `Measured ${String(facts['at']).slice(0, 10)} at commit ${facts['commit']} in ${Math.round(seconds / 60)} min${quick ? ' (quick: to see that it runs, not to quote)' : ''}: ${facts['cores']} cores (${facts['cpu']}), ${facts['memory_gib']} GiB, Linux ${facts['kernel']}, Node ${facts['node']}, SQLite ${facts['sqlite']}; load before ${facts['load_before']}.`
  return [machine, ...axes.map(sectionOf), thumbsOf(axes)].join('\n\n')
}

function sectionOf(growth: GrowthAxis): string {
  const rows = [
    [growth.label, ...growth.measures.map(({ label, unit }) => `${label}, ${unit}`)],
    ['---:', ...growth.measures.map(() => '---:')],
    ...growth.points.map(({ x, values }) => [
      sizeName(growth.axis, x),
      ...growth.measures.map(({ key }) => (values[key] === undefined ? '' : threeFigures(values[key]))),
    ]),
  ]
  const table = rows.map(cells => `| ${cells.join(' | ')} |`).join('\n')
  return `![${growth.measures.map(measure => measure.label).join(', ')} against ${growth.label}](scaling/${growth.axis}.svg)\n\n${table}\n\n${growth.notes.join(' ')}`
}

/** What the figures come to, in words. */
function thumbsOf(axes: readonly GrowthAxis[]): string {
  const thumbs = axes.flatMap(({ axis, measures, points }) => {
    // A list of one session is no whole page.
    const [first, last] = [axis === 'sessions' ? points.find(({ x }) => x >= 1000) : points[0], points.at(-1)]
    if (!first || !last || first === last) return []
    if (axis === 'readers') return deliveriesOf(last)
    const times = measures.flatMap(({ key, label, unit }) => {
      const [before, after] = [first.values[key], last.values[key]]
      return unit !== 'ms' || key === 'disk' || before === undefined || after === undefined ? [] : [`${label} ${threeFigures(after / before)} x`]
    })
    const what = axis === 'sessions' ? ' sessions' : ''
    return [`- A time at ${sizeName(axis, last.x)}${what} divided by that at ${sizeName(axis, first.x)}: ${times.join('; ')}.`]
  })
  return `In short:\n\n${thumbs.join('\n')}`
}

function deliveriesOf({ x, values }: GrowthAxis['points'][number]): string[] {
  const cpu = values['cpu']
  if (cpu === undefined) return []
  const perSecond = 1e6 / cpu
  return [
    `- One second of one core makes ${threeFigures(perSecond)} deliveries at ${sizeName('readers', x)} readers, each event a commit of its own: ${threeFigures(perSecond / x)} events a second to all of them.`,
  ]
}
