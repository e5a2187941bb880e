import { VT_GROUND, groundCut, isGround, type VtState } from './boundary.ts'
import type { MarkedState, Size } from './messages.ts'
import { createScreen, type ScreenOptions } from './screen.ts'
import type { PlainTextOptions } from './plain-text.ts'

/** A sequence that is longer than this (an image, say) is parsed as it comes; no snapshot until it ends. */
const MAX_HELD_BYTES = 64 * 1024

const NOTHING = new Uint8Array()

/** A screen that knows for which mark it stands, and parses no sequence before its end is there. */
export interface MarkedScreen {
  write(mark: number, bytes: Uint8Array, live: boolean): void
  resize(mark: number, size: Size): void
  /** Undefined where the last write that was parsed ended inside a sequence: try again after the next one. */
  snapshot(): MarkedState | undefined
  text(options: PlainTextOptions): string
  close(): void
}

export function createMarkedScreen(options: ScreenOptions, from?: MarkedState): MarkedScreen {
  const screen = createScreen(options)
  if (from) screen.restore(from.state)
  let mark = from?.mark ?? 0
  /** Nothing was parsed since `mark`. */
  let exact = true
  /** Where the parser stands, and the start of a sequence that it has not been given yet. */
  let parsed: VtState = VT_GROUND
  let held = NOTHING

  const parse = (bytes: Uint8Array): void => {
    if (bytes.length === 0) return
    screen.write(bytes)
    exact = false
  }

  return {
    write(at, bytes, live) {
      screen.live = live
      const all = held.length === 0 ? bytes : Buffer.concat([held, bytes])
      const { cut, state } = groundCut(parsed, all)
      const rest = all.length - cut
      if (rest > 0 && rest <= MAX_HELD_BYTES && (cut > 0 || isGround(parsed))) {
        parse(all.subarray(0, cut))
        parsed = VT_GROUND
        held = new Uint8Array(all.subarray(cut))
        return
      }
      parse(all)
      parsed = state
      held = NOTHING
      if (!isGround(state)) return
      mark = at
      exact = true
    },
    resize(at, { cols, rows }) {
      screen.resize(cols, rows)
      exact = held.length === 0 && isGround(parsed)
      if (exact) mark = at
    },
    snapshot: () => (exact && screen.isGround ? { state: screen.snapshot(), mark } : undefined),
    text: textOptions => screen.text(textOptions),
    close: () => screen.close(),
  }
}
