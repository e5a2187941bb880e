// The same tests as `npm test`, with their full counts; writes docs/reliability.md. Usage: npm run soak [-- --rounds 20] [-- path…]
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'

const args = process.argv.slice(2)
const at = args.indexOf('--rounds')
const rounds = at < 0 ? 20 : Number(args.splice(at, 2)[1])
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error('--rounds takes a whole number from 1 on')
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'holdfast-soak-'))
const results = join(folder, 'results.jsonl')
const report = join(folder, 'report.json')
const seed = process.env.HOLDFAST_SEED ?? String(Date.now() % 1_000_000)
const started = Date.now()
console.log(`soak: ${rounds} rounds, seed ${seed}${args.length ? `, ${args.join(' ')}` : ''}; this takes a while`)
const run = spawnSync('npx', ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args], {
  stdio: 'inherit',
  env: { ...process.env, HOLDFAST_ROUNDS: String(rounds), HOLDFAST_SEED: seed, HOLDFAST_RESULTS: results },
})
const { numPassedTests = 0, numFailedTests = 0, numPendingTests = 0 } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {}
const lines = existsSync(results)
  ? readFileSync(results, 'utf8')
      .trim()
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line))
  : []
const git = (...what) => execFileSync('git', what, { encoding: 'utf8' }).trim()
const dirty = git('status', '--porcelain') === '' ? '' : ' (with uncommitted changes)'
const counts = ({ name: _, ...rest }) =>
  Object.entries(rest)
    .map(([key, value]) => `${key.replace(/([A-Z])/g, ' $1').toLowerCase()} ${typeof value === 'number' ? value.toLocaleString('en') : value}`)
    .join(', ')
const page = `# Reliability

What the last \`npm run soak\` counted: the tests of \`npm test\`, with their full counts. Each is judged by the oracle that
[testing.md](testing.md) describes; a violation is a lost, repeated, reordered or changed event, or a reader that hangs.

| | |
|---|---|
| commit | ${git('rev-parse', '--short=12', 'HEAD')}${dirty} |
| date | ${new Date(started).toISOString().slice(0, 10)} |
| rounds, seed | ${rounds}, ${seed} |
| tests | ${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped |
| time | ${Math.round((Date.now() - started) / 60_000)} min |
| machine | ${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node} |

| test | counted |
|---|---|
${lines.map(line => `| ${line.name} | ${counts(line)} |`).join('\n')}

Repeat one with \`HOLDFAST_SEED=${seed} HOLDFAST_ROUNDS=${rounds} npx vitest run <file>\`.
`
if (run.status === 0) {
  writeFileSync('docs/reliability.md', page)
  console.log('wrote docs/reliability.md')
} else console.log(page)
rmSync(folder, { recursive: true, force: true })
process.exit(run.status ?? 1)
