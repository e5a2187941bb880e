/** A 64-bit hash of bytes: fast and well spread, not cryptographic. */
export function hashBytes(bytes: Uint8Array): bigint {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number
    a = Math.imul(a ^ byte, 0x9e3779b1)
    b = Math.imul(b ^ byte, 0x5f356495)
  }
  return finish(a, b)
}

/** The same of a text's UTF-16 units. */
export function hashText(text: string): bigint {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  return finish(a, b)
}

function finish(a: number, b: number): bigint {
  const low = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  const high = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35)
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
