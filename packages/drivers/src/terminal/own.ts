/** What the record of a terminal keeps for its driver (TERM-11). */
export interface TerminalOwn {
  readonly incarnation: number
  /** Its program may run, or there is output of it that is not in the log. */
  readonly alive: boolean
  readonly pid: number
  /** As the platform words it; with pid and boot it names a process for good. */
  readonly startTime: string | null
  readonly bootId: string | null
  readonly cols: number
  readonly rows: number
  /** Where the log ends in the holder's output. */
  readonly offset: number
  /** Client id of the writer; null where there is none, or one without a client id. */
  readonly writer: string | null
}

export const ownFrom = (value: unknown): TerminalOwn | undefined =>
  typeof value === 'object' && value !== null && typeof (value as TerminalOwn).incarnation === 'number' ? (value as TerminalOwn) : undefined

/** The part of a session that everybody sees; environment and arguments may be secrets. */
export const shownFromOwn = (own: TerminalOwn, { command, cwd }: { readonly command: string; readonly cwd: string }): Readonly<Record<string, unknown>> => ({
  command,
  cwd,
  pid: own.pid,
  start_time: own.startTime,
  alive: own.alive,
  cols: own.cols,
  rows: own.rows,
  incarnation: own.incarnation,
})
