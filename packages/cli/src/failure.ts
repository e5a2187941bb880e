import { HoldfastError } from '@holdfast/protocol'
import { CommanderError } from 'commander'
import { StrangeAnswerError, UnreachableError } from './api.ts'
import { DEFAULT_URL } from './places.ts'

/** Exit codes of every command (contract section 9). */
export const EXIT = { fine: 0, failed: 1, usage: 2, inUse: 3, damaged: 4 } as const

/** The command was called in a way that can't be meant; exit code 2. */
export class UsageError extends Error {}

/** The command did its work and says with this code what it found; what there was to say is said. */
export class ExitError extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}

export interface Failure {
  readonly exitCode: number
  /** Undefined where everything was said already. */
  readonly message?: string
  /** What to do about it. */
  readonly hint?: string
  readonly code?: string
  readonly details?: unknown
}

/** What a thrown thing means for the person at the terminal. */
export function failureFrom(thrown: unknown): Failure {
  if (thrown instanceof CommanderError) return { exitCode: thrown.exitCode === 0 ? EXIT.fine : EXIT.usage }
  if (thrown instanceof ExitError) return { exitCode: thrown.exitCode }
  if (thrown instanceof UsageError) return { exitCode: EXIT.usage, message: thrown.message, code: 'usage' }
  if (thrown instanceof UnreachableError) return { exitCode: EXIT.failed, message: unreachable(thrown), hint: startHint(thrown.url), code: 'unreachable' }
  if (thrown instanceof StrangeAnswerError)
    return {
      exitCode: EXIT.failed,
      message: thrown.message,
      hint: 'Is something else listening there? Give the right address with --url or HOLDFAST_URL.',
      code: 'strange_answer',
    }
  if (thrown instanceof HoldfastError) {
    const hint = HINTS[thrown.code]
    return { exitCode: EXIT.failed, message: thrown.message, code: thrown.code, details: thrown.details, ...(hint ? { hint } : {}) }
  }
  const { name, code, message, exitCode } = thrown as { name?: string; code?: unknown; message?: string; exitCode?: unknown }
  const said = message ?? String(thrown)
  if (typeof exitCode === 'number') return { exitCode, message: said }
  if (name === 'OpenError' && code === 'in_use') return { exitCode: EXIT.inUse, message: said, code: 'in_use' }
  if ((name === 'OpenError' && code === 'damaged') || name === 'DamagedError')
    return { exitCode: EXIT.damaged, message: said, hint: 'Look closer with "holdfast doctor"; bring a backup back with "holdfast restore".', code: 'damaged' }
  return { exitCode: EXIT.failed, message: said }
}

const unreachable = (error: UnreachableError): string => {
  const cause = error.cause as { cause?: { code?: string; message?: string }; name?: string } | undefined
  const why = cause?.name === 'TimeoutError' ? 'no answer in time' : (cause?.cause?.code ?? cause?.cause?.message)
  return `No Holdfast server answers at ${error.url}${why ? ` (${why})` : ''}.`
}

const startHint = (url: string): string =>
  url === DEFAULT_URL
    ? 'Start one with "holdfast serve", or say where it is with --url or HOLDFAST_URL.'
    : 'Is the address right? It comes from --url or HOLDFAST_URL; without them it is http://127.0.0.1:8765.'

const HINTS: Partial<Record<string, string>> = {
  unauthorized: 'Give a token with HOLDFAST_TOKEN or --token; the admin token lies in the file "token" of the server\'s data folder (--data-dir).',
  forbidden: 'Make a token that may: holdfast token create --subject me --scope read --scope write …',
  not_found: 'See what there is: holdfast ls --all',
  not_finished: 'See what there is so far with --partial.',
  origin_rejected: 'The server does not know itself under this host name: start it with --allow-host or --public-url.',
}
