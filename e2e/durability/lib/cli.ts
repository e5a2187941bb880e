import { execFile } from 'node:child_process'
import { BIN, ROOT } from '../../lib/process.ts'

export interface CliRun {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs one `holdfast` command, as a shell would. */
export const holdfast = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliRun> =>
  new Promise(resolve => {
    const child = execFile(
      process.execPath,
      [BIN, ...args],
      { cwd: ROOT, env: { ...process.env, NO_COLOR: '1', ...env }, timeout: 60_000, maxBuffer: 1 << 26 },
      (error, out, err) => {
        resolve({ code: error ? (child.exitCode ?? -1) : 0, out, err })
      },
    )
  })
