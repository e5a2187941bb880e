import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backoffMs } from './backoff.ts'

const policy = { baseMs: 100, capMs: 1000 }

describe('backoff', () => {
  test('[CLI-01] the ceiling doubles with every try up to the cap, and the wait is anywhere below it', () => {
    expect([1, 2, 3, 4, 5, 50].map(tries => backoffMs(tries, policy, 0.999999))).toEqual([99, 199, 399, 799, 999, 999])
    expect([1, 2, 50].map(tries => backoffMs(tries, policy, 0))).toEqual([0, 0, 0])
  })

  test('[CLI-01] full jitter: never negative, never at the ceiling, a whole number of ms', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (tries, roll) => {
        const ms = backoffMs(tries, policy, roll)
        return Number.isInteger(ms) && ms >= 0 && ms < policy.capMs
      }),
      { seed: 1 },
    )
  })
})
