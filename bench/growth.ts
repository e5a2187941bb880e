// node bench/growth.ts [--quick] [--axis NAME]… [--json] [--out FILE] [--minutes N] [--draw]
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { createContext } from './lib/context.ts'
import type { Context } from './lib/case.ts'
import { writeGrowthDocs } from './lib/growth-docs.ts'
import { type GrowthAxis, type GrowthPlan, type GrowthResults, sizeName, threeFigures } from './lib/growth-figures.ts'
import { measureLogSizes } from './lib/growth-log.ts'
import { measureReaderCounts } from './lib/growth-readers.ts'
import { measureSessionCounts } from './lib/growth-sessions.ts'
import { machineFacts } from './lib/machine.ts'
import { BENCH, ROOT } from './lib/paths.ts'

const HELP = `node bench/growth.ts [options]

Measures what growth costs: more sessions, a larger log, more readers of one log. It takes the built server.

  --quick        smaller sizes: to see that it runs (about 40 s), not to quote
  --axis NAME    only this one; may be given several times: sessions, readers, log-size
  --json         one JSON object for each size on stdout, nothing else
  --out FILE     where the results go (default: bench/results/growth.json for a whole run that is not quick)
  --minutes N    how long it may take, about (default: 8); larger sizes that do not fit in are left out
  --draw         measures nothing: draws docs/scaling/*.svg and the tables of docs/scaling.md from bench/results/growth.json
  --help         this text

A whole run that is not quick ends with drawing, too. Exit code 1 when an axis fails; then nothing is written unless --out says where.`

interface Axis {
  readonly measure: (context: Context, plan: GrowthPlan) => Promise<GrowthAxis>
  readonly whole: readonly number[]
  readonly quick: readonly number[]
  /** Share of the time at whose end no larger size is begun. */
  readonly until: number
}

/** The one whose last size takes longest comes last: it knows what time is left. */
const AXES: Readonly<Record<string, Axis>> = {
  sessions: { measure: measureSessionCounts, whole: [1, 1e3, 1e4, 1e5, 1e6], quick: [1, 1e3, 1e4], until: 0.4 },
  readers: { measure: measureReaderCounts, whole: [1, 10, 100, 1000, 5000, 10_000], quick: [1, 10, 100, 500], until: 0.6 },
  'log-size': { measure: measureLogSizes, whole: [1e6, 1e7, 1e8, 1e9, 1e10], quick: [1e6, 1e7, 1e8], until: 0.95 },
}
const RESULTS = join(BENCH, 'results/growth.json')

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    axis: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    minutes: { type: 'string' },
    draw: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(HELP)
  process.exit(0)
}
if (values.draw) {
  draw(JSON.parse(readFileSync(RESULTS, 'utf8')) as GrowthResults)
  process.exit(0)
}
for (const name of values.axis) {
  if (Object.hasOwn(AXES, name)) continue
  console.error(`There is no axis "${name}". Axes: ${Object.keys(AXES).join(', ')}.`)
  process.exit(2)
}

const minutes = Number(values.minutes ?? (values.quick ? 0.7 : 8))
if (!(minutes > 0)) {
  console.error(`--minutes is a number, not "${values.minutes}".`)
  process.exit(2)
}

function draw(results: GrowthResults): void {
  for (const path of writeGrowthDocs(join(ROOT, 'docs'), results)) console.error(path)
}

const scratchRoot = join(BENCH, '.scratch')
mkdirSync(scratchRoot, { recursive: true })
const scratch = mkdtempSync(join(scratchRoot, 'growth-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

const begun = performance.now()
const say = (text: string): void => console.error(`[${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}`)
const facts = machineFacts()
const axes: GrowthAxis[] = []
let failed = false
for (const [name, axis] of Object.entries(AXES)) {
  if (values.axis.length > 0 && !values.axis.includes(name)) continue
  const context = createContext({ name, quick: values.quick, scratch, say: text => say(`${name}: ${text}`), onRow: () => undefined })
  const plan: GrowthPlan = {
    sizes: values.quick ? axis.quick : axis.whole,
    samples: values.quick ? 200 : 600,
    restarts: values.quick ? 2 : 5,
    deadline: begun + axis.until * minutes * 60_000,
    onPoint: point => values.json && console.log(JSON.stringify({ axis: name, ...point })),
  }
  try {
    axes.push(await axis.measure(context, plan))
  } catch (error) {
    failed = true
    say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  } finally {
    await context.end()
  }
}

const results: GrowthResults = { facts, quick: values.quick, seconds: Math.round((performance.now() - begun) / 1000), axes }
const isWhole = !values.quick && values.axis.length === 0 && !failed
const out = values.out ?? (isWhole ? RESULTS : undefined)
if (out !== undefined) {
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, `${JSON.stringify(results, null, 1)}\n`)
  say(`results: ${out}`)
}
if (!values.json) for (const axis of axes) print(axis)
if (isWhole && values.out === undefined) draw(results)
process.exitCode = failed ? 1 : 0

function print({ axis, label, measures, points, notes }: GrowthAxis): void {
  console.log(`\n${label}`)
  for (const { x, values: found } of points) {
    const figures = measures.map(({ key, label: name, unit }) => `${name} ${found[key] === undefined ? '-' : threeFigures(found[key])} ${unit}`)
    console.log(`${sizeName(axis, x).padStart(10)}  ${figures.join('   ')}`)
  }
  for (const note of notes) console.log(`  ${note}`)
}
