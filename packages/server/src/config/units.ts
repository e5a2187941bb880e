const DURATIONS: readonly (readonly [string, number])[] = [
  ['w', 7 * 24 * 3_600_000],
  ['d', 24 * 3_600_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]

const SIZES: readonly (readonly [string, number])[] = [
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
]

const FACTORS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(SIZES.map(([unit, factor]) => [unit.toLowerCase(), factor])),
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
}

/** A whole number, or undefined: half a byte is a mistake. Rounds off what binary fractions add (`1.1s` is 1100 ms). */
const whole = (value: number): number | undefined => {
  const rounded = Math.round(value)
  return Number.isSafeInteger(rounded) && Math.abs(value - rounded) < 1e-6 ? rounded : undefined
}

/** ms of `1h30m`, `10s`, `250ms`, `1.5d`, or of plain digits (ms); undefined for anything else. */
export function msFromText(text: string): number | undefined {
  const compact = text.trim().toLowerCase()
  if (/^\d+$/.test(compact)) return whole(Number(compact))
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(compact)) return undefined
  let total = 0
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g))
    total += Number(amount) * (DURATIONS.find(([name]) => name === unit)?.[1] ?? Number.NaN)
  return whole(total)
}

/** Bytes of `50MiB`, `1.5 GiB`, `64kb` (1000s), or of plain digits; undefined for anything else. */
export function bytesFromText(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim().toLowerCase())
  if (!match) return undefined
  const unit = match[2] === '' ? 'b' : (match[2] ?? '')
  return Object.hasOwn(FACTORS, unit) ? whole(Number(match[1]) * (FACTORS[unit] ?? Number.NaN)) : undefined
}

const inUnits = (value: number, units: readonly (readonly [string, number])[]): string => {
  const [unit, factor] = units.find(([, factor]) => value !== 0 && value % factor === 0) ?? units[units.length - 1] ?? ['', 1]
  return `${value / factor}${unit}`
}

/** The shortest text up to days that `msFromText` reads as this. */
export const textFromMs = (ms: number): string => inUnits(ms, DURATIONS.slice(1))

/** The shortest text that `bytesFromText` reads as this. */
export const textFromBytes = (bytes: number): string => inUnits(bytes, SIZES)
