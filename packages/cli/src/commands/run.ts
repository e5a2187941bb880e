import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { Session } from '@holdfast/protocol'
import type { Command } from 'commander'
import { apiOf, type ClientOptions, collect, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonLine } from '../output.ts'
import { persistently } from '../retry.ts'
import { attachHere, comeBack } from '../terminal/attached.ts'
import { ctrlKey, DEFAULT_DETACH_KEY } from '../terminal/keys.ts'

interface RunOptions extends ClientOptions {
  readonly name?: string
  readonly id?: string
  readonly cwd?: string
  readonly env?: readonly string[]
  readonly detach?: boolean
  readonly detachKey: string
}

const DETAILS = `Runs a command in a terminal that the server keeps: it goes on when this window closes, when the connection
breaks, and when the server is killed and started again. Leave with Ctrl-\\ and come back with "holdfast attach".
The program gets PATH, HOME, LANG, SHELL and TERM of the server, and what --env names. When it ends while you
watch, its exit code is this command's.`

export function registerRun(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'run',
        'run a command in a terminal that outlives this window',
        ['holdfast run -- bash -l', 'holdfast run --name deploy --detach -- make deploy', 'holdfast run --env ANTHROPIC_API_KEY -- claude'],
        DETAILS,
      ),
    )
      .argument('<command...>', 'what to run; give it after --')
      .option('--name <name>', 'name for people (default: the command)')
      .option('--id <id>', "the session's id; the server makes one otherwise")
      .option('--cwd <dir>', 'where it runs (default: here)')
      .option('--env <name[=value]>', "a variable for it; without a value, this shell's; may be repeated", collect)
      .option('--detach', "don't attach: print the session's id")
      .option('--detach-key <key>', 'the key to leave with', DEFAULT_DETACH_KEY)
      .action(async (words: string[], options: RunOptions) => run(words, options, io)),
  )
}

async function run(words: readonly string[], options: RunOptions, io: Io): Promise<void> {
  const isDetached = options.detach === true || options.json === true
  const detachKey = ctrlKey(options.detachKey)
  if (!isDetached && !io.tty) throw new UsageError('There is no terminal here to attach; run it with --detach.')
  const [program = '', ...args] = words
  const size = io.tty ? { cols: io.tty.columns, rows: io.tty.rows } : {}
  const body = {
    ...(options.id === undefined ? {} : { session_id: options.id }),
    session_name: options.name ?? words.join(' ').slice(0, 80),
    kind: 'terminal',
    terminal: {
      command: program,
      args,
      cwd: resolve(options.cwd ?? '.'),
      env: Object.fromEntries((options.env ?? []).map(text => variable(text, io.env))),
      ...size,
    },
  }
  const api = apiOf(options, io)
  const key = { 'idempotency-key': randomUUID() }
  const { session } = (await persistently(() => api.request('POST', '/sessions', { body, headers: key }), io)).body as { session: Session }
  const id = session.session_id
  if (options.json) return io.out(jsonLine(session))
  if (isDetached) {
    io.out(`${id}\n`)
    if (io.errIsTerminal) io.err(`It runs. Look in with: ${comeBack(id, options)}\n`)
    return
  }
  await attachHere(api, id, { isReadOnly: false, takes: false, replays: true, detachKey }, options, io)
}

/** `NAME=value`, or `NAME` for the value that it has here. */
function variable(text: string, env: NodeJS.ProcessEnv): [string, string] {
  const at = text.indexOf('=')
  const name = at < 0 ? text : text.slice(0, at)
  const value = at < 0 ? env[name] : text.slice(at + 1)
  if (name === '' || value === undefined) throw new UsageError(`--env ${text}: there is no variable "${name}" here; say ${name || 'NAME'}=value.`)
  return [name, value]
}
