import { once } from 'node:events'
import { processTty, type Tty } from './terminal/tty.ts'

/** Where a command reads and writes; tests give their own. */
export interface Io {
  readonly out: (text: string) => void
  /** Resolves when there is room for more. */
  readonly outBytes: (bytes: Uint8Array) => Promise<void>
  readonly err: (text: string) => void
  readonly env: NodeJS.ProcessEnv
  /** Colours and a status line that is drawn over. */
  readonly isTerminal: boolean
  readonly errIsTerminal: boolean
  /** Columns of the terminal; undefined where the output is none. */
  readonly columns: number | undefined
  /** Chunks of standard input; undefined where a person types there. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined
  /** Where a person sits at both ends; undefined where either is a pipe or a file. */
  readonly tty?: Tty | undefined
  /** Aborted by Ctrl-C and SIGTERM: whatever waits, ends. */
  readonly signal: AbortSignal
}

/** This process's own streams. */
export function processIo(): Io {
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  // The first signal ends politely; a second one has its usual effect.
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  // `holdfast … | head` closes early: that is no fault.
  process.stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    out: text => void process.stdout.write(text),
    outBytes: async bytes => {
      if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
    },
    err: text => void process.stderr.write(text),
    env: process.env,
    isTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    columns: process.stdout.isTTY ? process.stdout.columns : undefined,
    stdin: process.stdin.isTTY ? undefined : process.stdin,
    tty: processTty(),
    signal: abort.signal,
  }
}
