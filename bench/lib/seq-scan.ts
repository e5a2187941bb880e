export interface SeqScanOptions {
  /** What stands before an event's number, as `"seq":`; at least 4 bytes that nothing else between events has. */
  readonly token: string
  /** No two tokens are closer than this many bytes. */
  readonly leastBytes: number
  /** The last number that is expected. */
  readonly head: number
  /** What comes behind the last event, as `protocol.caught_up`; without it the scan is done with the last number. */
  readonly mark?: string
  /** The number before the first; 0. */
  readonly last?: number
}

/** Checks on raw bytes that events come densely and each once, without parsing anything. */
export interface SeqScan {
  /** The next bytes, cut anywhere; they are not kept. True once it is done. Throws at a hole or a repeat. */
  feed(bytes: Buffer): boolean
  /** The last number seen. */
  readonly last: number
}

/** More than a token and the digits of 2^53: what is looked at across a cut. */
const JOINT_BYTES = 64
const NOTHING = Buffer.alloc(0)

export function createSeqScan({ token: text, leastBytes, head, mark, last: before = 0 }: SeqScanOptions): SeqScan {
  const token = Buffer.from(text)
  let last = before
  // Where the last token began, counted from the next byte to look at, and how far it was from the one before.
  let place = -leastBytes
  let stride = 0
  /** The end of the bytes before, where a token may have begun. */
  let held: Buffer = NOTHING
  let tail = ''

  const isTokenAt = (bytes: Buffer, at: number): boolean => {
    for (let i = 0; i < token.length; i++) if (bytes[at + i] !== token[i]) return false
    return true
  }
  /** Checks the number of the token there; false where its end is not there yet. */
  const take = (bytes: Buffer, at: number): boolean => {
    let value = 0
    let end = at + token.length
    for (; end < bytes.length; end++) {
      const digit = (bytes[end] as number) - 48
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (end === bytes.length) return false
    if (value !== last + 1) throw new Error(`${value} came after ${last}: ${value > last ? 'events are missing' : 'an event came twice'}`)
    last = value
    stride = at - place
    place = at
    return true
  }
  const ends = (bytes: Buffer): boolean => {
    if (mark === undefined) return true
    tail += bytes.toString('latin1')
    const found = tail.indexOf(mark)
    if ((found < 0 ? tail : tail.slice(0, found)).includes(text)) throw new Error(`an event came behind ${head}, the last one`)
    return found >= 0
  }
  const scan = (bytes: Buffer): boolean => {
    while (last < head) {
      // Events are alike, so the next token mostly lies where the last distance says; else it is searched.
      const guess = place + stride
      const at = stride > 0 && guess >= 0 && isTokenAt(bytes, guess) ? guess : bytes.indexOf(token, Math.max(0, place + leastBytes))
      if (at >= 0 && take(bytes, at)) continue
      const keep = at >= 0 ? at : Math.max(0, place + leastBytes, bytes.length - token.length + 1)
      if (keep < bytes.length) held = Buffer.from(bytes.subarray(keep))
      place -= bytes.length - held.length
      return false
    }
    const rest = bytes.subarray(Math.max(0, place + token.length))
    place = -token.length
    return ends(rest)
  }
  return {
    feed(bytes) {
      if (held.length === 0) return scan(bytes)
      const joint = Buffer.concat([held, bytes.subarray(0, JOINT_BYTES)])
      const kept = held.length
      held = NOTHING
      if (joint.length === kept + bytes.length) return scan(joint)
      const at = joint.indexOf(token)
      if (at >= 0 && at < kept) take(joint, at)
      place -= kept
      return scan(bytes)
    },
    get last() {
      return last
    },
  }
}
