import { UsageError } from '../failure.ts'

/** A key held with Ctrl, as terminals send it. */
export interface CtrlKey {
  /** For people: `Ctrl-\`. */
  readonly name: string
  /** The bytes of the key, in each of the ways that a program can have asked for. */
  readonly sequences: readonly Uint8Array[]
}

export const DEFAULT_DETACH_KEY = 'ctrl-\\'

/** Reads `ctrl-x`, `^x`; throws UsageError. */
export function ctrlKey(text: string): CtrlKey {
  const char = /^(?:ctrl-|c-|\^)([a-z\\\]^_@])$/i.exec(text)?.[1]?.toLowerCase()
  if (char === undefined) throw new UsageError(`"${text}" is no key to detach with; say for example "ctrl-\\", "ctrl-]" or "ctrl-q".`)
  const code = char.charCodeAt(0)
  const sequences = [[char.toUpperCase().charCodeAt(0) & 0x1f], bytes(`\u001b[${code};5u`), bytes(`\u001b[27;5;${code}~`)]
  return { name: `Ctrl-${char.toUpperCase()}`, sequences: sequences.map(sequence => Uint8Array.from(sequence)) }
}

const bytes = (sequence: string): number[] => [...sequence].map(char => char.charCodeAt(0))

/** Where the key is in what was typed, and what comes before it; undefined without it. */
export function beforeKey(typed: Uint8Array, key: CtrlKey): Uint8Array | undefined {
  const found = key.sequences.map(sequence => Buffer.from(typed.buffer, typed.byteOffset, typed.length).indexOf(sequence)).filter(at => at >= 0)
  return found.length === 0 ? undefined : typed.subarray(0, Math.min(...found))
}
