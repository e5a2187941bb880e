import { execFile } from 'node:child_process'
import { readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { ReadStream } from 'node:tty'
import type { Clock } from '@holdfast/core'
import type { Processes } from './processes.ts'
import { signalGroup } from './processes.ts'
import type { Program, ProgramEvents, ProgramOptions } from './program.ts'
import type { PtyNative } from './pty-native.ts'

/** Reads of a terminal give at most 4 KB each; they are gathered in pieces of this size before anybody sees them. */
const GATHER_BYTES = 64 * 1024
const READ_BYTES = 8 * 1024

/** More than a kernel keeps for a terminal: what is left of a program that has ended is less. */
const TAIL_BYTES = 1 << 20

/** A terminal whose program does not read takes no input; it is asked again after 1, 2, 4 … ms, at most so many. */
const MAX_RETRY_MS = 32

const CTRL_C = Uint8Array.of(3)

export interface PtyPorts {
  readonly native: PtyNative
  readonly helperPath: string
  readonly clock: Clock
  readonly processes: Processes
}

/** Starts a program in a terminal of its own. Throws where there is no terminal to be had. */
export function startPtyProgram({ command, args, cwd, env, cols, rows }: ProgramOptions, ports: PtyPorts, events: ProgramEvents): Program {
  const { native, clock, processes } = ports
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const { fd, pid, pty } = native.fork(command, args, pairs, cwd, cols, rows, -1, -1, true, ports.helperPath, (exitCode, signal) =>
    events.onExit(signal > 0 ? { exitCode: null, signal: nameOfSignal(signal) } : { exitCode, signal: null }),
  )

  let arena = Buffer.allocUnsafeSlow(GATHER_BYTES)
  let filled = 0
  let given = 0
  let scheduled = false
  let hungUp = false
  let finishing = false
  let ended = false

  const flush = (): void => {
    if (filled === given) return
    const bytes = arena.subarray(given, filled)
    given = filled
    events.onOutput(0, bytes)
  }

  const gather = (count: number): boolean => {
    filled += count
    if (GATHER_BYTES - filled < READ_BYTES) flush()
    else if (!scheduled) {
      scheduled = true
      setImmediate(() => {
        scheduled = false
        flush()
      })
    }
    return true
  }

  const room = (): Buffer => {
    if (GATHER_BYTES - filled < READ_BYTES) {
      flush()
      arena = Buffer.allocUnsafeSlow(GATHER_BYTES)
      filled = 0
      given = 0
    }
    return arena.subarray(filled)
  }

  /** Reads what the kernel still has: some versions of Node take a hang-up after a short read for the end. */
  const drain = (): void => {
    try {
      for (let total = 0, count = -1; total < TAIL_BYTES && count !== 0; total += count) {
        count = readSync(fd, room())
        gather(count)
      }
    } catch {
      // EIO: hung up and empty. EAGAIN: empty, though another process has the terminal open.
    }
  }

  const end = (): void => {
    if (ended || !finishing) return
    ended = true
    flush()
    stream.destroy()
    events.onEnd()
  }

  const stream = new ReadStream(fd, { onread: { buffer: room, callback: gather } })
  const hangUp = (): void => {
    hungUp = true
    end()
  }
  stream.on('end', () => {
    drain()
    hangUp()
  })
  // Linux ends a terminal with EIO, once everything was read.
  stream.on('error', hangUp)
  stream.on('close', hangUp)
  stream.resume()

  const write = (bytes: Uint8Array, done: (written: boolean) => void, retryMs = 1): void => {
    // The descriptor's number may be another file's once the stream is destroyed.
    if (stream.destroyed) return done(false)
    let count = 0
    try {
      count = writeSync(fd, bytes)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EAGAIN') return done(false)
    }
    if (count === bytes.length) return done(true)
    clock.after(count > 0 ? 1 : retryMs, () => write(bytes.subarray(count), done, count > 0 ? 1 : Math.min(MAX_RETRY_MS, retryMs * 2)))
  }

  return {
    pid,
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    flush,
    write,
    interrupt(done) {
      interruptsByKey(pty, yes => {
        if (!yes) return write(CTRL_C, done)
        done(signalGroup(processes.foregroundGroup(pid) ?? pid, 'SIGINT'))
      })
    },
    endInput: () => false,
    resize(newCols, newRows) {
      if (stream.destroyed) return false
      native.resize(fd, newCols, newRows)
      return true
    },
    finish(graceMs) {
      finishing = true
      if (hungUp) return end()
      stream.resume()
      clock.after(graceMs, () => {
        if (ended) return
        drain()
        end()
      })
    },
  }
}

/** Whether Ctrl-C is an interrupt in this terminal, and no mere byte. The kernel looks at what is typed only once the program has read what is before it. */
function interruptsByKey(pty: string, answer: (yes: boolean) => void): void {
  execFile('stty', [process.platform === 'darwin' ? '-f' : '-F', pty, '-a'], { timeout: 1000 }, (error, stdout) =>
    answer(error === null && /(?:^|\s)isig\b/.test(stdout) && /\bintr = \^C;/.test(stdout)),
  )
}

/** A signal's name by its number. */
function nameOfSignal(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number)
  return found ? found[0] : `SIG${number}`
}
