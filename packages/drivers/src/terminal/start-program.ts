import type { Clock, Random } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import { connectHolder, type HolderConnection, type InstalledHolder, programEnv, startHolder } from '../holder/index.ts'
import type { TerminalOptions } from './options.ts'
import type { TerminalOwn } from './own.ts'
import type { Places } from './places.ts'

export interface ProgramPorts {
  readonly installed: () => InstalledHolder
  readonly places: Places
  readonly clock: Clock
  readonly random: Random
  /** The server's own environment, of which a program gets five variables. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A program that runs, or did. */
export interface Program {
  readonly connection: Exclude<HolderConnection, { state: 'unreachable' }>
  readonly own: Pick<TerminalOwn, 'pid' | 'startTime' | 'bootId'>
}

/** Starts a program in its holder. Throws `invalid_request` where the command can't be started; then nothing is left. */
export async function startProgram(
  { installed, places, clock, random, env }: ProgramPorts,
  given: { readonly sessionId: string; readonly incarnation: number; readonly options: TerminalOptions },
): Promise<Program> {
  const { sessionId, incarnation, options } = given
  const { command, args, cwd, cols, rows } = options
  const folder = places.of(sessionId, incarnation)
  const launch = () =>
    startHolder(
      folder,
      { sessionId, incarnation, mode: 'pty', command, args, cwd, cols, rows, env: programEnv(env, options.env) },
      { installed: installed(), clock, random },
    )
  await places.settled(sessionId, incarnation)
  let result = await launch()
  if (result.state === 'failed' && result.code === 'folder_in_use') {
    // Of a server that died between a start and its commit.
    await places.clear(sessionId, incarnation, true)
    result = await launch()
  }
  if (result.state === 'failed') {
    const isOwn = result.code === 'holder_failed' || result.code === 'folder_in_use'
    throw new HoldfastError(isOwn ? 'internal' : 'invalid_request', `The command can't be started: ${result.message}.`, {
      reason: result.code,
      field: result.code === 'bad_cwd' ? 'terminal.cwd' : 'terminal.command',
    })
  }
  const connection = await connectHolder(folder, { clock })
  if (connection.state === 'unreachable') {
    await places.clear(sessionId, incarnation, true)
    throw new HoldfastError('internal', 'The program was started and can not be reached.', { reason: connection.reason })
  }
  const record = connection.state === 'live' ? connection.link.hello : connection.remains.record
  return { connection, own: { pid: result.programPid, startTime: record?.program?.startTime ?? null, bootId: record?.bootId ?? null } }
}
