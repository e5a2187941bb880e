import type { ColorEvent } from './xterm-internals.ts'

type Rgb = readonly [number, number, number]

/** Numbers of the colours that are not in the palette of 256, as xterm counts them, with the OSC that sets each. */
const SPECIAL = [
  [256, 10],
  [257, 11],
  [258, 12],
] as const

const BASE = '2e3436cc00004e9a06c4a0003465a475507b06989ad3d7cf555753ef29298ae234fce94f729fcfad7fa834e2e2eeeeec'
const STEPS = [0, 95, 135, 175, 215, 255]

/** What a terminal answers where no program changed the colour: white on black, and xterm's palette. */
export function defaultColor(index: number): Rgb {
  if (index === 257) return [0, 0, 0]
  if (index >= 256) return [255, 255, 255]
  if (index >= 232) return [8 + (index - 232) * 10, 8 + (index - 232) * 10, 8 + (index - 232) * 10]
  if (index >= 16) return [STEPS[Math.floor((index - 16) / 36)] ?? 0, STEPS[Math.floor((index - 16) / 6) % 6] ?? 0, STEPS[(index - 16) % 6] ?? 0]
  const hex = BASE.slice(index * 6, index * 6 + 6)
  return [Number.parseInt(hex.slice(0, 2), 16), Number.parseInt(hex.slice(2, 4), 16), Number.parseInt(hex.slice(4), 16)]
}

const hex = (value: number): string => value.toString(16).padStart(2, '0')
const twice = (color: Rgb): string => `rgb:${color.map(part => hex(part).repeat(2)).join('/')}`
const once = (color: Rgb): string => `rgb:${color.map(hex).join('/')}`

/** The colours that the program changed: the headless terminal keeps none, and answers no question about them. */
export interface Palette {
  /** Takes what OSC 4, 10 to 12, 104 and 110 to 112 ask for; gives the answers that are due. */
  apply(events: readonly ColorEvent[]): string[]
  clear(): void
  /** Sets them in a terminal, which may have kept those of its last program over a reset. */
  text(): string
}

export function createPalette(): Palette {
  const changed = new Map<number, Rgb>()
  return {
    apply(events) {
      const answers: string[] = []
      for (const { type, index, color } of events) {
        if (type === 1 && index !== undefined && color) changed.set(index, color)
        else if (type === 2 && index !== undefined) changed.delete(index)
        else if (type === 2) for (const numbered of [...changed.keys()].filter(key => key < 256)) changed.delete(numbered)
        else if (type === 0 && index !== undefined) {
          const special = SPECIAL.find(([number]) => number === index)
          answers.push(`\x1b]${special ? special[1] : `4;${index}`};${twice(changed.get(index) ?? defaultColor(index))}\x1b\\`)
        }
      }
      return answers
    },
    clear: () => changed.clear(),
    text() {
      const numbered = [...changed].filter(([index]) => index < 256)
      let text = '\x1b]104\x1b\\'
      if (numbered.length > 0) text += `\x1b]4;${numbered.map(([index, color]) => `${index};${once(color)}`).join(';')}\x1b\\`
      for (const [index, osc] of SPECIAL) {
        const color = changed.get(index)
        text += color ? `\x1b]${osc};${once(color)}\x1b\\` : `\x1b]${osc + 100}\x1b\\`
      }
      return text
    },
  }
}
