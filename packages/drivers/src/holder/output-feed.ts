import type { Socket } from 'node:net'
import { bytesFromHolderFrame, type StreamId } from './frames.ts'
import type { Spool } from './spool.ts'

/** What one output frame carries at most. */
const PIECE_BYTES = 64 * 1024

/** What may lie in the socket's own buffer: the spool is the buffer. */
const SOCKET_BYTES = 256 * 1024

/** One stream of output on its way to the client that reads it: at most a window of it is unacked. */
export interface OutputFeed {
  /** Sends what may be sent: from memory where `bytes` is just what comes next, else from the spool. */
  pump(bytes?: Uint8Array): void
  ack(offset: number): void
}

/** Feeds a socket from an offset in the spool on. */
export function createOutputFeed(socket: Socket, stream: StreamId, spool: Spool, from: number, windowBytes: number): OutputFeed {
  let sent = Math.max(from, spool.start)
  let acked = sent

  const send = (bytes: Uint8Array): void => {
    socket.cork()
    socket.write(bytesFromHolderFrame({ type: 'output', stream, offset: sent, bytes }))
    socket.write(bytes)
    socket.uncork()
    sent += bytes.length
  }

  return {
    pump(fresh) {
      for (;;) {
        const room = Math.min(PIECE_BYTES, acked + windowBytes - sent, spool.end - sent)
        if (room <= 0 || socket.destroyed || socket.writableLength >= SOCKET_BYTES) return
        const at = fresh ? sent - (spool.end - fresh.length) : -1
        if (fresh && at >= 0) send(fresh.subarray(at, at + room))
        else send(spool.read(sent, room))
      }
    },
    ack(offset) {
      acked = Math.max(acked, Math.min(offset, sent))
    },
  }
}
