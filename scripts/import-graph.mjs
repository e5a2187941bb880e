// The rooms and the arrows between them (docs/architecture.md): prints every import that goes another way.
import { existsSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeOf, filesUnder, isSource, isTest, lineAt } from './source-text.mjs'

/** What each room may import, `store` standing for every store-*; rooms that are not named may import anything but each other's insides. */
const ARROWS = {
  protocol: [],
  core: ['protocol'],
  store: ['core', 'protocol'],
  drivers: ['core', 'protocol'],
  server: ['core', 'protocol', 'store', 'drivers'],
  cli: ['server', 'core', 'protocol', 'store', 'drivers', 'client'],
  client: ['protocol'],
  react: ['client', 'protocol'],
  console: ['react', 'client', 'protocol'],
  testkit: ['core', 'client', 'protocol'],
}

/** Rooms that run where there is no Node. */
const NO_NODE = new Set(['protocol', 'core', 'client', 'react', 'console'])

/** Entry points that would weigh a browser's bundle down. */
const SERVER_ONLY_ENTRIES = new Set(['@holdfast/protocol/schema'])
const BROWSER = new Set(['client', 'react', 'console'])

const IMPORT = /\b(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]\s*[,)]/g

function folderOf(path) {
  const [top, name] = path.split('/')
  return top === 'packages' || top === 'apps' ? `${top}/${name}` : top
}

function roomOf(path) {
  const [top, name] = path.split('/')
  if (top !== 'packages' && top !== 'apps') return top
  return name.startsWith('store-') ? 'store' : name
}

/** The folder of every workspace package by its name. */
function packagesByName(root, files) {
  const names = new Map()
  for (const path of files) {
    if (!/^(?:(?:packages|apps)\/[^/]+|e2e|bench)\/package\.json$/.test(path)) continue
    const manifest = JSON.parse(readFileSync(join(root, path), 'utf8'))
    names.set(manifest.name, { folder: posix.dirname(path), room: roomOf(path), manifest, path })
  }
  return names
}

/** Why this import may not be, or undefined. */
function fault(path, specifier, packages) {
  const room = roomOf(path)
  const test = isTest(path)
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier)
    return folderOf(target) === folderOf(path) || (test && !target.startsWith('packages/') && !target.startsWith('apps/'))
      ? undefined
      : 'a relative import leaves its room; import it by name'
  }
  if (specifier.startsWith('node:')) return NO_NODE.has(room) && !test ? `${room} knows no node:*` : undefined
  if (SERVER_ONLY_ENTRIES.has(specifier) && BROWSER.has(room) && !test) return `${specifier} is not for a browser's bundle`
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const target = packages.get(name)
  if (!target || target.room === room) return undefined
  if (test && (target.room === 'testkit' || target.room === 'client')) return undefined
  if (target.room === 'testkit') return 'testkit is imported by tests, e2e and bench only'
  const arrows = ARROWS[room]
  return arrows === undefined || arrows.includes(target.room) ? undefined : `no arrow ${room} -> ${target.room}`
}

/** Every import, and every dependency of a manifest, that goes against an arrow. */
export function importGraphProblems(root) {
  const files = filesUnder(root)
  const packages = packagesByName(root, files)
  const problems = []
  for (const path of files.filter(isSource)) {
    const code = codeOf(readFileSync(join(root, path), 'utf8'), { strings: true })
    for (const match of code.matchAll(IMPORT)) {
      const specifier = match[1] ?? match[2]
      const why = fault(path, specifier, packages)
      if (why) problems.push(`${path}:${lineAt(code, match.index)}: imports '${specifier}': ${why}`)
    }
  }
  for (const { room, manifest, path } of packages.values()) {
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      const target = packages.get(name)
      const arrows = ARROWS[room]
      if (target && arrows && target.room !== room && !arrows.includes(target.room))
        problems.push(`${path}: depends on ${name}: no arrow ${room} -> ${target.room}`)
    }
  }
  return problems
}

if (process.argv[1] && existsSync(process.argv[1]) && fileURLToPath(import.meta.url) === process.argv[1]) {
  const problems = importGraphProblems(process.cwd())
  for (const problem of problems) console.log(problem)
  process.exitCode = problems.length > 0 ? 1 : 0
}
