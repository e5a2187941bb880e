import { isAbsolute, relative, resolve } from 'node:path'
import { realpathSync } from 'node:fs'
import { HoldfastError } from '@holdfast/protocol'

/** What a terminal is created with, defaults filled in (contract section 4). */
export interface TerminalOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly cols: number
  readonly rows: number
  readonly singleUser: boolean
}

/** What may be started; undefined allows nothing, an empty list allows all. */
export interface ExecPolicy {
  readonly folders: readonly string[]
  readonly commands: readonly string[]
}

/** Variables by which a command's name comes to mean something else. */
const OTHER_PROGRAM = /^(?:PATH|LD_.*|DYLD_.*|BASH_ENV|ENV|NODE_OPTIONS|PYTHONSTARTUP|PYTHONPATH|PERL5OPT|PERL5LIB|RUBYOPT)$/

const refuse = (message: string, field: string): never => {
  throw new HoldfastError('invalid_request', `${field}: ${message}`, { field })
}

/** Throws `invalid_request`; the schema of `POST /sessions` has looked at the types. */
export function terminalOptions(options: unknown, workingDir: string | null, home: string): TerminalOptions {
  const given = (options ?? {}) as Partial<Omit<TerminalOptions, 'singleUser'>> & { readonly single_user?: boolean }
  if (given.command === undefined) return refuse('a terminal needs a command', 'terminal.command')
  const { command, args = [], env = {} } = given
  const cwd = given.cwd ?? workingDir ?? home
  if ([command, cwd, ...args].some(text => text.includes('\0'))) refuse('no text of a command may hold a NUL', 'terminal')
  for (const [name, value] of Object.entries(env))
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) refuse(`"${name.slice(0, 64)}" is no environment variable`, 'terminal.env')
  if (!isAbsolute(cwd)) refuse('a working folder is an absolute path', 'terminal.cwd')
  return { command, args, cwd, env, cols: given.cols ?? 80, rows: given.rows ?? 24, singleUser: given.single_user ?? false }
}

/** Throws `forbidden` for what the configuration does not allow (contract section 9). */
export function checkPolicy(policy: ExecPolicy | undefined, { command, cwd, env }: Pick<TerminalOptions, 'command' | 'cwd' | 'env'>): void {
  if (!policy)
    throw new HoldfastError(
      'forbidden',
      'Others than this machine can reach the server, so it starts nothing until exec.allow_folders and exec.allow_commands are configured.',
      { scope: 'exec' },
    )
  if (policy.commands.length > 0 && !policy.commands.includes('*')) {
    if (!policy.commands.includes(command)) throw new HoldfastError('forbidden', 'The command is none of exec.allow_commands.', { field: 'terminal.command' })
    const name = Object.keys(env).find(key => OTHER_PROGRAM.test(key))
    if (name !== undefined) throw new HoldfastError('forbidden', `${name} would make another program of an allowed command.`, { field: 'terminal.env' })
  }
  if (policy.folders.length > 0 && !policy.folders.some(folder => isWithin(real(folder), real(cwd))))
    throw new HoldfastError('forbidden', 'The working folder lies in none of exec.allow_folders.', { field: 'terminal.cwd' })
}

/** Links lead nowhere else. */
const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

const isWithin = (folder: string, path: string): boolean => {
  const way = relative(folder, path)
  return way === '' || (!way.startsWith('..') && !isAbsolute(way))
}
