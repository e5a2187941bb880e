import { spawn } from 'node:child_process'
import type { Clock } from '@holdfast/core'
import type { StreamId } from './frames.ts'
import type { Program, ProgramEvents, ProgramOptions } from './program.ts'

/** Starts a program with pipes for stdin, stdout and stderr, as the leader of a session of its own. Rejects where it can't be started. */
export function startPipeProgram({ command, args, cwd, env }: ProgramOptions, clock: Clock, events: ProgramEvents): Promise<Program> {
  const child = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const { stdin, stdout, stderr } = child
  let paused = false
  let closed = false
  let finishing = false
  let ended = false
  let heard = 0

  const read = (stream: StreamId) => (bytes: Buffer) => {
    heard++
    events.onOutput(stream, bytes)
    // Node resumes both by itself when the process ends.
    if (paused) pause()
  }
  const pause = (): void => {
    paused = true
    stdout.pause()
    stderr.pause()
  }
  const resume = (): void => {
    paused = false
    stdout.resume()
    stderr.resume()
  }
  const end = (): void => {
    if (ended || !finishing) return
    ended = true
    stdout.destroy()
    stderr.destroy()
    events.onEnd()
  }
  /** Ends once a whole turn of the loop has read nothing: what the program itself wrote lay in the pipes when it ended. */
  const endWhenQuiet = (deadlineMs: number): void => {
    const before = heard
    setImmediate(() =>
      setImmediate(() => {
        if (heard === before || clock.steadyMs() > deadlineMs) end()
        else endWhenQuiet(deadlineMs)
      }),
    )
  }

  stdout.on('data', read(0))
  stderr.on('data', read(1))
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {})
  child.on('exit', (exitCode, signal) => {
    stdin.destroy()
    events.onExit({ exitCode, signal })
  })
  child.on('close', () => {
    closed = true
    end()
  })

  const program = (pid: number): Program => ({
    pid,
    pause,
    resume,
    flush: () => {},
    write(bytes, done) {
      if (!stdin.writable) return done(false)
      stdin.write(bytes, error => done(!error))
    },
    interrupt: done => program(pid).write(Uint8Array.of(3), done),
    endInput() {
      stdin.end()
      return true
    },
    resize: () => false,
    finish(graceMs) {
      finishing = true
      if (closed) return end()
      resume()
      clock.after(graceMs, () => endWhenQuiet(clock.steadyMs() + graceMs))
    },
  })

  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('spawn', () => resolve(program(child.pid ?? 0)))
  })
}
