// npm run bench -- [--quick] [--case NAME]… [--json] [--list] [--out FILE]
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Case, Row } from './lib/case.ts'
import { machineFacts } from './lib/machine.ts'
import { BENCH } from './lib/paths.ts'
import { tableFrom } from './lib/table.ts'

const HELP = `npm run bench -- [options]

Measures Holdfast beside its peers and this machine's limits; every figure is a ratio taken in one run.

  --quick        fewer rounds and smaller work: to see that it runs, not to quote
  --case NAME    only this case; may be given several times
  --json         one JSON object a line on stdout, nothing else
  --out FILE     where the results go (default: bench/results/latest.json for a whole run that is not quick)
  --list         the cases
  --help         this text

Exit code 1 when a target is missed or a case fails.`

const ORDER = ['append-1', 'append-64', 'append-512', 'append-batch', 'catch-up', 'resume', 'fan-out', 'fan-out-paced', 'slow-readers', 'memory', 'storm']

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})

const known = readdirSync(join(BENCH, 'cases'))
  .filter(file => file.endsWith('.ts'))
  .map(file => file.slice(0, -3))
  .sort((a, b) => placeOf(a) - placeOf(b) || a.localeCompare(b))
function placeOf(name: string): number {
  const place = ORDER.indexOf(name)
  return place < 0 ? ORDER.length : place
}

const fail = (message: string): never => {
  console.error(message)
  process.exit(2)
}

if (values.help) {
  console.log(HELP)
  process.exit(0)
}
if (values.list) {
  for (const name of known) console.log(`${name.padEnd(16)} ${((await import(`./cases/${name}.ts`)) as { default: Case }).default.about}`)
  process.exit(0)
}
for (const name of values.case) if (!known.includes(name)) fail(`There is no case "${name}". Cases: ${known.join(', ')}.`)
const chosen = values.case.length > 0 ? values.case : known

const scratchRoot = join(BENCH, '.scratch')
mkdirSync(scratchRoot, { recursive: true })
const scratch = mkdtempSync(join(scratchRoot, 'run-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const begun = performance.now()
const say = (text: string): void => {
  const line = `[${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}`
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 100) - 1)}`)
  else console.error(line)
}

const rows: Row[] = []
const failures: string[] = []

async function runCase(name: string): Promise<void> {
  const child = fork(join(BENCH, 'lib/case-main.ts'), [name, scratch, ...(values.quick ? ['quick'] : [])], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.on('message', (message: { say?: string; row?: Row; failure?: string }) => {
    if (message.say !== undefined) say(`${name}: ${message.say}`)
    if (message.failure !== undefined) failures.push(`${name}: ${message.failure}`)
    if (!message.row) return
    rows.push(message.row)
    if (values.json) console.log(JSON.stringify(message.row))
  })
  const code = await new Promise<number | null>(resolve => child.once('exit', resolve))
  process.off('exit', kill)
  if (code !== 0 && !failures.some(failure => failure.startsWith(`${name}: `))) failures.push(`${name}: ended with ${code}`)
}

const facts = machineFacts()
for (const name of chosen) await runCase(name)
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')

const out = values.out ?? (values.quick || values.case.length > 0 ? undefined : join(BENCH, 'results/latest.json'))
if (out !== undefined) {
  mkdirSync(join(BENCH, 'results'), { recursive: true })
  writeFileSync(out, `${JSON.stringify({ ...facts, quick: values.quick, minutes: Math.round((performance.now() - begun) / 6000) / 10, rows }, null, 1)}\n`)
}
if (!values.json) {
  console.log(tableFrom(rows))
  if (out !== undefined) console.log(`Results: ${out}`)
}
for (const failure of failures) console.error(`failed: ${failure}`)
const missed = rows.filter(row => row.ok === false)
if (missed.length > 0)
  console.error(
    `Missed ${missed.length} of ${rows.filter(row => row.ok !== null).length} targets: ${missed.map(row => `${row.case} (${row.metric})`).join(', ')}.`,
  )
process.exitCode = missed.length + failures.length > 0 ? 1 : 0
