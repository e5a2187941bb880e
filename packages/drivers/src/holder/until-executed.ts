import type { Clock } from '@holdfast/core'
import { StartError } from './holder-config.ts'
import type { Processes } from './processes.ts'
import type { Program, ProgramEvents } from './program.ts'

/** What the forked child prints where it can't become the program; it ends with code 1 then. */
const FAILED = /^(?:execvp\(3\)|chdir\(2\)|setuid\(2\)|setgid\(2\)) failed\.: ([^\r\n]*)\r?\n$/

const LOOK_MS = 1

/** A started program, once it runs its own code or has ended. Rejects with StartError where the forked child could not become it. */
export async function untilExecuted(
  start: (events: ProgramEvents) => Program,
  events: ProgramEvents,
  { clock, processes }: { readonly clock: Clock; readonly processes: Processes },
): Promise<Program> {
  let printed = ''
  let executed = false
  let onEnded = (): void => {}
  const ended = new Promise<void>(resolve => {
    onEnded = resolve
  })
  const held: (() => void)[] = []
  /** Nothing goes on before it is known whether there is a program; what it prints meanwhile is little. */
  const pass = (event: () => void): void => {
    if (executed) event()
    else held.push(event)
  }
  let exitCode: number | null = null
  let onExited = (): void => {}
  const exited = new Promise<void>(resolve => {
    onExited = resolve
  })
  const program = start({
    onOutput(stream, bytes) {
      if (!executed) printed += bytes.toString('latin1')
      pass(() => events.onOutput(stream, bytes))
    },
    onExit(end) {
      exitCode = end.exitCode
      onExited()
      if (!executed) program.finish(0)
      pass(() => events.onExit(end))
    },
    onEnd() {
      onEnded()
      pass(() => events.onEnd())
    },
  })
  const looked = new Promise<void>(resolve => {
    const look = (): void => {
      if (processes.executed(program.pid)) resolve()
      // One that is gone ends by its own events.
      else if (processes.startTime(program.pid) !== undefined) clock.after(LOOK_MS, look)
    }
    look()
  })
  await Promise.race([ended, looked])
  // The terminal may hang up before the exit is told.
  if (FAILED.test(printed) && exitCode === null && !processes.executed(program.pid)) await exited
  const why = exitCode === 1 ? FAILED.exec(printed) : null
  if (why) throw new StartError('spawn_failed', why[1] ?? '')
  // The caller has the program first, then hears of it.
  setImmediate(() => {
    executed = true
    for (const event of held.splice(0)) event()
  })
  return program
}
