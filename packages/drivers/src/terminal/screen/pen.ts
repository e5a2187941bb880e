import type { Attributes, Core, ExtendedAttributes, Line } from './xterm-internals.ts'

/** How a cell looks: colours as xterm packs them, mode above 24 bits; the link as `id=…;uri`, empty without one. */
export interface Pen {
  readonly fg: number
  readonly bg: number
  /** SGR numbers' bits, see FLAGS. */
  readonly flags: number
  /** 0 to 5, as in SGR 4:n. */
  readonly underline: number
  readonly underlineColor: number
  readonly link: string
}

export const PLAIN: Pen = { fg: 0, bg: 0, flags: 0, underline: 0, underlineColor: 0, link: '' }

const COLOR_MODE = 0x3000000
const RGB = 0x3000000
const PALETTE_256 = 0x2000000
const UNDERLINE = 0x10000000
const EXTENDED = 0x10000000
const DASHED = 5

const BOLD = 1
const DIM = 2
const PROTECTED = 256

/** xterm's bit, ours, and the SGR that sets it; protection is set by DECSCA. */
const FG_FLAGS = [
  [0x8000000, BOLD, 1],
  [0x20000000, 8, 5],
  [0x4000000, 16, 7],
  [0x40000000, 32, 8],
  [0x80000000, 64, 9],
] as const
const BG_FLAGS = [
  [0x8000000, DIM, 2],
  [0x4000000, 4, 3],
  [0x40000000, 128, 53],
] as const
const XTERM_PROTECTED = 0x20000000

const FG_LOOKS = FG_FLAGS.reduce((bits, [bit]) => bits | bit, 0)
const BG_LOOKS = BG_FLAGS.reduce((bits, [bit]) => bits | bit, XTERM_PROTECTED)

/** A palette colour leaves bits of the colour before it behind. */
export function colorOf(packed: number): number {
  const mode = packed & COLOR_MODE
  return mode === 0 ? 0 : mode === RGB ? packed & 0x3ffffff : mode | (packed & 0xff)
}

export function flagsOf(fg: number, bg: number): number {
  if ((fg & FG_LOOKS) === 0 && (bg & BG_LOOKS) === 0) return 0
  let flags = (bg & XTERM_PROTECTED) === 0 ? 0 : PROTECTED
  for (const [bit, ours] of FG_FLAGS) if ((fg & bit) !== 0) flags |= ours
  for (const [bit, ours] of BG_FLAGS) if ((bg & bit) !== 0) flags |= ours
  return flags
}

/** A link hides the underline that lies under it. */
export function underlineOf(extended: ExtendedAttributes): number {
  if (extended.urlId === 0) return extended.underlineStyle
  const bare = extended.clone()
  bare.urlId = 0
  return bare.underlineStyle
}

/** What OSC 8 takes; empty where xterm has forgotten the link. */
export function linkOf(core: Core, urlId: number): string {
  if (urlId === 0) return ''
  const link = core._oscLinkService.getLinkData(urlId)
  return link ? `${link.id === undefined ? '' : `id=${link.id}`};${link.uri}` : ''
}

/** The pen that draws a cell of these attributes. */
export function penOf(core: Core, fg: number, bg: number, extended: ExtendedAttributes | undefined): Pen {
  const more = (bg & EXTENDED) === 0 ? undefined : extended
  const plain = { fg: colorOf(fg), bg: colorOf(bg), flags: flagsOf(fg, bg) }
  if (!more) return { ...plain, underline: (fg & UNDERLINE) === 0 ? 0 : 1, underlineColor: 0, link: '' }
  const link = linkOf(core, more.urlId)
  const forgotten = more.urlId !== 0 && link === ''
  const underline = forgotten ? DASHED : (fg & UNDERLINE) === 0 ? 0 : underlineOf(more) || 1
  return { ...plain, underline, underlineColor: colorOf(more.underlineColor), link }
}

/** The pen that prints next; its underline colour counts even while nothing is underlined. */
export function currentPen(core: Core, { fg, bg, extended }: Attributes): Pen {
  return {
    fg: colorOf(fg),
    bg: colorOf(bg),
    flags: flagsOf(fg, bg),
    underline: underlineOf(extended),
    underlineColor: colorOf(extended.underlineColor),
    link: linkOf(core, extended.urlId),
  }
}

/** Restoring a cursor brings colours and flags back and leaves underline and link as they are: then the two disagree. */
export function disagrees({ fg, bg, extended }: Attributes): boolean {
  return !ofOneMind({ fg, bg, extended }) || ((fg & UNDERLINE) === 0) !== (underlineOf(extended) === 0)
}

/** Whether the flag that there is more tells the truth. */
export const ofOneMind = ({ bg, extended }: Attributes): boolean => ((bg & EXTENDED) === 0) === (extended.underlineStyle === 0 && extended.urlId === 0)

/** xterm drops a link once it has seen every row of it go, even while the program still writes under it. */
export const isForgotten = (core: Core, { extended }: Attributes): boolean => extended.urlId !== 0 && linkOf(core, extended.urlId) === ''

/** OSC 8, which also closes. */
export const openLink = (link: string): string => (link === '' ? '\x1b]8;;\x1b\\' : `\x1b]8;${link}\x1b\\`)

/** The pen of one cell of a line. */
export const penAt = (core: Core, line: Line, column: number): Pen =>
  penOf(core, line._data[column * 3 + 1] ?? 0, line._data[column * 3 + 2] ?? 0, line._extendedAttrs[column])

export const samePen = (a: Pen, b: Pen): boolean =>
  a === b ||
  (a.fg === b.fg && a.bg === b.bg && a.flags === b.flags && a.underline === b.underline && a.underlineColor === b.underlineColor && a.link === b.link)

function pushColor(codes: string[], color: number, base: 30 | 40): void {
  const mode = color & COLOR_MODE
  if (mode === 0) codes.push(String(base + 9))
  else if (mode === RGB) codes.push(`${base + 8};2;${(color >> 16) & 0xff};${(color >> 8) & 0xff};${color & 0xff}`)
  else if (mode === PALETTE_256) codes.push(`${base + 8};5;${color & 0xff}`)
  else codes.push(String((color & 8) === 0 ? base + (color & 7) : base + 60 + (color & 7)))
}

function underlineColorCode(color: number): string {
  const mode = color & COLOR_MODE
  // 59 is what xterm keeps as white; a terminal that knows better takes it for the default.
  if (color === 0x3ffffff) return '59'
  return mode === RGB ? `58:2::${(color >> 16) & 0xff}:${(color >> 8) & 0xff}:${color & 0xff}` : `58:5:${color & 0xff}`
}

/** The shortest way that this file knows from one pen to another. */
export function penChange(from: Pen, to: Pen): string {
  if (from === to) return ''
  const codes: string[] = []
  let base = from
  const lost =
    (from.flags & ~to.flags & ~PROTECTED) !== 0 || (from.underlineColor !== 0 && to.underlineColor === 0) || (from.underline !== 0 && to.underline === 0)
  const plain = to.fg === 0 && to.bg === 0 && (to.flags & ~PROTECTED) === 0 && to.underline === 0 && to.underlineColor === 0
  const styled = from.fg !== 0 || from.bg !== 0 || (from.flags & ~PROTECTED) !== 0 || from.underline !== 0 || from.underlineColor !== 0
  if (lost || (plain && styled)) {
    codes.push(plain ? '' : '0')
    base = { ...PLAIN, link: from.link }
  }
  if (base.fg !== to.fg) pushColor(codes, to.fg, 30)
  if (base.bg !== to.bg) pushColor(codes, to.bg, 40)
  const gained = to.flags & ~base.flags
  if (gained !== 0) for (const [, ours, code] of [...FG_FLAGS, ...BG_FLAGS]) if ((gained & ours) !== 0) codes.push(String(code))
  if (base.underline !== to.underline) codes.push(to.underline === 1 ? '4' : `4:${to.underline}`)
  if (base.underlineColor !== to.underlineColor) codes.push(underlineColorCode(to.underlineColor))
  let text = codes.length === 0 ? '' : `\x1b[${codes.join(';')}m`
  if (((base.flags ^ to.flags) & PROTECTED) !== 0) text += (to.flags & PROTECTED) === 0 ? '\x1b[0"q' : '\x1b[1"q'
  if (from.link !== to.link) text += openLink(to.link)
  return text
}
