import type { Socket } from 'node:net'

/**
 * Bytes that the system has taken so far for the peer: what was handed to it less what it has not taken yet. `bytesWritten` of the socket
 * would not do: it counts what waits in memory, so that every ping to a reader that takes nothing would read as progress.
 */
function takenBytes(socket: Socket): number {
  const handle = (socket as { _handle?: { bytesWritten?: number; writeQueueSize?: number } | null })._handle
  if (handle?.bytesWritten !== undefined && handle.writeQueueSize !== undefined) return handle.bytesWritten - handle.writeQueueSize
  return socket.bytesWritten - socket.writableLength
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
