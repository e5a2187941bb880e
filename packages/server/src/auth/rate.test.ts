import fc from 'fast-check'
import { HoldfastError } from '@holdfast/protocol'
import { expect, test } from 'vitest'
import { type Bucket, createBuckets, createRates, take } from './rate.ts'

test('[OPS-03] never more than burst + rate × time, and who waits as told is let in', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 300 }),
      (perSecond, burst, steps) => {
        const rule = { perSecond, burst }
        let bucket: Bucket | undefined
        let now = 1000
        let granted = 0
        for (const step of steps) {
          now += step
          const decision = take(bucket, now, rule)
          if (decision.retryAfterMs === 0) granted += 1
          else expect(take(decision.bucket, now + decision.retryAfterMs, rule).retryAfterMs).toBe(0)
          expect(decision.bucket.left).toBeGreaterThanOrEqual(0)
          bucket = decision.bucket
        }
        expect(granted).toBeLessThanOrEqual(burst + ((now - 1000) * perSecond) / 1000 + 1e-6)
      },
    ),
  )
})

test('[OPS-03] a long pause saves up no more than one burst', () => {
  const rule = { perSecond: 10, burst: 3 }
  let bucket = take(undefined, 0, rule).bucket
  const granted = Array.from({ length: 10 }, () => {
    const decision = take(bucket, 3_600_000, rule)
    bucket = decision.bucket
    return decision.retryAfterMs === 0
  })
  expect(granted.filter(Boolean)).toHaveLength(3)
})

test('[OPS-03] whoever is at it just now is not forgotten for newcomers', () => {
  const buckets = createBuckets({ clock: { steadyMs: () => 0 }, rule: { perSecond: 1, burst: 2 }, maxKeys: 2 })
  for (const key of ['a', 'b', 'a', 'a']) buckets.take(key)
  expect(buckets.size).toBe(2)
  buckets.take('c')
  expect(buckets.peek('a')).toBe(1000)
  expect(buckets.take('b')).toBe(0)
  expect(buckets.size).toBe(2)
})

test('[OPS-03] a known key takes no other key’s place', () => {
  const buckets = createBuckets({ clock: { steadyMs: () => 0 }, rule: { perSecond: 1, burst: 2 }, maxKeys: 2 })
  for (const key of ['a', 'a', 'b', 'b']) buckets.take(key)
  expect(buckets.peek('a')).toBe(1000)
})

test('[OPS-03] a steady clock that would go back gives nothing', () => {
  const rule = { perSecond: 10, burst: 1 }
  const { bucket } = take(undefined, 5000, rule)
  expect(take(bucket, 4000, rule).retryAfterMs).toBe(100)
  expect(take(take(bucket, 4000, rule).bucket, 5050, rule).retryAfterMs).toBe(50)
})

test('[OPS-03] memory is bounded: full buckets go first, then those used longest ago', () => {
  let now = 0
  const buckets = createBuckets({ clock: { steadyMs: () => now }, rule: { perSecond: 1, burst: 2 }, maxKeys: 3 })
  for (const key of ['a', 'a', 'b', 'c', 'c']) buckets.take(key)
  now = 1000
  buckets.take('d')
  expect(buckets.size).toBe(3)
  expect(buckets.peek('a')).toBe(0)
  expect(buckets.take('c')).toBe(0)
  expect(buckets.take('c')).toBe(1000)
  for (let i = 0; i < 1000; i++) buckets.take(`k-${i}`)
  expect(buckets.size).toBe(3)
})

test('[OPS-03] inputs and posts over the rate of one principal are rate_limited with the time to wait; another has its own', () => {
  let now = 0
  const rates = createRates({ clock: { steadyMs: () => now }, limits: { requests_per_second: 3, connections: 1 } })
  for (let i = 0; i < 3; i++) rates.request('ann')
  const refused = () => rates.request('ann')
  expect(refused).toThrow(HoldfastError)
  expect(refused).toThrow(expect.objectContaining({ code: 'rate_limited', details: { limit: 'requests_per_second', max: 3, retry_after_ms: 334 } }))
  rates.request('bob')
  now += 334
  rates.request('ann')
  expect(refused).toThrow()
})

test('[OPS-03] connections are counted by principal and given back once each', () => {
  const rates = createRates({ clock: { steadyMs: () => 0 }, limits: { requests_per_second: 1, connections: 2 } })
  const first = rates.connect('ann')
  const second = rates.connect('ann')
  expect(() => rates.connect('ann')).toThrow(expect.objectContaining({ code: 'rate_limited', details: { limit: 'connections', max: 2, retry_after_ms: 1000 } }))
  rates.connect('bob')
  first()
  first()
  expect(rates.connections('ann')).toBe(1)
  rates.connect('ann')
  expect(() => rates.connect('ann')).toThrow()
  second()
  expect(rates.connections('ann')).toBe(1)
})
