import { Command } from 'commander'
import { type Api, apiFor } from './api.ts'
import type { Io } from './io.ts'

/** Options of every command that talks to a server. */
export interface ClientOptions {
  readonly url?: string
  readonly token?: string
  readonly dataDir?: string
  readonly json?: boolean
}

/** A command whose help ends with examples, since that is where people look first. */
export function command(name: string, summary: string, examples: readonly string[], details = ''): Command {
  const made = new Command(name)
    .description(details === '' ? summary : `${summary}\n\n${details.replaceAll('\n', ' ')}`)
    .summary(summary)
    .showHelpAfterError(`(see: holdfast ${name.split(' ')[0]} --help)`)
  return examples.length === 0 ? made : made.addHelpText('after', `\nExamples:\n${examples.map(example => `  ${example}`).join('\n')}`)
}

/** The options with which a command finds its server. */
export const withClient = (made: Command): Command =>
  made
    .option('--url <url>', 'address of the server (default: HOLDFAST_URL, or http://127.0.0.1:8765)')
    .option('--token <token>', "token (default: HOLDFAST_TOKEN, or the data folder's token file)")
    .option('--data-dir <dir>', 'data folder whose token file is read (default: ~/.holdfast)')
    .option('--json', 'print JSON for programs')

export const apiOf = (options: ClientOptions, io: Io): Api => apiFor(options, io.env)

/** For options that may be given several times. */
export const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]
