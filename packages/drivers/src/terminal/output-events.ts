import type { DriverEvent } from '@holdfast/core'
import type { OutputPayload } from '@holdfast/protocol'
import { characterCut } from './screen/boundary.ts'

/** The most of one event; what follows goes into the next. */
export const PIECE_BYTES = 64 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** As text where the bytes are UTF-8, else as base64: either way exactly these bytes (TERM-08). */
export function payloadFromBytes(bytes: Uint8Array): OutputPayload {
  try {
    return { text: decoder.decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }
  }
}

/** The bytes of a `terminal.output`. */
export function bytesFromPayload(payload: unknown): Buffer {
  const { text, base64 } = payload as { text?: string; base64?: string }
  return text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text, 'utf8')
}

/** Output as events of at most `maxBytes` of JSON each, cut between characters wherever there are any. */
export function eventsFromBytes(bytes: Uint8Array, maxBytes: number): DriverEvent[] {
  const events: DriverEvent[] = []
  for (let at = 0; at < bytes.length; ) {
    let piece = bytes.subarray(at, at + PIECE_BYTES)
    if (at + piece.length < bytes.length) piece = wholeCharacters(piece)
    let payload = payloadFromBytes(piece)
    // Control characters take six bytes of JSON each.
    while (Buffer.byteLength(JSON.stringify(payload)) > maxBytes && piece.length > 1) {
      piece = wholeCharacters(piece.subarray(0, piece.length >> 1))
      payload = payloadFromBytes(piece)
    }
    events.push({ type: 'terminal.output', payload })
    at += piece.length
  }
  return events
}

const wholeCharacters = (bytes: Uint8Array): Uint8Array => {
  const cut = characterCut(bytes)
  return cut > 0 ? bytes.subarray(0, cut) : bytes
}
