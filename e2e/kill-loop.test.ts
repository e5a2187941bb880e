import { describe, expect, it } from 'vitest'
import { canSeeSyscalls } from './lib/kill-point.ts'
import { recordResult } from './lib/results.ts'
import { stress } from './lib/stress.ts'

const seed = Number(process.env.HOLDFAST_SEED ?? 1)
const rounds = Number(process.env.HOLDFAST_ROUNDS ?? 1)

describe('kill -9', () => {
  it(
    `[SEQ-03] [SEQ-05] [SEQ-18] [fault 3] [fault 5] [fault 7] [fault 14] [fault 25] killed in mid-append over and over, with connections cut at random bytes, nothing is lost, repeated or reordered (seed ${seed})`,
    async () => {
      const kills = 10 * rounds
      const result = await stress({
        seed,
        sessions: 3,
        kills,
        cutShare: 0.3,
        onProgress: done => rounds > 1 && process.stderr.write(`\rkill ${done} of ${kills}`),
      })
      recordResult('kill -9 in mid-append, connections cut', { ...result, violations: result.violations.length, seed })
      expect(result.violations).toEqual([])
      expect([result.epochs, result.resets]).toEqual([1, 0])
      expect(result.events).toBeGreaterThan(kills)
      expect(result.cuts).toBeGreaterThan(0)
      if (canSeeSyscalls()) expect(result.killsInCommit * 3).toBeGreaterThanOrEqual(kills)
    },
    120_000 + 20_000 * rounds,
  )
})
