import type { Socket } from 'node:net'

/** Bytes that the peer's kernel side has taken so far, as far as Node shows: what was written less what still waits. */
export function takenBytes(socket: Socket): number {
  const handle = (socket as { _handle?: { writeQueueSize?: number } })._handle
  return socket.bytesWritten - (handle?.writeQueueSize ?? socket.writableLength)
}

export interface StallWatch {
  /** True once nothing was taken for `stallMs` while something waited to be. */
  isStalled(nowMs: number, waiting: boolean): boolean
}

/** Tells a reader that takes nothing from one that is merely slow (contract section 3: 30 s without progress). */
export function createStallWatch(socket: Socket, stallMs: number): StallWatch {
  let mark = -1
  let since = 0
  return {
    isStalled(nowMs, waiting) {
      const taken = takenBytes(socket)
      if (!waiting || taken !== mark) {
        mark = taken
        since = nowMs
        return false
      }
      return nowMs - since >= stallMs
    },
  }
}
