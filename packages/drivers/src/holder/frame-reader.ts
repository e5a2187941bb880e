import { MAX_FRAME_BYTES } from './frames.ts'

/** Cuts a byte stream into frame bodies (type and payload); throws RangeError on a length that no frame has. */
export function createFrameReader(): (chunk: Buffer) => Buffer[] {
  let pieces: Buffer[] = []
  let have = 0

  const take = (count: number): Buffer => {
    const all = pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces)
    const rest = all.subarray(count)
    pieces = rest.length > 0 ? [rest] : []
    have = rest.length
    return all.subarray(0, count)
  }

  let wanted = -1
  return chunk => {
    pieces.push(chunk)
    have += chunk.length
    const bodies: Buffer[] = []
    for (;;) {
      if (wanted < 0) {
        if (have < 4) return bodies
        wanted = take(4).readUInt32LE(0)
        if (wanted < 1 || wanted > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${wanted} bytes`)
      }
      if (have < wanted) return bodies
      bodies.push(take(wanted))
      wanted = -1
    }
  }
}
