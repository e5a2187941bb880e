import { expect, it } from 'vitest'
import { createIdFilter } from './id-filter.ts'

const named = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `session\nc:device\nid-${from + index}`)

it('[SEQ-18] never says of a stored id that it is not there, however many there are and whenever they came', () => {
  const filter = createIdFilter()
  const filled = named(700)
  expect(filter.mayHave('a', 'other', () => filled)).toBe(false)
  const added = named(20_000, 700)
  for (const name of added) filter.add('a', name)
  expect([...filled, ...added].filter(name => !filter.mayHave('a', name, () => []))).toEqual([])
})

it('says of most unknown ids that they are not there', () => {
  const filter = createIdFilter()
  filter.mayHave('a', '', () => named(20_000))
  const wrong = named(20_000, 1_000_000).filter(name => filter.mayHave('a', name, () => []))
  expect(wrong.length).toBeLessThan(200)
})

it('can tell nothing of a session whose ids were too many to read', () => {
  const filter = createIdFilter()
  expect(filter.mayHave('a', 'x', () => undefined)).toBe(true)
})

it('forgets the filters that were made first when all together hold too much, and fills them anew', () => {
  const filter = createIdFilter()
  const many = named(2_000_000)
  filter.mayHave('old', '', () => ['kept'])
  for (const session of ['a', 'b', 'c', 'd']) filter.mayHave(session, '', () => many)
  let fills = 0
  expect(
    filter.mayHave('old', 'kept', () => {
      fills++
      return ['kept']
    }),
  ).toBe(true)
  expect(fills).toBe(1)
})
