import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { registerAttach } from './commands/attach.ts'
import { registerBackup } from './commands/backup.ts'
import { registerConfig } from './commands/config.ts'
import { registerCreate } from './commands/create.ts'
import { registerDoctor } from './commands/doctor.ts'
import { registerExport } from './commands/export.ts'
import { registerHook } from './commands/hook.ts'
import { registerKill } from './commands/kill.ts'
import { registerLs } from './commands/ls.ts'
import { registerPlay } from './commands/play.ts'
import { registerPost } from './commands/post.ts'
import { registerRun } from './commands/run.ts'
import { registerServe } from './commands/serve.ts'
import { registerSession } from './commands/session.ts'
import { registerTail } from './commands/tail.ts'
import { registerToken } from './commands/token.ts'
import { failureFrom } from './failure.ts'
import { type Io, processIo } from './io.ts'
import { jsonLine } from './output.ts'

/** This package's version. */
export const version = (): string => (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

const EPILOGUE = `
A first minute:
  holdfast serve                                      start the server, keep it running
  holdfast create --name "Nightly build" --id build   a run that other programs report to
  holdfast post build --role assistant --text "All green."
  holdfast tail build                                 watch it; Ctrl-C ends the watching, not the run
  holdfast run -- bash                                a shell that outlives this window; Ctrl-\\ leaves it
  holdfast hook install --user                        let Claude Code report every session

Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 data folder in use, 4 data damaged.
Client commands find the server by --url or HOLDFAST_URL, and their token by --token,
HOLDFAST_TOKEN, or the file "token" in the data folder (--data-dir or HOLDFAST_DATA_DIR).`

export function createProgram(io: Io): Command {
  const program = new Command('holdfast')
    .description('The durable session server for AI agents: every session is a log that survives whatever watches it.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .addHelpText('after', EPILOGUE)
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .showSuggestionAfterError()
  const registers = [
    registerServe,
    registerRun,
    registerAttach,
    registerKill,
    registerPlay,
    registerLs,
    registerTail,
    registerCreate,
    registerPost,
    registerSession,
    registerExport,
    (parent: Command) => registerHook(parent, io, version),
    registerToken,
    registerBackup,
    registerDoctor,
    registerConfig,
  ]
  for (const register of registers) register(program, io)
  configure(program, io)
  return program
}

/** Lets nothing exit or print behind our back, in every command below too. */
function configure(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: io.out,
    writeErr: io.err,
    ...(io.columns ? { getOutHelpWidth: () => Math.min(io.columns ?? 80, 100) } : { getOutHelpWidth: () => 100 }),
  })
  for (const child of command.commands) configure(child, io)
}

/** Runs one command line; resolves with the exit code, never rejects. */
export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  const program = createProgram(io)
  try {
    if (args.length === 0) {
      io.out(program.helpInformation())
      io.out(`${EPILOGUE}\n`)
      return 0
    }
    await program.parseAsync([...args], { from: 'user' })
    return 0
  } catch (thrown) {
    if (io.signal.aborted && (thrown as { name?: string }).name === 'AbortError') return 0
    const { exitCode, message, hint, code, details } = failureFrom(thrown)
    if (message !== undefined && args.includes('--json'))
      io.err(jsonLine({ error: { code: code ?? 'failed', message, ...(details ? { details } : {}), ...(hint ? { hint } : {}) } }))
    else if (message !== undefined) io.err(`holdfast: ${message}\n${hint ? `  ${hint}\n` : ''}`)
    if (io.env.HOLDFAST_DEBUG && thrown instanceof Error) io.err(`${thrown.stack}\n`)
    return exitCode
  }
}
