#!/usr/bin/env node
// Plain syntax that any Node can run: it says what to do where Node is too old or a clone was not built.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const args = process.argv.slice(2)
// A coding agent waits for its hooks: they load a few small files and nothing else, and never fail.
const isHookCall = args[0] === 'hook' && !process.stdin.isTTY && (args.length === 1 || args[1].startsWith('--')) && !args.includes('--help')

const atLeast = (version, wanted) => {
  const have = String(version).split('.').map(Number)
  for (let i = 0; i < wanted.length; i++) {
    if (have[i] === wanted[i]) continue
    return have[i] > wanted[i]
  }
  return true
}

// SQLite before 3.51.3 can corrupt a database that is written while it is checkpointed; Node 24.21 brings a good one.
const nodeIsFine =
  atLeast(process.versions.node, [24, 21]) ||
  (atLeast(process.versions.node, [22, 13]) && process.versions.sqlite !== undefined && atLeast(process.versions.sqlite, [3, 51, 3]))

const built = path => existsSync(fileURLToPath(new URL(path, import.meta.url)))

function stop(message) {
  process.stderr.write(`holdfast: ${message}\n`)
  process.exit(isHookCall ? 0 : 1)
}

if (!nodeIsFine) {
  stop(
    `needs Node 24.21 or newer; this is Node ${process.versions.node}${process.versions.sqlite === undefined ? '' : ` with SQLite ${process.versions.sqlite}`}.\n` +
      '  Older ones bundle an SQLite that can corrupt a database under load.\n' +
      '  Install a newer Node (https://nodejs.org), or let npm bring one for this command:\n' +
      '    npx -y -p node@24 -p holdfast holdfast --help\n' +
      '  In a clone, use the npm scripts, which bring their own Node: npm run -s holdfast -- --help',
  )
}
if (!built('../dist/main.js')) {
  stop('this clone has not been built yet. Run this first, in the root of the clone:\n    npm install && npm run build')
}

// A burst makes V8 keep three times 16 MiB for young objects; a quarter of that costs a server hardly any speed. The flag only counts at the start of a process.
const SPACE_FLAG = '--max-semi-space-size'
const hasSpaceFlag = `${process.execArgv.join(' ')} ${process.env.NODE_OPTIONS ?? ''}`.includes(SPACE_FLAG)
if (args[0] === 'serve' && !hasSpaceFlag && process.execve && !process.send) {
  process.execve(process.execPath, [process.execPath, `${SPACE_FLAG}=4`, ...process.execArgv, ...process.argv.slice(1)], process.env)
}

if (isHookCall) {
  const { runHook } = await import('../dist/hook/entry.js')
  await runHook(args.slice(1))
} else {
  const { main } = await import('../dist/main.js')
  process.exitCode = await main(args)
  // A server whose disk failed leaves a thread and sockets behind that nobody ends any more, and would stay for ever.
  if (args[0] === 'serve') process.exit()
}
