/** How long to wait between tries. Durations in ms. */
export interface BackoffPolicy {
  readonly baseMs: number
  readonly capMs: number
}

/** Exponential backoff with full jitter: anywhere in [0, min(cap, base · 2^(tries − 1))), `roll` being in [0, 1) (CLI-01). */
export function backoffMs(tries: number, policy: BackoffPolicy, roll: number): number {
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(Math.max(tries, 1) - 1, 40))
  return Math.floor(roll * ceiling)
}
