import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatCursor, parseCursor } from './cursor.ts'

const epoch = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{3,31}$/)
const seq = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

test.each([
  ['0', { seq: 0 }],
  ['42', { seq: 42 }],
  ['007', { seq: 7 }],
  ['9007199254740991', { seq: Number.MAX_SAFE_INTEGER }],
  ['abcd.0', { epoch: 'abcd', seq: 0 }],
  ['Abc1.42', { epoch: 'Abc1', seq: 42 }],
  [`a${'9'.repeat(31)}.1`, { epoch: `a${'9'.repeat(31)}`, seq: 1 }],
  [0, { seq: 0 }],
  [42, { seq: 42 }],
  [Number.MAX_SAFE_INTEGER, { seq: Number.MAX_SAFE_INTEGER }],
])('[SEQ-04] %j is a cursor', (text, cursor) => {
  expect(parseCursor(text)).toEqual(cursor)
})

test.each([
  '',
  ' ',
  '-1',
  '+1',
  '1.5',
  '1e3',
  '0x10',
  ' 1',
  '1 ',
  '1\n',
  '٣',
  'abc',
  '.1',
  'abcd.',
  'abcd',
  'abcd.-1',
  'abcd.1.2',
  'abcd 1',
  '9007199254740992',
  '9999999999999999',
  '12345678901234567',
  '00000000000000001', // over 2^53-1, over 16 digits
  'abc.1',
  `${'a'.repeat(33)}.1`,
  '1abc.1',
  'ab-cd.1',
  'ab_cd.1',
  'äbcd.1', // not an epoch
  -1,
  -0,
  0.5,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  null,
  undefined,
  true,
  {},
  [1],
])('[fault 9] %j is no cursor', value => {
  expect(parseCursor(value)).toBeUndefined()
})

test('[SEQ-04] what formatCursor writes, parseCursor reads, as text and as a plain integer', () => {
  fc.assert(
    fc.property(epoch, seq, (name, at) => {
      expect(parseCursor(formatCursor(name, at))).toEqual({ epoch: name, seq: at })
      expect(parseCursor(String(at))).toEqual(parseCursor(at))
    }),
  )
})

test('[fault 9] any other text is refused rather than guessed at', () => {
  const form = /^([A-Za-z][A-Za-z0-9]{3,31}\.)?[0-9]{1,16}$/
  fc.assert(
    fc.property(fc.string(), text => {
      const digits = text.slice(text.indexOf('.') + 1)
      const fits = form.test(text) && !text.endsWith('\n') && BigInt(digits) <= BigInt(Number.MAX_SAFE_INTEGER)
      expect(parseCursor(text) !== undefined).toBe(fits)
    }),
  )
})
