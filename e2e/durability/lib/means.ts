import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '../../lib/process.ts'

/** What a machine must have for some of these tests: undefined where it has it, else the reason to skip. */
export type Missing = string | undefined

const once = (look: () => Missing): (() => Missing) => {
  let answer: { readonly missing: Missing } | undefined
  return () => {
    answer ??= { missing: look() }
    return answer.missing
  }
}

/** System calls can be traced. */
export const noStrace = once(() => {
  if (process.platform !== 'linux') return 'strace is of Linux'
  const run = spawnSync('strace', ['-f', '-e', 'trace=fsync', 'true'], { stdio: 'ignore' })
  if (run.error) return 'strace is not installed'
  return run.status === 0 ? undefined : 'strace may not trace here'
})

/** File systems of a given size can be mounted. */
export const noMount = once(() => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a small tmpfs needs root on Linux'
  try {
    mountTmpfs(64)()
    return undefined
  } catch {
    return 'mounting a tmpfs is refused here'
  }
})

/** A tmpfs of so many KiB; the result unmounts it. */
export function mountTmpfs(kib: number, folder: string = join(tempDir(), 'disk')): (() => void) & { readonly folder: string } {
  mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'holdfast-test', folder], { stdio: 'ignore' })
  const unmount = (): void => {
    process.off('exit', unmount)
    spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
  }
  process.on('exit', unmount)
  return Object.assign(unmount, { folder })
}

const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
  '/usr/lib64/faketime/libfaketimeMT.so.1',
]

/** The library that lies to a process about the time, where it is installed. */
export const faketimeLibrary = (): string | undefined => FAKETIME.find(path => existsSync(path))

/** The clock of a process can be moved. */
export const noFaketime = once(() => (faketimeLibrary() === undefined ? 'libfaketime is not installed (apt-get install faketime)' : undefined))

/** So many connections can be open at once. */
export const noSockets = (count: number): Missing => {
  const limit = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout.trim()
  return limit === 'unlimited' || Number(limit) > count + 500 ? undefined : `only ${limit} files may be open here (ulimit -n)`
}

/** The memory of another process can be seen. */
export const noProc = (): Missing => (existsSync('/proc/self/status') ? undefined : '/proc is of Linux')

/** Resident memory of a process now and at its highest, in bytes. */
export function memoryOf(pid: number): { readonly nowBytes: number; readonly peakBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { nowBytes: kib('VmRSS') * 1024, peakBytes: kib('VmHWM') * 1024 }
}
