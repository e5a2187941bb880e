import { randomUUID } from 'node:crypto'
import { KIND_NAMES, type Session } from '@holdfast/protocol'
import type { Command } from 'commander'
import { apiOf, type ClientOptions, collect, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonLine } from '../output.ts'
import { persistently } from '../retry.ts'

interface CreateOptions extends ClientOptions {
  readonly id?: string
  readonly name?: string
  readonly kind: string
  readonly projectDir?: string
  readonly workingDir?: string
  readonly agent?: string
  readonly description?: string
  readonly parent?: string
  readonly meta?: readonly string[]
  readonly backend?: string
  readonly model?: string
}

const DETAILS = `Prints the new session's id. A run is a log that other programs report to; a terminal runs a command
(give it after --); a chat is answered by a model or agent that the server is configured for.
With --id, running the same command again is harmless: it gives the same session.`

export function registerCreate(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'create',
        'create a session',
        [
          'holdfast create --name "Nightly build"',
          'ID=$(holdfast create --name "Nightly build" --project-dir "$PWD" --meta branch=main)',
          'holdfast create --kind terminal --name shell -- bash -l',
          'holdfast create --kind chat --name "Ideas" --model claude-sonnet-4-5',
        ],
        DETAILS,
      ).alias('new'),
    )
      .argument('[command...]', 'for a terminal: what it runs')
      .option('--name <name>', 'name for people; a run needs one')
      .option('--id <id>', "the session's id; the server makes one otherwise")
      .option('--kind <kind>', KIND_NAMES.join(', '), 'run')
      .option('--project-dir <dir>', 'the project that it is about')
      .option('--working-dir <dir>', 'the folder that it works in')
      .option('--agent <name>', 'who reports')
      .option('--description <text>')
      .option('--parent <id>', 'the session that started this one')
      .option('--meta <key=value>', 'metadata; values that are JSON are taken as such; may be repeated', collect)
      .option('--backend <name>', 'for a chat')
      .option('--model <name>', 'for a chat')
      .action(async (words: string[], options: CreateOptions) => {
        const body = bodyOf(words, options)
        const api = apiOf(options, io)
        const key = { 'idempotency-key': randomUUID() }
        const answer = await persistently(() => api.request('POST', '/sessions', { body, headers: key }), io)
        const { session } = answer.body as { session: Session }
        io.out(options.json ? jsonLine(session) : `${session.session_id}\n`)
      }),
  )
}

function bodyOf(words: readonly string[], options: CreateOptions): object {
  const { kind, name } = options
  if (!(KIND_NAMES as readonly string[]).includes(kind)) throw new UsageError(`--kind is one of ${KIND_NAMES.join(', ')}, not "${kind}".`)
  if (kind === 'run' && !name) throw new UsageError('A run needs a name: holdfast create --name "Nightly build"')
  const [program, ...args] = words
  if (kind === 'terminal' && program === undefined) throw new UsageError('A terminal needs a command: holdfast create --kind terminal --name shell -- bash -l')
  if (kind !== 'terminal' && program !== undefined) throw new UsageError(`Only a terminal runs a command; "${program}" was not expected.`)
  const chat = { ...(options.backend ? { backend: options.backend } : {}), ...(options.model ? { model: options.model } : {}) }
  const fields = {
    session_id: options.id,
    session_name: name,
    kind,
    project_dir: options.projectDir,
    working_dir: options.workingDir,
    agent_name: options.agent,
    description: options.description,
    parent_session_id: options.parent,
    metadata: options.meta ? Object.fromEntries(options.meta.map(keyValue)) : undefined,
    terminal: program === undefined ? undefined : { command: program, args },
    chat: Object.keys(chat).length > 0 ? chat : undefined,
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** Reads `key=value`; a value that is JSON is taken as such, anything else as text. */
export function keyValue(text: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`"${text}" is not of the form key=value.`)
  const value = text.slice(at + 1)
  try {
    return [text.slice(0, at), JSON.parse(value)]
  } catch {
    return [text.slice(0, at), value]
  }
}
