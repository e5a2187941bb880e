import headless from '@xterm/headless'
import type { Terminal } from '@xterm/headless'

/** A translation of ASCII, as xterm keeps it. */
export type Charset = Readonly<Record<string, string>>

/** What a cell has beyond colours and flags. */
export interface ExtendedAttributes {
  readonly underlineStyle: number
  readonly underlineColor: number
  readonly urlId: number
  clone(): ExtendedAttributes & { urlId: number }
}

export interface Attributes {
  readonly fg: number
  readonly bg: number
  readonly extended: ExtendedAttributes
}

/** Three numbers a cell: content, foreground, background. */
export interface Line {
  readonly length: number
  readonly isWrapped: boolean
  readonly _data: Uint32Array
  readonly _combined: Readonly<Record<number, string>>
  readonly _extendedAttrs: Readonly<Record<number, ExtendedAttributes | undefined>>
  translateToString(trimRight?: boolean): string
}

/** The normal or the alternate buffer; `ybase` lines of it are scrollback, `savedY` counts from the first line. */
export interface ScreenBuffer {
  readonly lines: { readonly length: number; get(index: number): Line | undefined }
  x: number
  readonly y: number
  readonly ybase: number
  readonly scrollTop: number
  readonly scrollBottom: number
  readonly tabs: Readonly<Record<number, boolean | undefined>>
  readonly savedX: number
  readonly savedY: number
  readonly savedCurAttrData: Attributes
  readonly savedCharset: Charset | undefined
}

export interface ColorEvent {
  /** 0 asks, 1 sets, 2 restores. */
  readonly type: 0 | 1 | 2
  /** 0 to 255, then foreground, background, cursor; none: all that are numbered. */
  readonly index?: number
  readonly color?: readonly [number, number, number]
}

/** The parts of xterm's core that hold what its public interface does not tell. */
export interface Core {
  readonly cols: number
  readonly rows: number
  readonly buffers: { readonly active: ScreenBuffer; readonly normal: ScreenBuffer; readonly alt: ScreenBuffer }
  readonly options: { convertEol: boolean; cursorBlink: boolean }
  readonly coreService: {
    readonly isCursorHidden: boolean
    readonly modes: { readonly insertMode: boolean }
    readonly decPrivateModes: PrivateModes
  }
  readonly coreMouseService: { readonly activeProtocol: string; readonly activeEncoding: string }
  readonly _charsetService: { readonly charset: Charset | undefined; readonly glevel: number; readonly _charsets: readonly (Charset | undefined)[] }
  readonly _oscLinkService: { getLinkData(id: number): { readonly id?: string; readonly uri: string } | undefined }
  readonly _inputHandler: {
    readonly _curAttrData: Attributes
    readonly _windowTitle: string
    readonly _iconName: string
    readonly _windowTitleStack: readonly string[]
    readonly _iconNameStack: readonly string[]
    readonly _parser: { readonly currentState: number; readonly precedingJoinState: number; reset(): void }
    onColor(listener: (events: readonly ColorEvent[]) => void): unknown
    /** Parses before it returns, since no handler here waits. */
    parse(data: string | Uint8Array): unknown
    eraseInDisplay(params: { readonly params: readonly number[] }, respectProtect?: boolean): boolean
    eraseChars(params: { readonly params: readonly number[] }): boolean
  }
}

export interface PrivateModes {
  readonly applicationCursorKeys: boolean
  readonly applicationKeypad: boolean
  readonly bracketedPasteMode: boolean
  readonly cursorBlink: boolean | undefined
  readonly cursorStyle: 'block' | 'underline' | 'bar' | undefined
  readonly origin: boolean
  readonly reverseWraparound: boolean
  readonly sendFocus: boolean
  readonly synchronizedOutput: boolean
  readonly wraparound: boolean
}

/** Every path that this folder reads, with the type that it has in a terminal that was just made. */
const SHAPE: Readonly<Record<string, string>> = {
  '_inputHandler.parse': 'function',
  '_inputHandler.eraseInDisplay': 'function',
  '_inputHandler.eraseChars': 'function',
  '_inputHandler._parser.reset': 'function',
  'options.convertEol': 'boolean',
  'options.cursorBlink': 'boolean',
  'coreService.isCursorHidden': 'boolean',
  'coreService.modes.insertMode': 'boolean',
  ...Object.fromEntries(
    ['applicationCursorKeys', 'applicationKeypad', 'bracketedPasteMode', 'origin', 'reverseWraparound', 'sendFocus', 'synchronizedOutput', 'wraparound'].map(
      mode => [`coreService.decPrivateModes.${mode}`, 'boolean'],
    ),
  ),
  'coreMouseService.activeProtocol': 'string',
  'coreMouseService.activeEncoding': 'string',
  '_charsetService.glevel': 'number',
  '_charsetService._charsets.length': 'number',
  '_oscLinkService.getLinkData': 'function',
  '_inputHandler.onColor': 'function',
  '_inputHandler._windowTitle': 'string',
  '_inputHandler._iconName': 'string',
  '_inputHandler._windowTitleStack.length': 'number',
  '_inputHandler._iconNameStack.length': 'number',
  '_inputHandler._parser.currentState': 'number',
  '_inputHandler._parser.precedingJoinState': 'number',
  '_inputHandler._curAttrData.fg': 'number',
  '_inputHandler._curAttrData.bg': 'number',
  '_inputHandler._curAttrData.extended.underlineStyle': 'number',
  '_inputHandler._curAttrData.extended.underlineColor': 'number',
  '_inputHandler._curAttrData.extended.urlId': 'number',
  '_inputHandler._curAttrData.extended.clone': 'function',
  ...Object.fromEntries(
    ['x', 'y', 'ybase', 'scrollTop', 'scrollBottom', 'savedX', 'savedY', 'savedCurAttrData.fg', 'lines.length'].flatMap(name => [
      [`buffers.normal.${name}`, 'number'],
      [`buffers.alt.${name}`, 'number'],
    ]),
  ),
  'buffers.normal.tabs': 'object',
  'buffers.normal.lines.get': 'function',
}

const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((inner, name) => (inner === null || inner === undefined ? undefined : (inner as Record<string, unknown>)[name]), value)

/** The core of a terminal that was just made; throws when this version of xterm keeps its state elsewhere. */
export function coreOf(terminal: Terminal): Core {
  const core = at(terminal, '_core')
  const wrong = Object.keys(SHAPE).filter(path => typeof at(core, path) !== SHAPE[path])
  const line = at(core, 'buffers.normal.lines') as { get?(index: number): unknown } | undefined
  const cell = line?.get?.(0)
  if (!(at(cell, '_data') instanceof Uint32Array) || at(cell, '_combined') === undefined || at(cell, '_extendedAttrs') === undefined)
    wrong.push('cells of a line')
  if (wrong.length > 0) throw new Error(`This version of @xterm/headless keeps its state elsewhere: ${wrong.join(', ')}`)
  return core as Core
}

/** A headless terminal that logs nothing; it has no timers of its own. */
export function createTerminal(cols: number, rows: number, scrollback: number): { readonly terminal: Terminal; readonly core: Core } {
  const terminal = new headless.Terminal({
    cols,
    rows,
    scrollback,
    allowProposedApi: true,
    logLevel: 'off',
    windowOptions: { pushTitle: true, popTitle: true, getWinSizeChars: true },
  })
  return { terminal, core: coreOf(terminal) }
}

const FINALS = ['0', 'A', '4', 'C', 'R', 'Q', 'K', 'Y', 'E', 'Z', 'H', '=']
let finals: Map<Charset, string> | undefined

/** The final character that designates this charset; `B`, ASCII, where there is none. */
export function charsetFinal(charset: Charset | undefined): string {
  if (charset === undefined) return 'B'
  if (!finals) {
    finals = new Map()
    const { terminal, core } = createTerminal(2, 1, 0)
    for (const final of FINALS) {
      core._inputHandler.parse(`\x1b(${final}`)
      const probed = core._charsetService.charset
      if (probed) finals.set(probed, final)
    }
    terminal.dispose()
  }
  return finals.get(charset) ?? 'B'
}
