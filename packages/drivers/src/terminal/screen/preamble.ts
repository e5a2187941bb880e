import { colorOf, flagsOf, type Pen } from './pen.ts'
import { charsetFinal, type Attributes, type Charset, type Core, type ScreenBuffer } from './xterm-internals.ts'

const DESIGNATORS = ['(', ')', '*', '+']
const SHIFTS = ['\x0f', '\x0e', '\x1bn', '\x1bo']
const MOUSE_PROTOCOL: Readonly<Record<string, string>> = { X10: '9', VT200: '1000', DRAG: '1002', ANY: '1003' }
const MOUSE_ENCODING: Readonly<Record<string, string>> = { SGR: '1006', SGR_PIXELS: '1016' }
const UNDERLINE = 0x10000000
const EXTENDED = 0x10000000
const CURSOR_STYLE = { block: 2, underline: 4, bar: 6 }

/** What a reset does not put back in every terminal: line feed mode and the cursor's being seen. */
export const CLEAN = '\x1b[20l\x1b[?25h'

/** Titles and the stacks below them. Nothing in them can end the sequence early: the parser let no control character in. */
export function titles(core: Core): string {
  const { _windowTitle, _iconName, _windowTitleStack, _iconNameStack } = core._inputHandler
  const windows = _windowTitleStack.map(title => `\x1b]2;${title}\x1b\\\x1b[22;2t`).join('')
  const icons = _iconNameStack.map(name => `\x1b]1;${name}\x1b\\\x1b[22;1t`).join('')
  const now = _windowTitle === _iconName ? `\x1b]0;${_windowTitle}\x1b\\` : `\x1b]2;${_windowTitle}\x1b\\\x1b]1;${_iconName}\x1b\\`
  return windows + icons + now
}

/** Tab stops of the active buffer, where they are not every eight columns; moves the cursor. */
export function tabStops(core: Core, { tabs }: ScreenBuffer): string {
  const stops: number[] = []
  let usual = true
  for (let column = 0; column < core.cols; column++) {
    if (tabs[column]) stops.push(column)
    if (Boolean(tabs[column]) !== (column % 8 === 0)) usual = false
  }
  return usual ? '' : `\x1b[3g${stops.map(column => `\x1b[${column + 1}G\x1bH`).join('')}`
}

/** The scroll region of the active buffer, where it is not the whole screen; moves the cursor. */
export function scrollRegion(core: Core, { scrollTop, scrollBottom }: ScreenBuffer): string {
  return scrollTop === 0 && scrollBottom === core.rows - 1 ? '' : `\x1b[${scrollTop + 1};${scrollBottom + 1}r`
}

/** Charsets G0 to G3 and which of them is shifted in. */
export function charsets(core: Core): string {
  const { _charsets, glevel } = core._charsetService
  let text = ''
  DESIGNATORS.forEach((designator, level) => {
    if (_charsets[level] !== undefined) text += `\x1b${designator}${charsetFinal(_charsets[level])}`
  })
  return glevel === 0 ? text : text + shift(core)
}

/** Shifts in the charset that is shifted in. */
export const shift = (core: Core): string => SHIFTS[core._charsetService.glevel] ?? ''

/** Wraps a text so that it runs under one charset, and leaves ASCII behind. */
export const underCharset = (charset: Charset | undefined, text: string): string =>
  charset === undefined ? text : `\x1b(${charsetFinal(charset)}${text}\x1b(B`

/** Modes that neither move the cursor nor change what was drawn; insert and origin mode are set where the cursor is placed. */
export function modes(core: Core): string {
  const { decPrivateModes: mode, isCursorHidden } = core.coreService
  const { activeProtocol, activeEncoding } = core.coreMouseService
  const on: string[] = []
  if (mode.applicationCursorKeys) on.push('1')
  if (core.options.cursorBlink) on.push('12')
  if (mode.reverseWraparound) on.push('45')
  const protocol = MOUSE_PROTOCOL[activeProtocol]
  if (protocol) on.push(protocol)
  const encoding = MOUSE_ENCODING[activeEncoding]
  if (encoding) on.push(encoding)
  if (mode.sendFocus) on.push('1004')
  if (mode.bracketedPasteMode) on.push('2004')
  // Last: a terminal that honours it draws nothing from here on.
  if (mode.synchronizedOutput) on.push('2026')
  let text = mode.applicationKeypad ? '\x1b=' : ''
  if (core.options.convertEol) text += '\x1b[20h'
  if (!mode.wraparound) text += '\x1b[?7l'
  if (isCursorHidden) text += '\x1b[?25l'
  if (mode.cursorStyle) text += `\x1b[${CURSOR_STYLE[mode.cursorStyle] - (mode.cursorBlink ? 1 : 0)} q`
  return text + (on.length === 0 ? '' : `\x1b[?${on.join(';')}h`)
}

/** A saved cursor keeps colours and flags, and whether there was more: never the style of an underline, nor the link itself. */
export function savedPen({ fg, bg }: Attributes): Pen {
  const underlined = (fg & UNDERLINE) !== 0
  const link = (bg & EXTENDED) !== 0 && !underlined ? ';saved' : ''
  return { fg: colorOf(fg), bg: colorOf(bg), flags: flagsOf(fg, bg), underline: underlined ? 1 : 0, underlineColor: 0, link }
}

/** False for a buffer in which no cursor was saved. */
export const hasSavedCursor = ({ savedX, savedY, savedCurAttrData: { fg, bg }, savedCharset }: ScreenBuffer): boolean =>
  savedX !== 0 || savedY !== 0 || fg !== 0 || bg !== 0 || savedCharset !== undefined
