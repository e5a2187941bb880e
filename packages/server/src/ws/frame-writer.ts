import type { Socket } from 'node:net'
import { type Control, encodeControl } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import { textFrame } from '../stream/frames.ts'

/** Puts ready frames on a WebSocket's own connection, past the library, which would build each one for each socket. */
export class FrameWriter {
  readonly #socket: WebSocket
  readonly #raw: Socket
  #isCorked = false

  constructor(socket: WebSocket, raw: Socket) {
    this.#socket = socket
    this.#raw = raw
  }

  /** False when the connection is full, or takes nothing any more. */
  write(bytes: Buffer): boolean {
    return this.#socket.readyState === this.#socket.OPEN && this.#raw.write(bytes)
  }

  /** Acks of one group commit come in one turn, and leave in one write. */
  control(message: Control): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true
      this.#raw.cork()
      process.nextTick(() => {
        this.#isCorked = false
        this.#raw.uncork()
      })
    }
    return this.write(textFrame(encodeControl(message)))
  }
}
