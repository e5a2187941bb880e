import type { Terminal } from '@xterm/headless'
import type { Core } from './xterm-internals.ts'

/** xterm 6.0.0 throws, and parses nothing any more, when a program erases up to the last cell of a screen that has no history. */
export function guardErasure(terminal: Terminal, core: Core): void {
  const mended = (first: number | readonly number[] | undefined, respectProtect: boolean): boolean => {
    const buffer = core.buffers.active
    const { x, y } = buffer
    if (first !== 1 || x + 1 < core.cols || buffer.lines.get(y + 1)) return false
    // The same in two steps, of which neither looks at the row below.
    buffer.x = core.cols - 2
    core._inputHandler.eraseInDisplay({ params: [1] }, respectProtect)
    buffer.x = core.cols - 1
    const background = buffer.lines.get(buffer.ybase + y)?._data[(core.cols - 1) * 3 + 2] ?? 0
    if (!respectProtect || (background & PROTECTED) === 0) core._inputHandler.eraseChars({ params: [1] })
    buffer.x = Math.min(x, core.cols)
    return true
  }
  terminal.parser.registerCsiHandler({ final: 'J' }, params => mended(params[0], false))
  terminal.parser.registerCsiHandler({ prefix: '?', final: 'J' }, params => mended(params[0], true))
}

const PROTECTED = 0x20000000
