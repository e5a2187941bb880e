// Rules of the code base that no linter states: ambient time and chance, forbidden words, traces of a machine, long files.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { codeOf, filesUnder, isSource, isTest, lineAt } from './source-text.mjs'

const MAX_LINES = 400

/** Where a file says what is odd about it. */
const TOP_LINES = 8

/** Time and chance come in as parameters; these are their sources. */
const AMBIENT =
  /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bMath\.random\b|(?<![.\w])(?:globalThis\.)?set(?:Timeout|Interval)\b(?!\s*[?:]?:)|\brandomUUID\b|node:timers/g
const AMBIENT_ALLOWED = /(?:^|\/)[^/]*(?:clock|random)[^/]*\.(?:ts|tsx|mjs)$/

/** Rooms that own the time of their process: the command line is an edge as a whole, the testkit has clocks of its own. */
const OWN_TIME = /^packages\/(?:cli|testkit)\//

/** A line, the one above it, or the top of a file for all of it, may say why it is an edge: `// edge: the process's own deadline`. */
const EDGE = /\/\/ edge: \S/

/** Uses of the wall clock, timers and chance outside clock and random files. */
export function ambientProblems(root) {
  const problems = []
  for (const path of filesUnder(root).filter(isSource)) {
    if (!/^(packages|apps)\//.test(path) || isTest(path) || OWN_TIME.test(path) || AMBIENT_ALLOWED.test(path)) continue
    const text = readFileSync(join(root, path), 'utf8')
    const lines = text.split('\n')
    if (lines.slice(0, TOP_LINES).some(line => /^(?:\/\/| ?\*).*\bedge: \S/.test(line))) continue
    const code = codeOf(text)
    for (const match of code.matchAll(AMBIENT)) {
      const line = lineAt(code, match.index)
      if (EDGE.test(lines[line - 1] ?? '') || EDGE.test(lines[line - 2] ?? '')) continue
      problems.push(`${path}:${line}: ${match[0]}: take it as a parameter, or say why it is an edge ("// edge: why")`)
    }
  }
  return problems
}

const TEXT = /\.(ts|tsx|mts|js|mjs|json|jsonc|md|css|html|yml|yaml|toml|sh|txt|grit)$|(^|\/)(LICENSE|run|\.gitignore|\.npmrc)$/

/** A word that names nothing here: say metrics, logs, traces. Written in two halves, so that this file passes. */
const FORBIDDEN = new RegExp(`${'observ'}${'ability'}`, 'i')
const REGISTRY_HOST = /\b(?:registry|artifactory|nexus)\.[a-z0-9-]+\.[a-z]{2,}\b/i

/** Names of this machine that must not be in a public file: the checkout, the home folder, the package registry. */
function machineNames(root) {
  const names = new Set([`${root}/`, `${dirname(root)}/`, `${homedir()}/`])
  try {
    names.add(new URL(execFileSync('npm', ['config', 'get', 'registry'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()).host)
  } catch {
    // Without npm there is no registry to give away.
  }
  return [...names].filter(name => name.replaceAll('/', '').length > 3)
}

/** Words, hosts and paths that a public code base does not have, and download addresses in the lock file. */
export function wordProblems(root, names = machineNames(root)) {
  const problems = []
  for (const path of filesUnder(root)) {
    if (FORBIDDEN.test(path)) problems.push(`${path}: the name holds a forbidden word`)
    if (!TEXT.test(path)) continue
    const text = readFileSync(join(root, path), 'utf8')
    if (path === 'package-lock.json') {
      const at = text.search(/"resolved": "[a-z+]+:/)
      if (at >= 0) problems.push(`${path}:${lineAt(text, at)}: a download address; npm config set omit-lockfile-registry-resolved true and regenerate`)
      continue
    }
    text.split('\n').forEach((line, index) => {
      const where = `${path}:${index + 1}`
      if (FORBIDDEN.test(line)) problems.push(`${where}: a forbidden word: ${FORBIDDEN.exec(line)?.[0]}`)
      for (const name of names) if (line.includes(name)) problems.push(`${where}: names this machine: ${name}`)
      const host = REGISTRY_HOST.exec(line)
      if (host) problems.push(`${where}: a registry host: ${host[0]}`)
    })
  }
  return problems
}

/** Sources over 400 lines that do not say at their top why. */
export function lengthProblems(root) {
  const problems = []
  for (const path of filesUnder(root)) {
    if (!isSource(path) && !path.endsWith('.css')) continue
    const text = readFileSync(join(root, path), 'utf8')
    const lines = text.split('\n').length - 1
    const top = text.split('\n').slice(0, TOP_LINES).join('\n')
    if (lines > MAX_LINES && !/(?:\/\/|\*).*\b(?:long|lines|length)\b/i.test(top))
      problems.push(`${path}: ${lines} lines; split it, or say at its top why it is that long`)
  }
  return problems
}

/** The one place where events get seq, time and bytes (SEQ-12). */
const STAMP = /\bencodeEvent\s*\(/
const STAMPING_PLACES = ['packages/protocol/src/envelope.ts', 'packages/core/src/plan.ts']

/** Sources that make an event's bytes past the one place that stamps them. */
export function stampProblems(root) {
  return filesUnder(root)
    .filter(
      path => isSource(path) && /^(packages|apps)\//.test(path) && !isTest(path) && !path.startsWith('packages/testkit/') && !STAMPING_PLACES.includes(path),
    )
    .filter(path => STAMP.test(codeOf(readFileSync(join(root, path), 'utf8'))))
    .map(path => `${path}: makes an event by itself; only ${STAMPING_PLACES[1]} may`)
}
