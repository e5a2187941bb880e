import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newSecret, sameSecret, TOKEN_PATTERN } from './secret.ts'

test('[OPS-01] secrets are the same only when every character is, whatever their lengths', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => sameSecret(a, b) === (a === b) && sameSecret(a, a)))
})

test('[OPS-01] a new secret holds 32 bytes in a form that a header can carry', () => {
  const secret = newSecret({ id: () => '', bytes: length => new Uint8Array(length).fill(0xfb) })
  expect(secret).toHaveLength(43)
  expect(Buffer.from(secret, 'base64url')).toEqual(Buffer.alloc(32, 0xfb))
  expect(secret).toMatch(TOKEN_PATTERN)
})
