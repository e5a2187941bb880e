/** Longest sequence that is held back to see its end; a longer one is no question. */
const MAX_HELD = 256
const ESC = 0x1b
const BEL = 0x07
const CAN = 0x18
const SUB = 0x1a

type Phase = 'ground' | 'held' | 'drop-string'

/**
 * Output for a real terminal without what it would answer: the server's own screen has answered the program already, and
 * a second answer would be typed into it (fault 23). Writing the clipboard (OSC 52) is taken out too, since it is off
 * unless allowed. Sequences may be cut anywhere between two pieces.
 */
export function createQuestionFilter(): (bytes: Uint8Array) => Uint8Array {
  let phase: Phase = 'ground'
  let held: number[] = []
  let dropped = 0

  return bytes => {
    const out = new Uint8Array(held.length + bytes.length)
    let size = 0
    const release = (): void => {
      out.set(held, size)
      size += held.length
      held = []
      phase = 'ground'
    }
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (phase === 'ground') {
        if (byte === ESC) {
          phase = 'held'
          held = [byte]
        } else if (byte !== 0x05) out[size++] = byte
        continue
      }
      if (phase === 'drop-string') {
        // A string ends with BEL, ST, or what breaks any sequence off.
        if (byte === BEL || byte === CAN || byte === SUB || (byte === 0x5c && dropped === ESC)) phase = 'ground'
        dropped = byte
        continue
      }
      if (byte === CAN || byte === SUB || (byte === ESC && !isString(held))) {
        release()
        at--
        if (byte !== ESC) {
          out[size++] = byte
          at++
        }
        continue
      }
      held.push(byte)
      const verdict = verdictOn(held)
      if (verdict === 'drop') {
        held = []
        phase = 'ground'
      } else if (verdict === 'drop-string') {
        held = []
        dropped = 0
        phase = 'drop-string'
      } else if (verdict === 'pass' || held.length >= MAX_HELD) release()
    }
    return out.subarray(0, size)
  }
}

const isString = (held: readonly number[]): boolean => held[1] === 0x5d || held[1] === 0x50

/** What the sequence so far is: a question, something else, or not to be told yet. */
function verdictOn(held: readonly number[]): 'more' | 'pass' | 'drop' | 'drop-string' {
  const second = held[1]
  const last = held.at(-1) as number
  if (second === 0x5b) {
    if (held.length === 2 || last < 0x40) return 'more'
    return isCsiQuestion(text(held.slice(2))) ? 'drop' : 'pass'
  }
  if (second === 0x5d) {
    const ended = last === BEL || (last === 0x5c && held.at(-2) === ESC)
    const body = text(held.slice(2, ended ? (last === BEL ? -1 : -2) : undefined))
    if (body.startsWith('52;')) return ended ? 'drop' : 'drop-string'
    if (ended) return /;\?$/.test(body) ? 'drop' : 'pass'
    // Only colours are asked for; a title or a link goes on as it comes.
    return /^(?:[0-9]{0,2}|(?:4|5|1[0-9]);[0-9;?]{0,40}|52)$/.test(last === ESC ? body.slice(0, -1) : body) ? 'more' : 'pass'
  }
  if (second === 0x50) {
    if (held.length < 4) return 'more'
    const start = text(held.slice(2, 4))
    return start === '$q' || start === '+q' ? 'drop-string' : 'pass'
  }
  // DECID, the oldest way to ask who is there.
  return second === 0x5a ? 'drop' : 'pass'
}

const text = (bytes: readonly number[]): string => String.fromCharCode(...bytes)

/** DSR, DA, DECRQM, XTVERSION, the keyboard's flags, parameters, graphics, reports of the window. */
const isCsiQuestion = (sequence: string): boolean =>
  /^\??[0-9;]*n$/.test(sequence) ||
  /^[>=]?[0-9;]*c$/.test(sequence) ||
  /^\??[0-9;]*\$p$/.test(sequence) ||
  /^>[0-9;]*q$/.test(sequence) ||
  /^\?u$/.test(sequence) ||
  /^[0-9;]*x$/.test(sequence) ||
  /^\?[0-9;]*S$/.test(sequence) ||
  /^(?:1[1345689]|2[01])(?:;[0-9;]*)?t$/.test(sequence)
