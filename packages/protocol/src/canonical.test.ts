import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson, deeperThan, parseLossless } from './canonical.ts'

/** The same JSON with keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, shuffled(item)]),
  )
}

const jsonObject = fc.dictionary(fc.string(), fc.jsonValue())

test('[SEQ-18] bodies that are equal as parsed JSON have one text, whatever the order of keys and the spaces', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const spaced = JSON.parse(JSON.stringify(shuffled(value), null, 3))
      expect(canonicalJson(spaced)).toBe(canonicalJson(value))
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('[SEQ-18] bodies that differ have another text', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      fc.pre(!isEqualJson(a, b))
      expect(canonicalJson(a)).not.toBe(canonicalJson(b))
    }),
  )
})

const isEqualJson = (a: unknown, b: unknown): boolean => JSON.stringify(sortKeys(a)) === JSON.stringify(sortKeys(b))
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (value === null || typeof value !== 'object') return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, sortKeys(item)])
}

test('a key is left out at the top only', () => {
  const value = { timestamp: 1, a: { timestamp: 2 } }
  expect(canonicalJson(value, 'timestamp')).toBe('{"a":{"timestamp":2}}')
})

test('__proto__ and other odd keys are keys like others', () => {
  const value = JSON.parse('{"__proto__":1,"constructor":2,"":3,"\\u2028":4}')
  expect(JSON.parse(canonicalJson(value))).toEqual(value)
  expect(canonicalJson(value)).toContain('"__proto__":1')
})

test.each([
  '9223372036854775807',
  '-9223372036854775808',
  '18446744073709551615',
  '12345678901234567890123',
  '0.1000000000000000055',
  '1e400',
  '-1E-400',
  '9007199254740990.5',
  '1.00000000000000000001',
])('[SEQ-06] the number %s, which no double holds, comes back as it was written', number => {
  const text = `{"a":[${number}],"b":"x"}`
  expect(JSON.stringify(parseLossless(text))).toBe(text)
})

test.each(['0', '-7', '1.5', '1.10', '1E5', '9007199254740991', '1.0000000000000000', '1e21'])(
  'the number %s, which a double holds, keeps its value',
  number => {
    expect(Number(JSON.stringify(parseLossless(number)))).toBe(Number(number))
  },
)

test('[SEQ-06] every 64-bit integer survives a parse and a stringify, alone, nested, as canonical text', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), integer => {
      const text = `{"id":${integer},"deep":[{"id":${integer}}]}`
      expect(JSON.stringify(parseLossless(text))).toBe(text)
      expect(canonicalJson(parseLossless(`[${integer}]`))).not.toBe(canonicalJson(parseLossless(`[${integer + 1n}]`)))
    }),
  )
})

test('[SEQ-18] one value written in several ways is one body, a double holding it or not', () => {
  const ways = [
    ['1e400', '1E400', '10E399', '1.0e+400', '0.1e401'],
    ['12345678901234567890', '1.2345678901234567890e19', '12345678901234567890.0'],
    ['1.5e-7', '1.5E-7', '0.00000015'],
    ['100000', '1E5', '1e5', '100000.0000000000000000'],
    ['0', '0e5', '0.0000000000000000', '-0e1'],
  ]
  for (const list of ways) expect(new Set(list.map(number => canonicalJson(parseLossless(`[${number}]`)))).size).toBe(1)
})

test('a number of a hundred thousand digits costs no more than its length', () => {
  const number = `1${'0'.repeat(100_000)}1`
  expect(canonicalJson(parseLossless(`[${number}]`))).toBe(`[${number}]`)
})

test('two large integers that a double confuses are two bodies', () => {
  expect(canonicalJson(parseLossless('[9007199254740993]'))).not.toBe(canonicalJson(parseLossless('[9007199254740992]')))
})

test('parseLossless reads all JSON as JSON.parse does, digits in strings too', () => {
  fc.assert(
    fc.property(jsonObject, fc.stringMatching(/^[0-9]{16,20}$/), (value, digits) => {
      const text = JSON.stringify({ ...value, digits })
      expect(JSON.stringify(parseLossless(text))).toBe(JSON.stringify(JSON.parse(text)))
    }),
  )
})

test.each(['{', '{"a":1,}', '', 'nul', '[1 2]', '{"a":12345678901234567890'])('parseLossless throws SyntaxError on %j', text => {
  expect(() => parseLossless(text)).toThrow(SyntaxError)
})

const nested = (depth: number, leaf: unknown): unknown => (depth === 0 ? leaf : depth % 2 === 0 ? [nested(depth - 1, leaf)] : { a: nested(depth - 1, leaf) })

test('deeperThan counts objects and arrays, at the limit and one beyond', () => {
  for (const max of [0, 1, 2, 200]) {
    expect(deeperThan(nested(max, 'leaf'), max)).toBe(false)
    expect(deeperThan(nested(max, null), max)).toBe(false)
    expect(deeperThan(nested(max + 1, 'leaf'), max)).toBe(true)
    expect(deeperThan([1, ...[nested(max, 1)]], max)).toBe(true)
  }
  expect(deeperThan('text', 0)).toBe(false)
})

test('deeperThan walks a body of a hundred thousand levels without falling over', () => {
  const text = '['.repeat(100_000) + ']'.repeat(100_000)
  let value: unknown = []
  for (let level = 1; level < text.length / 2; level++) value = [value]
  expect(deeperThan(value, 200)).toBe(true)
  expect(deeperThan(value, 100_000)).toBe(false)
})
