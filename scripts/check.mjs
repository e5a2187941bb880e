// `npm run check`: everything that can be seen without running the product. Lists all that it finds, exits 1 if anything.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import './require-node.mjs'
import { linkProblems } from './doc-links.mjs'
import { ambientProblems, lengthProblems, stampProblems, wordProblems } from './house-rules.mjs'
import { importGraphProblems } from './import-graph.mjs'
import { benchTableProblems } from './bench-table.mjs'
import { tableProblems } from './test-table.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Runs a tool of node_modules/.bin; its lines where it fails, none where it does not. */
function tool(name, args) {
  const { status, stdout, stderr, error } = spawnSync(join(root, 'node_modules/.bin', name), args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (error) return [String(error)]
  if (status === 0) return []
  const lines = `${stdout}\n${stderr}`.split('\n').filter(line => line.trim() !== '')
  return lines.length > 0 ? lines : [`${name} ended with ${status}`]
}

const CHECKS = [
  ['biome: format and lint', () => tool('biome', ['check', '--error-on-warnings', '--diagnostic-level=warn', '--max-diagnostics=none', '--reporter=concise'])],
  ['types of sources (tsc -b)', () => tool('tsc', ['-b'])],
  ['types of tests', () => tool('tsc', ['-p', 'tsconfig.test.json'])],
  ['knip: unused files, exports, dependencies', () => tool('knip', ['--no-progress', '--no-config-hints'])],
  ['import graph', () => importGraphProblems(root)],
  ['time and chance as parameters', () => ambientProblems(root)],
  ['one stamping place', () => stampProblems(root)],
  ['words, hosts and paths', () => wordProblems(root)],
  ['file length', () => lengthProblems(root)],
  ['links in docs', () => linkProblems(root)],
  ['table of tests', () => tableProblems(root)],
  ['tables of the bench', () => benchTableProblems(root)],
]

let failed = 0
for (const [name, run] of CHECKS) {
  const start = performance.now()
  const problems = run()
  const took = `${((performance.now() - start) / 1000).toFixed(1)} s`
  if (problems.length === 0) {
    console.log(`ok    ${name} (${took})`)
    continue
  }
  failed++
  console.log(`FAIL  ${name} (${took})`)
  for (const line of problems) console.log(`      ${line}`)
}
console.log(failed === 0 ? `check: all ${CHECKS.length} hold` : `check: ${failed} of ${CHECKS.length} fall short`)
process.exitCode = failed === 0 ? 0 : 1
