import { writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { median } from './figures.ts'
import { memoryOf } from './processes.ts'

export interface Memory {
  readonly resident: number
  readonly anonymous: number
}

const EVERY_MS = 100
const SAMPLES = 15
const SPREAD = 0.01
const DEADLINE_MS = 30_000

/** A process's memory in bytes once it rests: the median of 15 samples in a row, 100 ms apart, that differ by less than 1 %; after 30 s, of the last 15. */
export async function settledMemory(pid: number): Promise<Memory> {
  const samples: Memory[] = []
  const began = performance.now()
  for (;;) {
    samples.push(memoryOf(pid))
    const window = samples.slice(-SAMPLES)
    const resident = window.map(sample => sample.resident)
    const isSteady = window.length === SAMPLES && Math.max(...resident) - Math.min(...resident) < SPREAD * median(resident)
    if (isSteady || performance.now() - began > DEADLINE_MS) return { resident: median(resident), anonymous: median(window.map(sample => sample.anonymous)) }
    await pause(EVERY_MS)
  }
}

/** Makes the kernel count the peak of resident memory (`memoryOf(pid).peak`) anew; Linux alone. */
export const resetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5')

/** For notes. */
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
