import type { Clock } from '@holdfast/core'
import { HoldfastError, type Limits } from '@holdfast/protocol'

export interface RateRule {
  readonly perSecond: number
  /** How many may come at once after a pause. */
  readonly burst: number
}

/** What is left of a burst, at a steady time in ms. */
export interface Bucket {
  readonly left: number
  readonly atMs: number
}

/** Refills a bucket up to now; a new one is full. */
export function refill(bucket: Bucket | undefined, nowMs: number, rule: RateRule): Bucket {
  if (!bucket) return { left: rule.burst, atMs: nowMs }
  const elapsedMs = Math.max(0, nowMs - bucket.atMs)
  return { left: Math.min(rule.burst, bucket.left + (elapsedMs * rule.perSecond) / 1000), atMs: Math.max(nowMs, bucket.atMs) }
}

/** 0 where one more may come now, else how long it must wait. */
export const waitMs = (bucket: Bucket, rule: RateRule): number => (bucket.left >= 1 ? 0 : Math.max(1, Math.ceil(((1 - bucket.left) * 1000) / rule.perSecond)))

/** Takes one; a refusal takes nothing. */
export function take(bucket: Bucket | undefined, nowMs: number, rule: RateRule): { readonly bucket: Bucket; readonly retryAfterMs: number } {
  const now = refill(bucket, nowMs, rule)
  const retryAfterMs = waitMs(now, rule)
  return { bucket: retryAfterMs > 0 ? now : { ...now, left: now.left - 1 }, retryAfterMs }
}

/** Token buckets by key. */
export interface Buckets {
  /** 0 and one is taken, or how many ms to wait and none is. */
  take(key: string): number
  /** The same, without taking. */
  peek(key: string): number
  readonly size: number
}

/** At most `maxKeys` are remembered: the full ones go first (they are as good as new), then those that were used longest ago. */
export function createBuckets({ clock, rule, maxKeys }: { clock: Pick<Clock, 'steadyMs'>; rule: RateRule; maxKeys: number }): Buckets {
  const buckets = new Map<string, Bucket>()
  /** No bucket is swept for full ones twice before any could have refilled. */
  let sweepAt = -Infinity

  function makeRoom(nowMs: number) {
    if (buckets.size < maxKeys) return
    if (nowMs >= sweepAt) {
      sweepAt = nowMs + 1000
      for (const [key, bucket] of buckets) if (refill(bucket, nowMs, rule).left >= rule.burst) buckets.delete(key)
    }
    if (buckets.size < maxKeys) return
    const oldest = buckets.keys().next()
    if (!oldest.done) buckets.delete(oldest.value)
  }

  return {
    take(key) {
      const nowMs = clock.steadyMs()
      const known = buckets.get(key)
      const { bucket, retryAfterMs } = take(known, nowMs, rule)
      // Set anew, so that the map is in order of last use.
      if (known) buckets.delete(key)
      else makeRoom(nowMs)
      buckets.set(key, bucket)
      return retryAfterMs
    },
    peek: key => waitMs(refill(buckets.get(key), clock.steadyMs(), rule), rule),
    get size() {
      return buckets.size
    },
  }
}

/** More principals than this at once share no memory of their rates; each entry is a hundred bytes or so. */
const MAX_PRINCIPALS = 10_000

/** What one principal may use of the server (OPS-03). */
export interface Rates {
  /** One input or post; a batch counts once. Throws `rate_limited` with `{limit, max, retry_after_ms}`. */
  request(subject: string): void
  /** One connection (a socket, a stream, a waiting poll); the answer gives it back, once. Throws `rate_limited`. */
  connect(subject: string): () => void
  connections(subject: string): number
}

/** There is no telling when a connection closes; a client waits this long before it asks again. */
const CONNECTION_RETRY_MS = 1000

export function createRates({ clock, limits }: { clock: Pick<Clock, 'steadyMs'>; limits: Pick<Limits, 'requests_per_second' | 'connections'> }): Rates {
  const perSecond = limits.requests_per_second
  const requests = createBuckets({ clock, rule: { perSecond, burst: perSecond }, maxKeys: MAX_PRINCIPALS })
  const connected = new Map<string, number>()

  return {
    request(subject) {
      const retryAfterMs = requests.take(subject)
      if (retryAfterMs === 0) return
      throw new HoldfastError('rate_limited', `More than ${perSecond} inputs or posts a second.`, {
        limit: 'requests_per_second',
        max: perSecond,
        retry_after_ms: retryAfterMs,
      })
    },
    connect(subject) {
      const count = connected.get(subject) ?? 0
      if (count >= limits.connections) {
        throw new HoldfastError('rate_limited', `${limits.connections} connections are open already.`, {
          limit: 'connections',
          max: limits.connections,
          retry_after_ms: CONNECTION_RETRY_MS,
        })
      }
      connected.set(subject, count + 1)
      let released = false
      return () => {
        if (released) return
        released = true
        const left = (connected.get(subject) ?? 1) - 1
        if (left > 0) connected.set(subject, left)
        else connected.delete(subject)
      }
    },
    connections: subject => connected.get(subject) ?? 0,
  }
}
