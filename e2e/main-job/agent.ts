import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where agents under test are kept between runs: outside of any checkout, since they are large and no dependency of anything. */
const agentsFolder = (): string => process.env.HOLDFAST_AGENTS_DIR ?? join(tmpdir(), 'holdfast-agents')

export interface Agent {
  /** The agent's command. */
  readonly bin: string
}

/** Installs an agent of this very version from npm, once; says why where it can't be had. */
export async function installAgent(name: string, version: string, command: string): Promise<Agent | { readonly missing: string }> {
  const folder = join(agentsFolder(), `${name.replace(/^@/, '').replace('/', '-')}-${version}`)
  const bin = join(folder, 'node_modules', '.bin', command)
  try {
    if (!existsSync(folder)) {
      const temp = `${folder}.${process.pid}`
      mkdirSync(temp, { recursive: true })
      try {
        await run('npm', ['install', '--prefix', temp, '--no-audit', '--no-fund', '--loglevel=error', `${name}@${version}`], { cwd: temp, timeout: 240_000 })
        renameSync(temp, folder)
      } catch (error) {
        rmSync(temp, { recursive: true, force: true })
        // Another test may have been faster.
        if (!existsSync(folder)) throw error
      }
    }
    await run(bin, ['--version'], { timeout: 60_000 })
    return { bin }
  } catch (error) {
    return {
      missing: `${name}@${version} can't be installed here: ${error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : String(error)}`,
    }
  }
}
