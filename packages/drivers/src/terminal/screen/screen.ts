import { notificationOf777, notificationOf9, createNotifications99, type Attention } from './attention.ts'
import { characterCut } from './boundary.ts'
import { createPalette } from './palette.ts'
import { plainText, type PlainTextOptions } from './plain-text.ts'
import { serialize } from './serialize.ts'
import { guardErasure } from './guard-erasure.ts'
import { createTerminal, type Core } from './xterm-internals.ts'

/** Lines of history that a screen keeps: what a snapshot restores (TERM-12); ten times as many cost ten times as much. */
export const SCROLLBACK_LINES = 1000

/** A screen as a snapshot holds it: `screen`, written to a reset terminal of that size, redraws screen, history and modes. */
export interface ScreenState {
  readonly cols: number
  readonly rows: number
  readonly screen: string
}

export interface ScreenOptions {
  readonly cols: number
  readonly rows: number
  readonly scrollback?: number
  /** What the terminal types back when it is asked something, while `live` is on. */
  readonly onReply?: (text: string) => void
  /** The bell and notifications, while `live` is on. */
  readonly onAttention?: (attention: Attention) => void
}

/** A terminal without a display, fed with the bytes that a program printed. */
export interface Screen {
  readonly cols: number
  readonly rows: number
  /** Off while old output is fed again: then nothing is answered and nobody is called (fault 23). Off at the start. */
  live: boolean
  readonly title: string
  /** From 0; `column` equals `cols` where the next character wraps. */
  readonly cursor: { readonly row: number; readonly column: number; readonly hidden: boolean }
  /** Between two sequences and two characters: only there a snapshot can be cut. */
  readonly isGround: boolean
  /** How often xterm failed at a piece of output: what followed in that piece is not on the screen. */
  readonly faults: number
  /** Parses all of it before it returns, up to the last whole character. */
  write(bytes: Uint8Array): void
  resize(cols: number, rows: number): void
  /** Throws where the screen is not at ground. */
  snapshot(): ScreenState
  /** Becomes what the state says; for a screen that was just made. */
  restore(state: ScreenState): void
  text(options?: PlainTextOptions): string
  /** xterm's own state, for tests. */
  readonly core: Core
  close(): void
}

const GROUND = 0
/** What is lost when xterm throws; it is not known to, beside what `guardErasure` mends. */
const PIECE_BYTES = 8192
const NOTHING = new Uint8Array()

export function createScreen({ cols, rows, scrollback = SCROLLBACK_LINES, onReply, onAttention }: ScreenOptions): Screen {
  const { terminal, core } = createTerminal(cols, rows, scrollback)
  const palette = createPalette()
  const notifications99 = createNotifications99()
  let live = false
  /** The first bytes of a character: xterm's decoder loses some characters whose bytes come in two writes. */
  let held = NOTHING
  let faults = 0

  const reply = (text: string): void => {
    if (live) onReply?.(text)
  }
  const call = (attention: Attention): void => {
    if (live) onAttention?.(attention)
  }
  const notify = (text: string | undefined): boolean => {
    if (text !== undefined) call({ reason: 'notification', text })
    return true
  }
  terminal.onData(reply)
  terminal.onBell(() => call({ reason: 'bell' }))
  core._inputHandler.onColor(events => {
    for (const answer of palette.apply(events)) reply(answer)
  })
  terminal.parser.registerOscHandler(9, data => notify(notificationOf9(data)))
  terminal.parser.registerOscHandler(99, data => notify(notifications99(data)))
  terminal.parser.registerOscHandler(777, data => notify(notificationOf777(data)))
  // The clipboard is nobody's but the user's.
  terminal.parser.registerOscHandler(52, () => true)

  guardErasure(terminal, core)

  const parse = (bytes: Uint8Array): void => {
    try {
      core._inputHandler.parse(bytes)
    } catch {
      faults++
      core._inputHandler._parser.reset()
    }
  }
  const isGround = (): boolean => held.length === 0 && core._inputHandler._parser.currentState === GROUND

  return {
    get cols() {
      return core.cols
    },
    get rows() {
      return core.rows
    },
    get live() {
      return live
    },
    set live(on) {
      live = on
    },
    get title() {
      return core._inputHandler._windowTitle
    },
    get cursor() {
      const { x, y } = core.buffers.active
      return { row: y, column: Math.min(x, core.cols), hidden: core.coreService.isCursorHidden }
    },
    get faults() {
      return faults
    },
    get isGround() {
      return isGround()
    },
    write(bytes) {
      const all = held.length === 0 ? bytes : Buffer.concat([held, bytes])
      const cut = characterCut(all)
      held = cut === all.length ? NOTHING : new Uint8Array(all.subarray(cut))
      for (let from = 0; from < cut; ) {
        const piece = all.subarray(from, Math.min(from + PIECE_BYTES, cut))
        const size = from + piece.length === cut ? piece.length : characterCut(piece)
        parse(piece.subarray(0, size))
        from += size
      }
    },
    resize: (toCols, toRows) => terminal.resize(toCols, toRows),
    snapshot() {
      if (!isGround()) throw new Error('A snapshot can only be cut between sequences.')
      return { cols: core.cols, rows: core.rows, screen: palette.text() + serialize(core) }
    },
    restore(state) {
      live = false
      held = NOTHING
      palette.clear()
      // In this order: a buffer that was made higher keeps history where it should have none.
      terminal.resize(state.cols, state.rows)
      terminal.reset()
      core.options.cursorBlink = false
      core._inputHandler.parse(state.screen)
    },
    text: options => plainText(core, options),
    core,
    close: () => terminal.dispose(),
  }
}

export type { Attention } from './attention.ts'
