import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { Command } from 'commander'
import { sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'

const FORMATS = ['jsonl', 'asciicast', 'markdown', 'text']

export function registerExport(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command('export', "write a session's whole log to standard output or a file", [
        'holdfast export build > build.jsonl',
        'holdfast export shell --format asciicast -o shell.cast    # plays in asciinema',
        'holdfast export ideas --format markdown -o ideas.md',
      ]),
    )
      .argument('<id>')
      .option('--format <format>', FORMATS.join(', '), 'jsonl')
      .option('-o, --output <file>', 'write to this file')
      .action(async (id: string, options: ClientOptions & { format: string; output?: string }) => {
        if (!FORMATS.includes(options.format)) throw new UsageError(`--format is one of ${FORMATS.join(', ')}, not "${options.format}".`)
        const body = await apiOf(options, io).stream(`${sessionPath(id)}/export?format=${options.format}`, io.signal)
        if (options.output === undefined) {
          for await (const chunk of body) await io.outBytes(chunk)
          return
        }
        const file = createWriteStream(options.output)
        for await (const chunk of body) if (!file.write(chunk)) await once(file, 'drain')
        file.end()
        await finished(file)
        io.err(`Wrote ${file.bytesWritten} bytes to ${options.output}.\n`)
      }),
  )
}
