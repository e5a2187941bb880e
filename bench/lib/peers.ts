import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from './case.ts'
import { BENCH, ROOT } from './paths.ts'
import { type Server, type ServerOptions, startNode } from './processes.ts'

/** The folder with the peers' packages, installed once for each set of versions; their modules are found below it. */
export function peersFolder(context: Context): string {
  const source = join(BENCH, 'peers')
  const digest = createHash('sha256')
    .update(readFileSync(join(source, 'package.json')))
    .digest('hex')
    .slice(0, 12)
  const folder = join(ROOT, 'node_modules/.cache/holdfast-bench', digest)
  if (existsSync(folder)) return folder
  context.say('installing the peers (once)')
  const making = `${folder}.${process.pid}`
  mkdirSync(making, { recursive: true })
  cpSync(join(source, 'package.json'), join(making, 'package.json'))
  const { status, stderr } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: making, encoding: 'utf8' })
  if (status !== 0) {
    rmSync(making, { recursive: true, force: true })
    throw new Error(`the peers can't be installed: ${stderr}`)
  }
  renameSync(making, folder)
  return folder
}

/** `@durable-streams/server` with its file store (it syncs each append), compression off: what is compared is the log, not gzip. */
export function startDurableStreams(context: Context, options: ServerOptions = {}): Promise<Server> {
  const dataDir = options.dataDir ?? join(context.folder, `peer-${performance.now()}`)
  mkdirSync(dataDir, { recursive: true })
  return startNode(context, [join(BENCH, 'servers/durable-streams.mjs'), peersFolder(context), dataDir, String(options.port ?? 0)], { ...options, dataDir })
}
