/** How to find events in what a server sends, on the raw bytes. */
export interface Marks {
  /** What stands before an event's number, once in every event and in nothing else: `,"seq":`. */
  readonly number: string
  /** What stands before the moment of sending (µs of the monotonic clock), behind the number. */
  readonly stamp?: string
}

export interface ScannerHooks {
  onEvent(number: number, stamp: number): void
  /** Whatever else comes: WebSocket messages without a number, pings, closes. Text of a stream is not handed over. */
  onOther(opcode: number, payload: Buffer): void
}

/** Finds the events in `bytes` from `at` to `end`; returns where it must begin again when more has come. */
export type Scan = (bytes: Buffer, at: number, end: number) => number

const ZERO = 0x30

/** The digits at `at`; -1 where they are not whole before `end`. */
function digitsAt(bytes: Buffer, at: number, end: number): number {
  let value = 0
  for (let i = at; i < end; i++) {
    const digit = (bytes[i] as number) - ZERO
    if (digit < 0 || digit > 9) return value
    value = value * 10 + digit
  }
  return -1
}

function standsAt(bytes: Buffer, at: number, mark: Buffer): boolean {
  for (let i = 0; i < mark.length; i++) if (bytes[at + i] !== mark[i]) return false
  return true
}

/** Where `mark` begins from `from` up to `end`: first where it was expected, else by a search; -1 where it is not. */
function placeOf(bytes: Buffer, mark: Buffer, expected: number, from: number, end: number): number {
  if (expected >= from && expected + mark.length <= end && standsAt(bytes, expected, mark)) return expected
  const found = bytes.subarray(from, end).indexOf(mark)
  return found < 0 ? -1 : from + found
}

/** WebSocket frames: one message each, unfragmented, unmasked. */
export function createFrameScanner({ number, stamp }: Marks, { onEvent, onOther }: ScannerHooks): Scan {
  const numberMark = Buffer.from(number)
  const stampMark = stamp === undefined ? undefined : Buffer.from(stamp)
  // Both stand at the same place in each event, up to digits.
  let numberPlace = -1
  let stampPlace = -1
  const message = (bytes: Buffer, opcode: number, start: number, end: number): void => {
    const at = placeOf(bytes, numberMark, numberPlace < 0 ? -1 : start + numberPlace, start, end)
    if (at < 0) return onOther(opcode, bytes.subarray(start, end))
    numberPlace = at - start
    let stamped = 0
    if (stampMark) {
      const place = placeOf(bytes, stampMark, stampPlace < 0 ? -1 : start + stampPlace, at, end)
      stampPlace = place - start
      stamped = digitsAt(bytes, place + stampMark.length, end)
    }
    onEvent(digitsAt(bytes, at + numberMark.length, end), stamped)
  }
  return (bytes, from, end) => {
    let at = from
    while (at + 2 <= end) {
      const opcode = (bytes[at] as number) & 0x0f
      let length = (bytes[at + 1] as number) & 0x7f
      let start = at + 2
      if (length === 126) {
        if (at + 4 > end) break
        length = bytes.readUInt16BE(at + 2)
        start = at + 4
      } else if (length === 127) {
        if (at + 10 > end) break
        length = bytes.readUInt32BE(at + 6)
        start = at + 10
      }
      if (start + length > end) break
      if (opcode === 1 || opcode === 2) message(bytes, opcode, start, start + length)
      else onOther(opcode, bytes.subarray(start, start + length))
      at = start + length
    }
    return at
  }
}

/** An event stream's text: records of which each has one number, whatever chunks they come in. */
export function createTextScanner({ number }: Marks, { onEvent }: ScannerHooks): Scan {
  const mark = Buffer.from(number)
  let gap = 0
  return (bytes, from, end) => {
    let at = from
    let last = -1
    for (;;) {
      const place = placeOf(bytes, mark, last < 0 || gap === 0 ? -1 : last + gap, at, end)
      // The mark may be cut; so may be its number.
      if (place < 0) return Math.max(at, end - mark.length + 1)
      const value = digitsAt(bytes, place + mark.length, end)
      if (value < 0) return place
      onEvent(value, 0)
      if (last >= 0) gap = place - last
      last = place
      at = place + mark.length
    }
  }
}
