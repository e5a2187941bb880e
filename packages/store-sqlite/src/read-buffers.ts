import { FRAME_ROOM_BYTES } from '@holdfast/protocol'

/** Memory for reads that goes round: a replay would leave hundreds of megabytes a second to the collector. */
export interface ReadBuffers {
  /** A buffer for so many bytes with room for a frame's header in front; `release` takes it back. */
  take(bytes: number): { readonly body: Uint8Array; readonly release: () => void }
}

/** A block, or a few small ones; larger reads get memory of their own. */
const BUFFER_BYTES = 64 * 1024 + FRAME_ROOM_BYTES
const MOST_FREE = 32

export function createReadBuffers(): ReadBuffers {
  const free: Uint8Array[] = []
  return {
    take(bytes) {
      const whole = bytes + FRAME_ROOM_BYTES
      const buffer = whole <= BUFFER_BYTES ? (free.pop() ?? new Uint8Array(BUFFER_BYTES)) : new Uint8Array(whole)
      let isOut = true
      return {
        body: buffer.subarray(FRAME_ROOM_BYTES, whole),
        release() {
          if (!isOut) return
          isOut = false
          if (buffer.byteLength === BUFFER_BYTES && free.length < MOST_FREE) free.push(buffer)
        },
      }
    },
  }
}
