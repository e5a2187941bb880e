/** What a holder is told over stdin: its environment holds secrets, which neither arguments nor variables may show. */
export interface HolderConfig {
  readonly holderId: string
  readonly sessionId: string
  readonly incarnation: number
  readonly mode: 'pty' | 'pipe'
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The program's whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly cols: number
  readonly rows: number
  /** Unacked output per stream at which the holder stops reading, so that the program waits. */
  readonly spoolBytes: number
  readonly segmentBytes: number
  /** From SIGHUP to SIGKILL after a kill frame. */
  readonly killGraceMs: number
  /** How long output is read on after the program's end where others keep its terminal or pipes open. */
  readonly exitGraceMs: number
  /** How often the holder looks whether its folder is still there: without one it ends its program, since nobody can ever reach it. */
  readonly folderCheckMs: number
}

/** Why there is no program. */
export type StartFailure = 'command_not_found' | 'not_executable' | 'bad_cwd' | 'spawn_failed' | 'folder_in_use' | 'bad_config' | 'holder_failed'

/** The one line that a holder says on stdout. */
export type ReadyLine =
  | { readonly ok: true; readonly holderPid: number; readonly programPid: number }
  | { readonly ok: false; readonly code: StartFailure; readonly message: string }

/** A program that could not be started, with its reason for the ready line. */
export class StartError extends Error {
  readonly code: StartFailure

  constructor(code: StartFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StartError'
    this.code = code
  }
}

const SIZES = ['incarnation', 'cols', 'rows', 'spoolBytes', 'segmentBytes', 'killGraceMs', 'exitGraceMs', 'folderCheckMs'] as const
const WORDS = ['holderId', 'sessionId', 'command', 'cwd'] as const

/** The configuration in a JSON text. Throws StartError `bad_config`. */
export function configFrom(json: string): HolderConfig {
  let config: Partial<HolderConfig>
  try {
    config = JSON.parse(json) as Partial<HolderConfig>
  } catch (cause) {
    throw new StartError('bad_config', 'the configuration is no JSON', { cause })
  }
  const wrong =
    SIZES.find(name => !Number.isSafeInteger(config[name]) || (config[name] ?? -1) < 0) ??
    WORDS.find(name => typeof config[name] !== 'string') ??
    (config.mode !== 'pty' && config.mode !== 'pipe' ? 'mode' : undefined) ??
    (!Array.isArray(config.args) || config.args.some(arg => typeof arg !== 'string') ? 'args' : undefined) ??
    (typeof config.env !== 'object' || config.env === null || Object.values(config.env).some(value => typeof value !== 'string') ? 'env' : undefined)
  if (wrong) throw new StartError('bad_config', `${wrong} is not what it should be`)
  return config as HolderConfig
}
