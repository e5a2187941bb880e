import type { Clock } from './ports.ts'

/** Wall time that never jumps: read once, then carried on by the steady clock, so that no clock change expires anything (fault 15). */
export function createSteadyTime(clock: Clock): () => number {
  const wall = clock.wallMs()
  const steady = clock.steadyMs()
  return () => Math.floor(wall + clock.steadyMs() - steady)
}

/** RFC 3339, UTC, ms. */
export function isoFromMs(ms: number): string {
  if (ms !== lastMs) {
    lastMs = ms
    lastIso = new Date(ms).toISOString()
  }
  return lastIso
}

/** Many events share a millisecond. */
let lastMs = Number.NaN
let lastIso = ''
