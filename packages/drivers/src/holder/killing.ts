import { constants } from 'node:os'
import type { Clock } from '@holdfast/core'
import { type Processes, signalGroup } from './processes.ts'

/** How often it is looked whether anything is left of a program. */
const LOOK_MS = 20

/** Ends everything in a program's session: SIGHUP, and SIGKILL for what is left after the grace. Resolves when nothing is left or was killed. */
export function killProgram(pid: number, graceMs: number, clock: Clock, processes: Processes): Promise<void> {
  for (const group of processes.groupsOfSession(pid)) {
    signalGroup(group, 'SIGHUP')
    // A stopped process hears nothing else.
    signalGroup(group, 'SIGCONT')
  }
  const deadline = clock.steadyMs() + graceMs
  return new Promise(resolve => {
    const look = (): void => {
      const groups = processes.groupsOfSession(pid)
      if (groups.length > 0 && clock.steadyMs() < deadline) {
        clock.after(LOOK_MS, look)
        return
      }
      for (const group of groups) signalGroup(group, 'SIGKILL')
      resolve()
    }
    look()
  })
}

/** Signals what runs in the foreground of a program's terminal, or its own group where it has none; false for a name that is no signal's. */
export function signalProgram(pid: number, name: string, processes: Processes): boolean {
  return Object.hasOwn(constants.signals, name) && signalGroup(processes.foregroundGroup(pid) ?? pid, name as NodeJS.Signals)
}
