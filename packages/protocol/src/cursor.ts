/** What a reader has seen: everything up to and including `seq`, in the history `epoch` where it names one. */
export interface Cursor {
  readonly epoch?: string
  readonly seq: number
}

/** `(<epoch>\.)?[0-9]{1,16}` (contract section 1). */
const CURSOR = /^(?:([A-Za-z][A-Za-z0-9]{3,31})\.)?([0-9]{1,16})$/

/** Reads a cursor from its text or from a plain integer; undefined where the form is broken or seq is over 2^53-1. */
export function parseCursor(value: unknown): Cursor | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0) ? { seq: value } : undefined
  if (typeof value !== 'string') return undefined
  const match = CURSOR.exec(value)
  if (!match) return undefined
  const seq = Number(match[2])
  if (!Number.isSafeInteger(seq)) return undefined
  return match[1] === undefined ? { seq } : { epoch: match[1], seq }
}

/** The text of a cursor that survives a change of epoch: `<epoch>.<seq>`. */
export const formatCursor = (epoch: string, seq: number): string => `${epoch}.${seq}`
