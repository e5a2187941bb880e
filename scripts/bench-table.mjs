// Keeps the table of README.md and docs/bench.md in step with bench/results/latest.json. Run without arguments, it rewrites them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const RESULTS = 'bench/results/latest.json'
const PAGES = { 'README.md': readmeTable, 'docs/bench.md': wholeTable }

const BEGIN = '<!-- bench -->'
const END = '<!-- /bench -->'

/** What the README shows, by case and metric. */
const SHOWN = [
  ['append-64', 'HTTP'],
  ['append-64', 'WebSocket'],
  ['append-batch', '50 a post'],
  ['catch-up', 'WebSocket, binary, 100 MB'],
  ['catch-up', 'SSE, 100 MB'],
  ['catch-up', 'poll, 100 MB'],
  ['resume', 'p50 behind 100 MB'],
  ['fan-out', 'WebSocket, 500 readers, 1 in flight'],
  ['fan-out-paced', '500 readers, append to receive, p99'],
  ['memory', 'idle WebSocket'],
  ['memory', 'restart after kill -9'],
  ['storm', '1000'],
]

const figure = value => {
  const size = Math.abs(value)
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`
  return String(Number(value.toPrecision(3)))
}
const ratio = value => `${Number(value.toPrecision(2))} ×`

const side = (value, name, of) => (value === null ? '' : `${figure(value)}, ${name} (${ratio(of)})`)

const cells = row => [
  row.case,
  row.metric,
  `**${figure(row.ours)} ${row.unit}**`,
  side(row.peer, row.peer_name, row.ratio_peer),
  side(row.limit, row.limit_name, row.ratio_limit),
  row.target === null ? '' : `${row.target}: ${row.ok ? 'holds' : '**missed**'}`,
]

const table = (headings, rows) =>
  [headings, headings.map(() => '---'), ...rows].map(row => `| ${row.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |`).join('\n')

const facts = ({ at, commit, cores, cpu, memory_gib, node, sqlite, peers }) =>
  `Measured ${at.slice(0, 10)} at ${commit} on ${cores} cores (${cpu}, ${memory_gib} GiB, shared), Node ${node}, SQLite ${sqlite}, beside ` +
  `${Object.entries(peers)
    .filter(([name]) => !name.endsWith('client'))
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.`

function wholeTable(results) {
  const headings = ['case', 'what', 'Holdfast', 'peer (ours / peer)', 'limit (ours / limit)', 'target']
  return `${facts(results)}\n\n${table(headings, results.rows.map(cells))}`
}

function readmeTable(results) {
  const rows = SHOWN.flatMap(([name, metric]) => results.rows.filter(row => row.case === name && row.metric.startsWith(metric)).slice(0, 1))
  const shown = rows.map(row => cells(row).slice(0, 5))
  return `${table(['case', 'what', 'Holdfast', 'peer (ours / peer)', 'limit (ours / limit)'], shown)}\n\n${facts(results)} Clients share those cores.`
}

/** What each page should say, where there are results. */
function wanted(root) {
  if (!existsSync(join(root, RESULTS))) return []
  const results = JSON.parse(readFileSync(join(root, RESULTS), 'utf8'))
  return Object.entries(PAGES).map(([page, build]) => {
    const text = readFileSync(join(root, page), 'utf8')
    const begin = text.indexOf(BEGIN)
    const end = text.indexOf(END)
    if (begin < 0 || end < begin) return { page, text, next: undefined }
    return { page, text, next: `${text.slice(0, begin + BEGIN.length)}\n${build(results)}\n${text.slice(end)}` }
  })
}

export function benchTableProblems(root) {
  return wanted(root).flatMap(({ page, text, next }) => {
    if (next === undefined) return [`${page}: has no ${BEGIN} … ${END}`]
    return next === text ? [] : [`${page}: older than ${RESULTS}; run "npm run fix"`]
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  for (const { page, text, next } of wanted(root)) if (next !== undefined && next !== text) writeFileSync(join(root, page), next)
}
