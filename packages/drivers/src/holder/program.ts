import type { StreamId } from './frames.ts'

/** How a process ended, as wait(2) says it: `signal` is null where it ended by itself. */
export interface ProcessEnd {
  readonly exitCode: number | null
  readonly signal: string | null
}

/** What a program tells its holder. */
export interface ProgramEvents {
  /** Output in order; the bytes are the receiver's. */
  onOutput(stream: StreamId, bytes: Buffer): void
  /** The process has ended; output may be left. Once. */
  onExit(end: ProcessEnd): void
  /** No output comes any more. Once, after onExit and `finish`. */
  onEnd(): void
}

/** A running program and its terminal or pipes. */
export interface Program {
  readonly pid: number
  /** Stops reading, so that the program blocks once the kernel's buffers are full. Nothing is lost. */
  pause(): void
  resume(): void
  /** Hands over output that was read and waits to be gathered. */
  flush(): void
  /** Writes all of it, then calls back; never blocks. `written` is false where nobody can read it any more. */
  write(bytes: Uint8Array, done: (written: boolean) => void): void
  /** Ctrl-C past a write that waits. */
  interrupt(done: (written: boolean) => void): void
  /** No more input; false where the program has a terminal, which has no such end. */
  endInput(): boolean
  /** False in pipe mode and after the end. */
  resize(cols: number, rows: number): boolean
  /** After onExit: reads on to the last byte, at most `graceMs` where other processes keep the terminal or the pipes open, then onEnd. */
  finish(graceMs: number): void
}

/** What to run. */
export interface ProgramOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly cols: number
  readonly rows: number
}
