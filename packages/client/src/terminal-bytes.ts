/** What a program printed: the text of a `terminal.output` in UTF-8, or its base64. */
export function bytesFromOutput(payload: unknown): Uint8Array {
  const { text, base64 } = (payload ?? {}) as { readonly text?: unknown; readonly base64?: unknown }
  if (typeof text === 'string') return new TextEncoder().encode(text)
  return typeof base64 === 'string' ? Uint8Array.from(atob(base64), char => char.charCodeAt(0)) : new Uint8Array(0)
}

/** What is typed, as the payload of a `terminal.input`: text where it is UTF-8, so that it can be read on the way, else base64. */
export function inputFromBytes(bytes: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    let binary = ''
    for (const byte of bytes) binary += String.fromCharCode(byte)
    return { base64: btoa(binary) }
  }
}

/** A control character takes six bytes of JSON. */
const JSON_GROWTH = 6
const ENVELOPE_BYTES = 64
const PIECE_BYTES = 32 * 1024

/** The most bytes of one input, whatever they are, for a limit on its JSON (TERM-16). */
export const pieceBytes = (inputBytes: number): number => Math.max(4, Math.min(PIECE_BYTES, Math.floor((inputBytes - ENVELOPE_BYTES) / JSON_GROWTH)))

/** Where to cut so that at most `max` bytes come before it and no character of UTF-8 is cut in two. */
export function cutOf(bytes: Uint8Array, max: number): number {
  if (bytes.length <= max) return bytes.length
  for (let at = max; at > max - 4 && at > 0; at--) if (((bytes[at] as number) & 0xc0) !== 0x80) return at
  return max
}
