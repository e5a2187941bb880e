import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { BENCH, ROOT } from './paths.ts'

/** What the figures were measured on, and with which versions. */
export function machineFacts(): Readonly<Record<string, unknown>> {
  const git = (...args: string[]): string => {
    try {
      return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      return ''
    }
  }
  const peers = JSON.parse(readFileSync(join(BENCH, 'peers/package.json'), 'utf8')) as { dependencies: Record<string, string> }
  return {
    at: new Date().toISOString(),
    commit: git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' (with changes)'),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    load_before: Number((loadavg()[0] ?? 0).toFixed(2)),
    node: process.versions.node,
    sqlite: process.versions['sqlite'] ?? null,
    peers: peers.dependencies,
  }
}
