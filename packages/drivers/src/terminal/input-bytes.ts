import { HoldfastError } from '@holdfast/protocol'

/** Below the holder's frame of 1 MiB. */
const PIECE_BYTES = 512 * 1024

/** Signals that a client may send to what runs in the foreground. */
export const SIGNALS: ReadonlySet<string> = new Set([
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTERM',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGWINCH',
])

/** What is typed, as bytes. Throws `invalid_request` for base64 that is none. */
export function bytesFromInput(payload: unknown): Uint8Array {
  const { text, base64 } = payload as { readonly text?: string; readonly base64?: string }
  if (text !== undefined) return Buffer.from(text, 'utf8')
  if (base64 === undefined || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
    throw new HoldfastError('invalid_request', 'base64 is not base64.', { field: 'payload.base64' })
  return Buffer.from(base64, 'base64')
}

/** A large paste in pieces, each with an id of its own, so that a repeat is known piece by piece (TERM-16). */
export function inputPieces(id: string, bytes: Uint8Array): { readonly id: string; readonly bytes: Uint8Array }[] {
  if (bytes.length <= PIECE_BYTES) return [{ id, bytes }]
  const pieces: { id: string; bytes: Uint8Array }[] = []
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) pieces.push({ id: `${id}#${pieces.length}`, bytes: bytes.subarray(at, at + PIECE_BYTES) })
  return pieces
}
