import { describe, expect, test } from 'vitest'
import { VT_GROUND, advance, characterCut, createTextView, groundCut, isGround, type VtPlace } from './boundary.ts'
import { bytesOf } from './testing/twins.ts'
import { seeded, vtStream } from './testing/vt-stream.ts'
import { createTerminal } from './xterm-internals.ts'

/** Names of xterm's parser states, by number. */
const PLACES: readonly VtPlace[] = [
  'ground',
  'escape',
  'escape-intermediate',
  'csi-entry',
  'csi-param',
  'csi-intermediate',
  'csi-ignore',
  'string',
  'osc',
  'dcs-entry',
  'dcs-param',
  'dcs-ignore',
  'dcs-intermediate',
  'dcs-data',
]

/** Bytes that matter to a parser, more often than others. */
function hostileBytes(seed: number, length: number): Uint8Array {
  const below = seeded(seed)
  const telling = [
    0x1b, 0x1b, 0x5b, 0x5d, 0x50, 0x58, 0x5e, 0x5f, 0x5c, 0x07, 0x18, 0x1a, 0x3b, 0x3a, 0x3f, 0x31, 0x20, 0x24, 0x71, 0x6d, 0x7f, 0x0a, 0x9b, 0x9c, 0x90, 0xc2,
    0xc2, 0xe2, 0x80, 0x94, 0xf0, 0x9f, 0xff, 0xc0, 0xed, 0xa0,
  ]
  return Uint8Array.from({ length }, () => (below(3) === 0 ? below(256) : (telling[below(telling.length)] ?? 0)))
}

describe('[fault 28] the place of the parser', () => {
  const agrees = (bytes: Uint8Array): void => {
    const { terminal, core } = createTerminal(20, 6, 0)
    let state = VT_GROUND
    for (let at = 0; at < bytes.length; at++) {
      state = advance(state, bytes.subarray(at, at + 1))
      // xterm's decoder wants whole characters.
      if (state.missing > 0) continue
      const from = at - lengthBefore(bytes, at)
      core._inputHandler.parse(bytes.subarray(from, at + 1))
      expect(state.place, `after ${[...bytes.subarray(0, at + 1)].map(byte => byte.toString(16)).join(' ')}`).toBe(
        PLACES[core._inputHandler._parser.currentState],
      )
    }
    terminal.dispose()
  }
  /** How many bytes before this one xterm was not given yet. */
  const lengthBefore = (bytes: Uint8Array, at: number): number => {
    let state = VT_GROUND
    let pending = 0
    for (let index = 0; index < at; index++) {
      state = advance(state, bytes.subarray(index, index + 1))
      pending = state.missing > 0 ? pending + 1 : 0
    }
    return pending
  }

  test('is where xterm has it, for hostile bytes', () => {
    for (let seed = 1; seed <= 300; seed++) agrees(hostileBytes(seed, 60))
  })

  test('is where xterm has it, for plausible streams', () => {
    for (let seed = 1; seed <= 20; seed++)
      agrees(
        bytesOf(
          vtStream(seed, 30, { odd: true })
            .map(step => ('text' in step ? step.text : ''))
            .join(''),
        ).subarray(0, 300),
      )
  })

  test('is not moved by what is no character', () => {
    // A surrogate, a byte order mark, too long a form, beyond the last character: xterm drops them, and they end no sequence.
    for (const bytes of [
      [0xed, 0xa0, 0x80],
      [0xef, 0xbb, 0xbf],
      [0xe0, 0x82, 0x9b],
      [0xf4, 0x90, 0x80, 0x80],
    ])
      agrees(Uint8Array.of(0x1b, ...bytes, 0x5b, ...bytes, 0x31, 0x6d))
  })

  test('does not depend on where the bytes are cut', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const bytes = hostileBytes(seed, 80)
      const below = seeded(seed)
      let state = VT_GROUND
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + below(9))
        state = advance(state, bytes.subarray(at, end))
        at = end
      }
      expect(state).toEqual(advance(VT_GROUND, bytes))
    }
  })

  test('after a very long sequence is inside of it', () => {
    const state = advance(VT_GROUND, bytesOf(`\x1bPq${'#0;2;0;0;0'.repeat(100_000)}`))
    expect(state.place).toBe('dcs-data')
    expect(groundCut(state, bytesOf('more\x1b\\text')).cut).toBe(10)
  })
})

describe('[fault 28] a ground cut', () => {
  test('ends after the last whole sequence and character', () => {
    const cutOf = (text: string): number => groundCut(VT_GROUND, bytesOf(text)).cut
    expect(cutOf('text')).toBe(4)
    expect(cutOf('ab\x1b')).toBe(2)
    expect(cutOf('ab\x1b[3')).toBe(2)
    expect(cutOf('ab\x1b[31m')).toBe(7)
    expect(cutOf('ab\x1b]0;title')).toBe(2)
    expect(cutOf('ab\x1b]0;title\x07c\x1b(')).toBe(13)
    expect(cutOf('ab\x1b]0;title\x1b')).toBe(2)
    expect(cutOf('\x1b[1;2')).toBe(0)
    expect(cutOf('\x1b[1;2\x18x\x1b[')).toBe(7)
    expect(groundCut(VT_GROUND, bytesOf('a漢').subarray(0, 3)).cut).toBe(1)
  })

  test('is the last place at ground, wherever a stream is cut', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const bytes = hostileBytes(seed, 80)
      let state = VT_GROUND
      let last = 0
      for (let at = 0; at < bytes.length; at++) {
        state = advance(state, bytes.subarray(at, at + 1))
        if (isGround(state)) last = at + 1
      }
      expect(groundCut(VT_GROUND, bytes)).toEqual({ cut: last, state })
    }
  })
})

describe('[fault 28] [TERM-08] a character cut', () => {
  test('splits no character', () => {
    const bytes = bytesOf('a é — “漢” 👍 z')
    const ends = new Set<number>([0])
    for (
      let at = 0, text = 'a é — “漢” 👍 z';
      text.length > 0;
      text = text.slice(text.codePointAt(0) === undefined ? 1 : String.fromCodePoint(text.codePointAt(0) ?? 0).length)
    ) {
      at += bytesOf(String.fromCodePoint(text.codePointAt(0) ?? 0)).length
      ends.add(at)
    }
    for (let length = 0; length <= bytes.length; length++) {
      const cut = characterCut(bytes.subarray(0, length))
      expect(ends.has(cut)).toBe(true)
      expect(length - cut).toBeLessThan(4)
    }
  })

  test('keeps no more than three bytes back, whatever the bytes are', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const bytes = hostileBytes(seed, 30)
      const cut = characterCut(bytes)
      expect(cut).toBeGreaterThanOrEqual(bytes.length - 3)
      expect(cut).toBeLessThanOrEqual(bytes.length)
    }
  })

  test('lets bytes that are no UTF-8 pass', () => {
    expect(characterCut(Uint8Array.of(0x61, 0xff))).toBe(2)
    expect(characterCut(Uint8Array.of(0x80, 0x80, 0x80, 0x80))).toBe(4)
    expect(characterCut(Uint8Array.of(0x61, 0xe2, 0x82))).toBe(1)
    expect(characterCut(Uint8Array.of(0xe2, 0x82, 0xac))).toBe(3)
  })
})

describe('[TERM-08] the text view', () => {
  test('is the same however the bytes are cut', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const bytes = hostileBytes(seed, 60)
      const below = seeded(seed + 1000)
      const view = createTextView()
      let text = ''
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + below(5))
        text += view.next(bytes.subarray(at, end))
        at = end
      }
      expect(text + view.end()).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
    }
  })

  test('replaces what is no UTF-8, and a character that never ends', () => {
    const view = createTextView()
    expect(view.next(Uint8Array.of(0x61, 0xff, 0xe2))).toBe('a\ufffd')
    expect(view.next(Uint8Array.of(0x82))).toBe('')
    expect(view.next(Uint8Array.of(0xac, 0xe2))).toBe('€')
    expect(view.end()).toBe('\ufffd')
  })
})
