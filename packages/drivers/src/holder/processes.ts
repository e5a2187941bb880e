import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** A process that no other can be taken for: the pid alone is given again. `startTime` is the platform's own word, compared, never computed with. */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTime: string
}

/** What an operating system says about its processes. */
export interface Processes {
  /** Changes with every boot of the machine. */
  bootId(): string
  /** Undefined where there is no such process; one that ended and was not reaped is none (a pid 1 may never reap). */
  startTime(pid: number): string | undefined
  /** The foreground process group of this process's terminal. */
  foregroundGroup(pid: number): number | undefined
  /** The process groups that live in the session which this process leads, or led. */
  groupsOfSession(pid: number): readonly number[]
  /** Whether a forked child runs its own program already. */
  executed(pid: number): boolean
}

/** Whether exactly this process still runs. */
export const isRunning = (processes: Processes, { pid, startTime }: ProcessIdentity): boolean => processes.startTime(pid) === startTime

/** Signals a process group; false where there is none, or none that may be signalled. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-group, signal)
  } catch {
    return false
  }
}

/** Fields of /proc/<pid>/stat from the third (state) on: the second may hold spaces and brackets. */
function linuxStat(pid: number | string): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

const commandLine = (pid: number | string): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return undefined
  }
}

/** Linux: /proc. */
export const linuxProcesses: Processes = {
  bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
  startTime(pid) {
    const stat = linuxStat(pid)
    return stat && !/[ZX]/.test(stat[0] ?? 'X') ? stat[19] : undefined
  },
  foregroundGroup(pid) {
    const group = Number(linuxStat(pid)?.[5])
    return group > 0 ? group : undefined
  },
  groupsOfSession(pid) {
    const groups = new Set<number>()
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const stat = linuxStat(name)
      if (stat && Number(stat[3]) === pid && !/[ZX]/.test(stat[0] ?? 'X')) groups.add(Number(stat[2]))
    }
    return [...groups]
  },
  // A process that is ending has an empty one.
  executed: pid => (commandLine(pid) ?? '') !== '' && commandLine(pid) !== commandLine('self'),
}

function say(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' },
    }).trim()
  } catch {
    return undefined
  }
}

/** macOS: ps and sysctl. Its start time has seconds only, so a pid given again within the second of its start is not told apart. */
const macProcesses: Processes = {
  bootId: () => say('sysctl', '-n', 'kern.bootsessionuuid') ?? 'unknown',
  startTime(pid) {
    const [state, ...start] = say('ps', '-o', 'stat=,lstart=', '-p', String(pid))?.split(/\s+/) ?? []
    return state === undefined || state === '' || state.startsWith('Z') ? undefined : start.join(' ')
  },
  foregroundGroup(pid) {
    const group = Number(say('ps', '-o', 'tpgid=', '-p', String(pid)))
    return group > 0 ? group : undefined
  },
  groupsOfSession: pid => (say('ps', '-o', 'pid=', '-g', String(pid)) ? [pid] : []),
  executed: () => true,
}

/** The processes of the system that this runs on. */
export const processesHere: Processes = process.platform === 'darwin' ? macProcesses : linuxProcesses
