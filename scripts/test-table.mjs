// Keeps the tables of docs/testing.md: which layer has tests that name a requirement or fault. Run without arguments, it rewrites them.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filesUnder } from './source-text.mjs'

const PAGE = 'docs/testing.md'
const LAYERS = ['unit', 'contract', 'simulation', 'e2e', 'bench']
const SOURCE = /\.(ts|tsx|mjs)$/

/** The layer that a file with tests belongs to; undefined for all other files. */
function layerOf(path) {
  if (!SOURCE.test(path)) return undefined
  if (path.startsWith('bench/')) return 'bench'
  if (path.startsWith('e2e/')) return 'e2e'
  if (/(^|\/)[\w-]*suite\//.test(path)) return 'contract'
  if (/\/sim(ulation)?\/|\bsim(ulation)?\b[\w.-]*\.test\.tsx?$/.test(path)) return 'simulation'
  return /\.test\.tsx?$/.test(path) ? 'unit' : undefined
}

/** Which room a test speaks for. */
const roomOf = path => (path.startsWith('packages/') || path.startsWith('apps/') ? path.split('/')[1] : path.split('/')[0])

const IN_BRACKETS = /\[((?:(?:SEQ|CHAT|TERM|UI|RUN|CLI|OPS)-\d\d|faults? \d+)[^\]\n]*)\]/g

/** The ids that a text's test titles name: `SEQ-03`, `fault 32`. */
export function idsIn(text) {
  const ids = new Set()
  for (const [, inside] of text.matchAll(IN_BRACKETS)) {
    for (const [id] of inside.matchAll(/\b(?:SEQ|CHAT|TERM|UI|RUN|CLI|OPS)-\d\d\b/g)) ids.add(id)
    const faults = /\bfaults? ([\d, and…-]+)/.exec(inside)
    for (const [number] of (faults?.[1] ?? '').matchAll(/\d+/g)) ids.add(`fault ${number}`)
  }
  return ids
}

/** The function that a suite's folder exports: `store-suite` has `storeSuite`. */
const suiteOf = path => /(?:^|\/)([\w-]*-suite)\//.exec(path)?.[1]?.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())

/** For each id the rooms that prove it, by layer; a suite proves it for every room that runs the suite. */
function proofs(root) {
  const files = filesUnder(root)
    .filter(path => !path.startsWith('scripts/') && layerOf(path))
    .map(path => ({ path, layer: layerOf(path), text: readFileSync(join(root, path), 'utf8') }))
  const users = suite => files.filter(({ layer, text }) => layer === 'unit' && new RegExp(`^\\s*${suite}\\(`, 'm').test(text)).map(({ path }) => roomOf(path))
  const found = new Map()
  for (const { path, layer, text } of files) {
    const suite = layer === 'contract' ? suiteOf(path) : undefined
    const rooms = suite === undefined ? [roomOf(path)] : users(suite)
    for (const id of idsIn(text)) {
      const byLayer = found.get(id) ?? new Map()
      byLayer.set(layer, new Set([...(byLayer.get(layer) ?? []), ...rooms]))
      found.set(id, byLayer)
    }
  }
  return found
}

const ROW = /^\| ((?:SEQ|CHAT|TERM|UI|RUN|CLI|OPS)-\d\d|fault \d+) \| ([^|]*) \|.*$/gm

/** The page as it should be, and the ids that tests name without a row in it. */
function rewritten(root) {
  const page = readFileSync(join(root, PAGE), 'utf8')
  const found = proofs(root)
  const text = page.replace(ROW, (_line, id, what) => {
    const byLayer = found.get(id)
    found.delete(id)
    const cells = LAYERS.map(layer => [...(byLayer?.get(layer) ?? [])].sort().join(', '))
    return `| ${id} | ${what} | ${cells.join(' | ')} |`
  })
  return { page, text, unknown: [...found.keys()].sort() }
}

/** What docs/testing.md says otherwise than the tests. */
export function tableProblems(root) {
  const { page, text, unknown } = rewritten(root)
  return [...(page === text ? [] : [`${PAGE}: older than the tests; run "npm run fix"`]), ...unknown.map(id => `${PAGE}: tests name ${id}, which has no row`)]
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  const { text, unknown } = rewritten(root)
  writeFileSync(join(root, PAGE), text)
  if (unknown.length > 0) console.log(`no row in ${PAGE} for ${unknown.join(', ')}`)
}
