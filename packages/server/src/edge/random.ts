import { randomFillSync } from 'node:crypto'
import type { Random } from '@holdfast/core'

const pool = Buffer.alloc(16 * 256)
let used = pool.length
let lastMs = 0
let counter = 0

const HEX = Buffer.from('0123456789abcdef')
const text = Buffer.alloc(36)

/** UUIDv7 (RFC 9562): 48 bits of ms, a 12 bit counter that keeps ids of one ms in order, 62 random bits. */
function uuidV7(): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const bytes = pool.subarray(used, used + 16)
  used += 16
  const now = Date.now()
  if (now > lastMs) {
    lastMs = now
    counter = ((bytes[6] as number) << 3) | ((bytes[7] as number) & 7)
  } else if (++counter > 0xfff) {
    lastMs++
    counter = 0
  }
  bytes.writeUIntBE(lastMs, 0, 6)
  bytes[6] = 0x70 | (counter >> 8)
  bytes[7] = counter & 0xff
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  let at = 0
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text[at++] = 45
    const byte = bytes[i] as number
    text[at++] = HEX[byte >> 4] as number
    text[at++] = HEX[byte & 15] as number
  }
  // One flat string: pieces put together would be flattened later, and collected.
  return text.toString('latin1')
}

export const systemRandom: Random = { id: uuidV7, fraction: () => Math.random() }
