import { readdirSync, readFileSync } from 'node:fs'

/** Numbers of the system calls by which a commit reaches the disk, per architecture (pwrite64, fsync, fdatasync). */
const WRITING: Readonly<Record<string, ReadonlySet<string>>> = { x64: new Set(['18', '74', '75']), arm64: new Set(['68', '82', '83']) }

/** True where this machine shows which system call a thread is in. */
export const canSeeSyscalls = (): boolean => {
  try {
    return readFileSync('/proc/self/syscall', 'utf8').length > 0 && WRITING[process.arch] !== undefined
  } catch {
    return false
  }
}

/** True when a thread of the process is writing or syncing a file at this moment. */
export function isWriting(pid: number): boolean {
  const calls = WRITING[process.arch]
  if (!calls) return false
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const call = readFileSync(`/proc/${pid}/task/${thread}/syscall`, 'utf8')
      if (calls.has(call.slice(0, call.indexOf(' ')))) return true
    }
  } catch {}
  return false
}

/** Looks between turns of the event loop for a commit being written, and kills in it; false when none came in time (then nothing is killed). */
export async function killInCommit(pid: number, maxMs: number): Promise<boolean> {
  const end = Date.now() + maxMs
  while (Date.now() < end) {
    // A few looks in a row: a commit lasts less than a turn.
    for (let look = 0; look < 20; look++) {
      if (!isWriting(pid)) continue
      process.kill(pid, 'SIGKILL')
      return true
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  return false
}
