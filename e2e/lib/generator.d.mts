/** Bytes of a seed, every value among them, the same each time. */
export function generated(seed: number, count: number): Buffer
