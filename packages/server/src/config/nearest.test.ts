import fc from 'fast-check'
import { expect, test } from 'vitest'
import { distance, nearestKey } from './nearest.ts'

test('[OPS-03] distance is a distance', () => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(
      word,
      word,
      (a, b) => distance(a, b) === distance(b, a) && (distance(a, b) === 0) === (a === b) && distance(a, b) <= Math.max(a.length, b.length),
    ),
  )
  expect([distance('host', 'hots'), distance('port', 'ports'), distance('', 'abc'), distance('kitten', 'sitting')]).toEqual([1, 1, 3, 3])
})

test('[OPS-03] a misspelling and a wrong table both lead to the known key', () => {
  const known = ['serve.port', 'serve.host', 'limits.event_bytes', 'times.heartbeat_ms']
  expect(nearestKey('serve.prot', known)).toBe('serve.port')
  expect(nearestKey('port', known)).toBe('serve.port')
  expect(nearestKey('serve.heartbeat_ms', known)).toBe('times.heartbeat_ms')
  expect(nearestKey('limit.event_byte', known)).toBe('limits.event_bytes')
  expect(nearestKey('x'.repeat(10_000), known)).toBeUndefined()
})
