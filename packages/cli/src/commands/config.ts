import { homedir } from 'node:os'
import type { Command } from 'commander'
import { command } from '../command.ts'
import type { Io } from '../io.ts'

export function registerConfig(program: Command, io: Io): void {
  program.addCommand(
    command('config', 'print the configuration that a server would have', [
      'holdfast config --defaults > holdfast.toml   # everything, with comments',
      'holdfast config --config holdfast.toml',
      'HOLDFAST_SERVE_PORT=9000 holdfast config',
    ])
      .option('--defaults', 'all defaults, with comments, ready to edit')
      .option('--config <file>', 'read this file')
      .option('--data-dir <dir>', 'the data folder whose holdfast.toml is read (default: ~/.holdfast)')
      .option('--json', 'print JSON for programs')
      .action(async (options: { defaults?: boolean; config?: string; dataDir?: string; json?: boolean }) => {
        const { loadConfig, printDefaults, readTextFile, redacted } = await import('@holdfast/server')
        if (options.defaults) return io.out(printDefaults())
        const flags = { ...(options.config ? { config: options.config } : {}), ...(options.dataDir ? { data_dir: options.dataDir } : {}) }
        const config = redacted(loadConfig({ flags, env: io.env, readFile: readTextFile, home: homedir(), cwd: process.cwd() }))
        io.out(`${JSON.stringify(config, null, options.json ? undefined : 2)}\n`)
      }),
  )
}
