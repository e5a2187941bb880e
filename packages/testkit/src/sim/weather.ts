import type { Retention } from '@holdfast/core'
import type { SeededRandom } from './random.ts'

/** How rough a run is: chances per occasion, and settings that are fixed for a run. */
export interface Weather {
  /** A commit finds the disk full. */
  readonly full: number
  /** A commit is stored, but its caller never learns; the process ends over it. */
  readonly lostCommit: number
  readonly lostWake: number
  readonly lostRequest: number
  readonly lostAnswer: number
  /** A client stops waiting while its request, or the answer, is still under way. */
  readonly impatience: number
  /** The store takes its time over a look, before or after it. */
  readonly slowLook: number
  readonly tailBytes: { readonly perLog: number; readonly total: number }
  readonly retention: Readonly<Record<string, Retention>>
  readonly idleExpiryMs: Readonly<Record<string, number | null>>
  /** Bytes that some events are padded with; 0 for none. */
  readonly padBytes: number
}

const HOUR_MS = 3_600_000

export function createWeather(random: SeededRandom): Weather {
  const sometimes = (chance: number): number => (random.chance(0.5) ? chance * random.fraction() : 0)
  const keep = (): Retention => ({
    max_age_ms: random.chance(0.1) ? HOUR_MS : null,
    max_events: random.chance(0.5) ? 3 + random.int(20) : null,
    max_bytes: random.chance(0.2) ? 2000 + random.int(4000) : null,
  })
  return {
    full: sometimes(0.3),
    lostCommit: sometimes(0.04),
    lostWake: sometimes(0.6),
    lostRequest: sometimes(0.2),
    lostAnswer: sometimes(0.3),
    impatience: sometimes(0.3),
    slowLook: random.fraction() * 0.6,
    tailBytes: random.pick([
      { perLog: 300, total: 600 },
      { perLog: 2000, total: 3000 },
      { perLog: 1_000_000, total: 4_000_000 },
    ]),
    retention: random.chance(0.7) ? { ui: keep(), run: keep() } : {},
    idleExpiryMs: random.chance(0.2) ? { ui: 2 * HOUR_MS } : {},
    padBytes: random.chance(0.01) ? 150_000 : 0,
  }
}

/** The same settings, with nothing going wrong any more. */
export const calm = (weather: Weather): Weather => ({
  ...weather,
  full: 0,
  lostCommit: 0,
  lostWake: 0,
  lostRequest: 0,
  lostAnswer: 0,
  impatience: 0,
  slowLook: 0,
})
