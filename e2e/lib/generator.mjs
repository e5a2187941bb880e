// A program whose output anybody can compute: `node generator.mjs <seed> <bytes>` prints that many bytes, in pieces of odd sizes.
import { writeSync } from 'node:fs'

/** Bytes of a seed, every value among them, the same each time. */
export function generated(seed, count) {
  const words = new Uint32Array(Math.ceil(count / 4))
  let state = seed | 1
  for (let at = 0; at < words.length; at++) {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return Buffer.from(words.buffer, 0, count)
}

if (process.argv[1] && import.meta.filename === process.argv[1]) {
  const [seed, count] = process.argv.slice(2).map(Number)
  const bytes = generated(seed, count)
  for (let at = 0, size = 1; at < count; size = ((size * 7919 + 13) % 9973) + 1) at += writeSync(1, bytes, at, Math.min(size, count - at))
  process.exitCode = 3
}
