/** Where a parser of terminal output stands: between sequences, or inside one of these. */
export type VtPlace =
  | 'ground'
  | 'escape'
  | 'escape-intermediate'
  | 'csi-entry'
  | 'csi-param'
  | 'csi-intermediate'
  | 'csi-ignore'
  | 'osc'
  | 'string'
  | 'dcs-entry'
  | 'dcs-param'
  | 'dcs-intermediate'
  | 'dcs-ignore'
  | 'dcs-data'

/** What is known of a stream of bytes after some of them: the parser's place and the character that has begun. */
export interface VtState {
  readonly place: VtPlace
  /** Bytes of the character that are still to come. */
  readonly missing: number
  /** The length of that character in bytes, and its bits so far. */
  readonly length: number
  readonly code: number
}

export const VT_GROUND: VtState = { place: 'ground', missing: 0, length: 0, code: 0 }

const ESC = 0x1b

/** Between two characters and two sequences. */
export const isGround = ({ place, missing }: VtState): boolean => place === 'ground' && missing === 0

/** How many bytes a character has by its first one; 0 where no character begins so. */
const lengthOf = (byte: number): number => (byte < 0x80 ? 1 : byte < 0xc0 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 0)

/** The longest start of these bytes that splits no UTF-8 character; bytes that are none count one by one. */
export function characterCut(bytes: Uint8Array): number {
  const end = bytes.length
  for (let back = 1; back <= 3 && back <= end; back++) {
    const byte = bytes[end - back] ?? 0
    if (byte < 0x80) return end
    const length = lengthOf(byte)
    if (byte >= 0xc0) return length > back ? end - back : end
  }
  return end
}

/** The least and the most code that a character of so many bytes may have. */
const LEAST = [0, 0, 0x80, 0x800, 0x10000]
const MOST = 0x10ffff

/** Reads bytes as xterm.js does: malformed ones are passed over, and C1 controls count where UTF-8 spells them. */
export function advance(state: VtState, bytes: Uint8Array): VtState {
  return scan(state, bytes, () => undefined)
}

/** The end of the last byte after which the stream is at ground, 0 where it never is, and the state after all bytes. */
export function groundCut(state: VtState, bytes: Uint8Array): { readonly cut: number; readonly state: VtState } {
  let cut = 0
  const after = scan(state, bytes, end => {
    cut = end
  })
  return { cut, state: after }
}

function scan(state: VtState, bytes: Uint8Array, onGround: (end: number) => void): VtState {
  let { missing, length, code } = state
  let place = PLACES.indexOf(state.place)
  const size = bytes.length
  let last = -1
  for (let index = 0; index < size; index++) {
    const byte = bytes[index] as number
    if (missing > 0) {
      if ((byte & 0xc0) === 0x80) {
        code = (code << 6) | (byte & 0x3f)
        if (--missing > 0) continue
        if (isCharacter(code, length)) place = TABLE[(place << 8) | Math.min(code, PRINTABLE)] as number
        if (place === GROUND) last = index
        continue
      }
      missing = 0
    }
    if (byte < 0x80) {
      place = TABLE[(place << 8) | byte] as number
      if (place === GROUND) last = index
      continue
    }
    length = lengthOf(byte)
    if (length > 0) {
      missing = length - 1
      code = byte & (0xff >> (length + 1))
    } else if (place === GROUND) last = index
  }
  if (last >= 0) onGround(last + 1)
  const name = PLACES[place] ?? 'ground'
  return missing === 0 ? { ...VT_GROUND, place: name } : { place: name, missing, length, code }
}

const isCharacter = (code: number, length: number): boolean =>
  code >= (LEAST[length] ?? 0) && code <= MOST && !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfeff

/** Where each introducer leads, after ESC or as a C1 control. */
const INTRODUCED: Readonly<Record<number, VtPlace>> = {
  80: 'dcs-entry',
  88: 'string',
  91: 'csi-entry',
  93: 'osc',
  94: 'string',
  95: 'string',
}

/** One character further, after the VT500 state diagram with xterm.js's differences. */
function step(place: VtPlace, code: number): VtPlace {
  if (code === ESC) return 'escape'
  if (code === 0x18 || code === 0x1a) return 'ground'
  if (code >= 0x80 && code < 0xa0) return INTRODUCED[code - 0x40] ?? 'ground'
  if (place === 'ground') return place
  if (code >= 0xa0) return place === 'osc' || place === 'csi-ignore' || place === 'dcs-ignore' || place === 'dcs-data' ? place : 'ground'
  if (place === 'osc') return code === 0x07 ? 'ground' : place
  if (place === 'string' || place === 'dcs-data' || place === 'dcs-ignore') return place
  // Controls act inside a sequence and do not end it.
  if (code < 0x20 || code === 0x7f) return place
  return STEPS[place](code)
}

const intermediate = (code: number): boolean => code < 0x30
const parameter = (code: number): boolean => code < 0x3c
const privateMark = (code: number): boolean => code < 0x40

const STEPS: Readonly<Record<Exclude<VtPlace, 'ground' | 'osc' | 'string' | 'dcs-data' | 'dcs-ignore'>, (code: number) => VtPlace>> = {
  escape: code => (intermediate(code) ? 'escape-intermediate' : (INTRODUCED[code] ?? 'ground')),
  'escape-intermediate': code => (intermediate(code) ? 'escape-intermediate' : 'ground'),
  'csi-entry': code => (intermediate(code) ? 'csi-intermediate' : privateMark(code) ? 'csi-param' : 'ground'),
  'csi-param': code => (intermediate(code) ? 'csi-intermediate' : parameter(code) ? 'csi-param' : privateMark(code) ? 'csi-ignore' : 'ground'),
  'csi-intermediate': code => (intermediate(code) ? 'csi-intermediate' : privateMark(code) ? 'csi-ignore' : 'ground'),
  'csi-ignore': code => (privateMark(code) ? 'csi-ignore' : 'ground'),
  'dcs-entry': code => (intermediate(code) ? 'dcs-intermediate' : privateMark(code) ? 'dcs-param' : 'dcs-data'),
  'dcs-param': code => (intermediate(code) ? 'dcs-intermediate' : parameter(code) ? 'dcs-param' : privateMark(code) ? 'dcs-ignore' : 'dcs-data'),
  'dcs-intermediate': code => (intermediate(code) ? 'dcs-intermediate' : privateMark(code) ? 'dcs-ignore' : 'dcs-data'),
}

const PLACES: readonly VtPlace[] = [
  'ground',
  'escape',
  'escape-intermediate',
  'csi-entry',
  'csi-param',
  'csi-intermediate',
  'csi-ignore',
  'osc',
  'string',
  'dcs-entry',
  'dcs-param',
  'dcs-intermediate',
  'dcs-ignore',
  'dcs-data',
]
const GROUND = 0
/** Stands for every character from here on. */
const PRINTABLE = 0xa0

/** The next place's number, by place and character. */
const TABLE = Uint8Array.from({ length: PLACES.length << 8 }, (_, entry) =>
  PLACES.indexOf(step(PLACES[entry >> 8] ?? 'ground', Math.min(entry & 0xff, PRINTABLE))),
)

/** Bytes as text, in pieces: a character that is cut waits for its rest, what is no UTF-8 becomes U+FFFD (TERM-08). */
export function createTextView(): { readonly next: (bytes: Uint8Array) => string; readonly end: () => string } {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return { next: bytes => decoder.decode(bytes, { stream: true }), end: () => decoder.decode() }
}
