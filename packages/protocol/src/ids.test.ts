import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ID_PATTERN, isId } from './ids.ts'
import { idSchema } from './session.ts'

test('[SEQ-11] an id is a letter or digit and at most 127 more of a small alphabet', () => {
  for (const id of ['a', '7', 'a:b.c_d-e', '0199f0c2-7b1e-7c34-9d3a-5a4f0b1c2d3e', 'x'.repeat(128)]) expect(isId(id)).toBe(true)
  for (const id of ['', '-a', '_feed', '.a', ':a', 'a b', 'a/b', 'ä', 'a\n', 'a\u0000', 'x'.repeat(129), 7, null, undefined, ['a']])
    expect(isId(id)).toBe(false)
})

test('the schema and isId agree about any text', () => {
  const odd = fc.oneof(fc.string({ maxLength: 5 }), fc.stringMatching(ID_PATTERN), fc.stringMatching(/^[A-Za-z0-9_.:-]{0,130}$/))
  fc.assert(
    fc.property(odd, text => {
      expect(idSchema.safeParse(text).success).toBe(isId(text))
    }),
  )
})
