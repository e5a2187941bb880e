import fc from 'fast-check'
import { expect, test } from 'vitest'
import { msFromRfc3339 } from './rfc3339.ts'

test('[OPS-01] every instant that a Date prints is read back', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
      date => msFromRfc3339(date.toISOString()) === date.getTime(),
    ),
  )
})

test('[OPS-01] offsets, fractions and lower case are read', () => {
  const noon = Date.UTC(2030, 0, 31, 12)
  expect(msFromRfc3339('2030-01-31T12:00:00Z')).toBe(noon)
  expect(msFromRfc3339('2030-01-31t12:00:00z')).toBe(noon)
  expect(msFromRfc3339('2030-01-31T14:30:00+02:30')).toBe(noon)
  expect(msFromRfc3339('2030-01-31T07:00:00-05:00')).toBe(noon)
  expect(msFromRfc3339('2030-01-31T12:00:00.1239Z')).toBe(noon + 123)
  expect(msFromRfc3339('2028-02-29T00:00:00Z')).toBe(Date.UTC(2028, 1, 29))
})

test.each([
  '',
  '2030-01-31',
  '2030-01-31T12:00:00',
  '2030-01-31 12:00:00Z',
  '2030-02-30T00:00:00Z',
  '2029-02-29T00:00:00Z',
  '2030-13-01T00:00:00Z',
  '2030-00-10T00:00:00Z',
  '2030-01-00T00:00:00Z',
  '2030-01-01T24:00:00Z',
  '2030-01-01T00:60:00Z',
  '2030-01-01T00:00:60Z',
  '2030-01-01T00:00:00+24:00',
  '2030-01-01T00:00:00+01:60',
  '+002030-01-01T00:00:00Z',
  '1e30',
  'now',
  ' 2030-01-01T00:00:00Z',
])('[OPS-01] %j is no RFC 3339 date-time', text => expect(msFromRfc3339(text)).toBeUndefined())
