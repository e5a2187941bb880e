import type { Random } from '@holdfast/core'

/** A source of chance that gives the same values for the same seed, on every machine. */
export interface SeededRandom extends Random {
  /** 0 to `below` - 1. */
  int(below: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
  /** One of the names, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K
}

/** `sfc32`, seeded from one integer. */
export function createSeededRandom(seed: number): SeededRandom {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = seed | 0
  let counter = Math.floor(seed / 0x100000000) + 1
  const next = (): number => {
    const sum = (a + b + counter++) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  // The first values of neighbouring seeds are alike.
  for (let round = 0; round < 12; round++) next()

  let ids = 0
  const random: SeededRandom = {
    fraction: () => next() / 0x100000000,
    int: below => Math.floor((next() / 0x100000000) * below),
    chance: probability => next() / 0x100000000 < probability,
    pick(items) {
      if (items.length === 0) throw new RangeError('there is nothing to pick from')
      return items[random.int(items.length)] as (typeof items)[number]
    },
    weighted(weights) {
      const entries = Object.entries(weights) as [keyof typeof weights, number][]
      let left = random.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      return (entries.at(-1) as (typeof entries)[number])[0]
    },
    id() {
      const hex = (++ids).toString(16).padStart(12, '0')
      const chance = next().toString(16).padStart(8, '0')
      return `${hex.slice(0, 8)}-${hex.slice(8)}-7${chance.slice(0, 3)}-8${chance.slice(3, 6)}-${chance.slice(6)}${seed.toString(16).padStart(10, '0').slice(-10)}`
    },
  }
  return random
}
