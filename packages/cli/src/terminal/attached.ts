import type { TerminalExit } from '@holdfast/client'
import { type Session, HoldfastError } from '@holdfast/protocol'
import { constants } from 'node:os'
import { type Api, sessionPath } from '../api.ts'
import type { ClientOptions } from '../command.ts'
import { EXIT, ExitError, UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { attachSession, type AttachSettings } from './attach-session.ts'

/** The session, if it is a terminal; throws what to do where it is none. */
export async function terminalSession(api: Api, id: string): Promise<Session> {
  const { session } = (await api.request('GET', sessionPath(id))).body as { session: Session }
  if (session.kind !== 'terminal')
    throw new HoldfastError('invalid_request', `"${id}" is a ${session.kind}, not a terminal. Watch it with: holdfast tail ${id}`, { kind: session.kind })
  return session
}

/** Attaches this window, then says how it ended: with the program's exit code, or with how to come back. */
export async function attachHere(api: Api, id: string, settings: AttachSettings, options: ClientOptions, io: Io): Promise<void> {
  if (!io.tty) throw new UsageError(`This needs a terminal on both sides. To read what it prints: holdfast export ${id} --format text`)
  const end = await attachSession(api, id, settings, io.tty, io)
  if (end.type === 'failed') throw end.error
  if (end.type === 'exited') {
    io.err(`[holdfast] ${exitText(end.exit)}\n`)
    throw new ExitError(exitCodeOf(end.exit))
  }
  if (end.unsentBytes > 0) io.err(`[holdfast] The last ${end.unsentBytes} bytes that you typed may not have reached the program.\n`)
  io.err(`[holdfast] Detached; the program goes on. Come back with:\n  ${comeBack(id, options)}\n`)
}

/** The command that attaches again, with what this one was given. */
export const comeBack = (id: string, { url, dataDir }: ClientOptions): string =>
  ['holdfast attach', id, ...(url === undefined ? [] : ['--url', url]), ...(dataDir === undefined ? [] : ['--data-dir', dataDir])].join(' ')

/** As a shell gives it: the code, or 128 and the signal's number. */
export function exitCodeOf({ exitCode, signal }: TerminalExit): number {
  if (exitCode !== null) return exitCode
  return signal !== null && signal in constants.signals ? 128 + constants.signals[signal as NodeJS.Signals] : EXIT.failed
}

const exitText = ({ exitCode, signal }: TerminalExit): string =>
  signal !== null
    ? `The program was ended by ${signal}.`
    : exitCode === null
      ? 'The program is gone; how it ended is not known.'
      : `The program ended with exit code ${exitCode}.`
