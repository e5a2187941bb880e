import type { Command } from 'commander'
import { command } from '../command.ts'
import type { Io } from '../io.ts'

export function registerConfig(program: Command, io: Io): void {
  program.addCommand(
    command('config', 'print the configuration that a server would have', ['holdfast config --defaults > holdfast.toml   # everything, with comments', 'holdfast config --config holdfast.toml', 'HOLDFAST_PORT=9000 holdfast config'])
      .option('--defaults', 'all defaults, with comments, ready to edit')
      .option('--config <file>', 'read this file')
      .option('--json', 'print JSON for programs')
      .action(async (options: { defaults?: boolean; config?: string; json?: boolean }) => {
        const name = '@holdfast/server'
        const server = (await import(name)) as { printDefaults(): string; loadConfig(options: { file?: string; env: NodeJS.ProcessEnv }): unknown }
        if (options.defaults) return io.out(server.printDefaults())
        const config = await server.loadConfig({ ...(options.config ? { file: options.config } : {}), env: io.env })
        io.out(`${JSON.stringify(config, null, options.json ? undefined : 2)}\n`)
      }),
  )
}
