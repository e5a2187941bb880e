import { describe, expect, it } from 'vitest'
import { UsageError } from '../failure.ts'
import { beforeKey, ctrlKey, DEFAULT_DETACH_KEY } from './keys.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

describe('the key to leave with', () => {
  it.each(['\x1c', '\x1b[92;5u', '\x1b[27;5;92~'])('%j is Ctrl-\\, and what was typed before it is still typed', sequence => {
    const key = ctrlKey(DEFAULT_DETACH_KEY)
    expect(Buffer.from(beforeKey(bytes(`ab${sequence}cd`), key) ?? '').toString()).toBe('ab')
    expect(beforeKey(bytes(sequence), key)).toHaveLength(0)
  })

  it('other keys are typed', () => {
    expect(beforeKey(bytes('abc\x1b[A\x03\x1d\\'), ctrlKey('ctrl-\\'))).toBeUndefined()
  })

  it('can be another one, and says which', () => {
    for (const text of ['ctrl-]', '^]', 'c-]']) expect(ctrlKey(text)).toMatchObject({ name: 'Ctrl-]' })
    expect(ctrlKey('ctrl-q').sequences[0]).toEqual(Uint8Array.of(17))
    for (const text of ['q', 'ctrl-', 'ctrl-qq', 'alt-q']) expect(() => ctrlKey(text)).toThrow(UsageError)
  })
})
