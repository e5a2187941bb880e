import type { Io } from '../src/io.ts'

export interface FakeIo extends Io {
  readonly printed: { out: string; err: string }
  readonly abort: AbortController
}

/** Standard streams that remember what was said. */
export function fakeIo(options: { env?: NodeJS.ProcessEnv; stdin?: string } = {}): FakeIo {
  const printed = { out: '', err: '' }
  const abort = new AbortController()
  const { stdin } = options
  return {
    printed,
    abort,
    out: text => {
      printed.out += text
    },
    outBytes: async bytes => {
      printed.out += Buffer.from(bytes).toString()
    },
    err: text => {
      printed.err += text
    },
    env: options.env ?? {},
    isTerminal: false,
    errIsTerminal: false,
    columns: undefined,
    stdin:
      stdin === undefined
        ? undefined
        : (async function* () {
            // In two pieces, cut inside a line.
            const bytes = Buffer.from(stdin)
            yield bytes.subarray(0, 7)
            yield bytes.subarray(7)
          })(),
    signal: abort.signal,
  }
}
