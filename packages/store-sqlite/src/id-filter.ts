/** Tells for sure that an id was never stored for a session, so that most appends need no look into the database. */
export interface IdFilter {
  /** False only where the id is not there; `fill` gives all ids of the session when it is asked about for the first time, or undefined where they are too many. */
  mayHave(sessionId: string, name: string, fill: () => readonly string[] | undefined): boolean
  /** A new id, before it is on disk. */
  add(sessionId: string, name: string): void
}

/** Bits of an id, and how many of them it sets: one in 2000 unknown ids is looked for in vain, in each layer. */
const BITS_PER_ID = 16
const PLACES = 8
const FIRST_IDS = 256
/** What all filters may hold together; those that were asked least recently go first. */
const TOTAL_BYTES = 16 * 1024 * 1024

interface Layer {
  readonly bits: Uint32Array
  readonly capacity: number
  count: number
}

/** A list of layers, each four times as large as the one before; null for a session whose ids are too many to be read at once. */
type Filter = { readonly layers: Layer[]; bytes: number } | null

/** Ids that one session may have when its filter is made. */
export const MOST_IDS_TO_FILL = 5000

export function createIdFilter(): IdFilter {
  const filters = new Map<string, Filter>()
  let held = 0

  const grow = (filter: NonNullable<Filter>): Layer => {
    const capacity = (filter.layers.at(-1)?.capacity ?? FIRST_IDS / 4) * 4
    const layer = { bits: new Uint32Array((capacity * BITS_PER_ID) >> 5), capacity, count: 0 }
    filter.layers.push(layer)
    filter.bytes += layer.bits.byteLength
    held += layer.bits.byteLength
    return layer
  }
  const put = (filter: NonNullable<Filter>, name: string): void => {
    let layer = filter.layers.at(-1)
    if (!layer || layer.count >= layer.capacity) layer = grow(filter)
    layer.count++
    eachPlace(layer, name, (bits, word, mask) => {
      bits[word] = (bits[word] as number) | mask
      return true
    })
  }
  const make = (sessionId: string, names: readonly string[] | undefined): Filter => {
    const filter: Filter = names ? { layers: [], bytes: 0 } : null
    filters.set(sessionId, filter)
    for (const name of filter ? (names ?? []) : []) put(filter as NonNullable<Filter>, name)
    for (const [oldest, other] of filters) {
      if (held <= TOTAL_BYTES || oldest === sessionId) break
      filters.delete(oldest)
      held -= other?.bytes ?? 0
    }
    return filter
  }

  return {
    mayHave(sessionId, name, fill) {
      let filter = filters.get(sessionId)
      if (filter === undefined) filter = make(sessionId, fill())
      return filter === null || filter.layers.some(layer => eachPlace(layer, name, (bits, word, mask) => ((bits[word] as number) & mask) !== 0))
    },
    add(sessionId, name) {
      const filter = filters.get(sessionId)
      if (filter) put(filter, name)
    },
  }
}

/** Calls `visit` for each place of a name until it says false; true when it never did. Two FNV-1a hashes, mixed as in MurmurHash3, and double hashing. */
function eachPlace({ bits }: Layer, name: string, visit: (bits: Uint32Array, word: number, mask: number) => boolean): boolean {
  let a = 0x811c9dc5
  let b = 0x9747b28c
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x01000193) + i
  }
  a = mixed(a)
  b = mixed(b) | 1
  const size = bits.length << 5
  for (let place = 0; place < PLACES; place++) {
    const bit = ((a + Math.imul(place, b)) >>> 0) % size
    if (!visit(bits, bit >>> 5, 1 << (bit & 31))) return false
  }
  return true
}

function mixed(hash: number): number {
  let mix = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35)
  return mix ^ (mix >>> 16)
}
