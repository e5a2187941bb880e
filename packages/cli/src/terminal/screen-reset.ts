/** Modes that a program may leave on, put back as a shell expects them; what is on the screen stays. Homes the cursor (origin mode). */
const MODES = [
  // Out of the other screen; not by 1049, which moves the cursor also where there is nothing to leave.
  '\u001b[?1047l',
  // Mouse in all its ways, focus, bracketed paste, synchronized output.
  '\u001b[?9l\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1005l\u001b[?1006l\u001b[?1015l\u001b[?1004l\u001b[?2004l\u001b[?2026l',
  // Keys: the stack of kitty's flags, modifyOtherKeys, application cursor keys and keypad.
  '\u001b[<99u\u001b[>4;0m\u001b[?1l\u001b>',
  // Insert mode, margins, origin, wrap, reverse screen, cursor shown in its own shape.
  '\u001b[4l\u001b[r\u001b[?6l\u001b[?7h\u001b[?5l\u001b[?25h\u001b[0 q',
].join('')

/** Colours and character sets. */
const PEN = '\u000f\u001b(B\u001b[0m'

/** Before a screen is drawn: modes as after a reset, the window empty. The first time what was there is scrolled out of sight, not erased. */
export const beforeScreen = (rows: number, isFirst: boolean): string =>
  `${MODES}${PEN}${isFirst ? `\u001b[${rows};1H${'\n'.repeat(rows)}` : ''}\u001b[H\u001b[2J`

/** When leaving: modes for the shell, and a free line below what was printed last. */
export const afterScreen = (): string => `\u001b7${MODES}\u001b8${PEN}\r\n\u001b[J`

/** One line in reverse on the last row, cursor and colours put back. */
export const statusRow = (text: string, columns: number, rows: number): string =>
  `\u001b7\u001b[${rows};1H\u001b[0;7m\u001b[2K${text.slice(0, Math.max(0, columns - 1))}\u001b[0m\u001b8`
