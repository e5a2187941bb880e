import type { Socket } from 'node:net'
import type { Delivery } from '@holdfast/core'
import { errorFrom } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import type { Access, Connection, Host } from '../host.ts'
import { textFrame } from '../stream/frames.ts'
import { createPump, type Pump, type Source } from '../stream/pump.ts'
import { createStallWatch, type StallWatch } from '../stream/stall.ts'
import { closeWith } from '../ws/close.ts'

/** A peer that does not answer a close is cut off after this long. */
const CLOSE_MS = 2000

export interface PlainSocketOptions {
  readonly host: Host
  readonly access: Access
  readonly socket: WebSocket
  readonly raw: Socket
  /** Writes a delivery; false when the connection is full. */
  readonly send: (delivery: Delivery) => boolean
  readonly onText?: (text: string) => void
}

/** A WebSocket of an old client: JSON without envelopes, over ordinary attachments; alive, full, drained and closed as any other. */
export class PlainSocket implements Connection {
  readonly transport = 'compat'
  readonly pump: Pump<Source>
  readonly #host: Host
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #stall: StallWatch
  readonly #releases: (() => void)[] = []
  #heardMs: number
  #pingedMs: number
  #closed = false
  #stopCut: (() => void) | undefined

  constructor({ host, access, socket, raw, send, onText }: PlainSocketOptions) {
    this.#host = host
    this.#socket = socket
    this.#raw = raw
    this.#stall = createStallWatch(raw, host.times.stallMs)
    this.#heardMs = this.#pingedMs = host.clock.steadyMs()
    this.pump = createPump<Source>({ send: (_source, delivery) => !this.#closed && send(delivery) })
    this.#releases.push(host.countConnection(access.principal))
    if (access.tokenId !== null) this.#releases.push(host.onRevoked(access.tokenId, () => this.close(() => socket.close(4401, 'unauthorized'))))
    raw.on('drain', () => {
      this.pump.drained()
      if (socket.isPaused) socket.resume()
    })
    socket.on('pong', () => this.#heard())
    socket.on('message', data => {
      this.#holdBack()
      if (!this.#closed) onText?.((data as Buffer).toString())
    })
    socket.on('ping', () => this.#holdBack())
    socket.on('close', () => {
      this.#onClose()
      this.#stopCut?.()
      host.connections.delete(this)
    })
    host.connections.add(this)
  }

  get isClosed(): boolean {
    return this.#closed
  }

  tick(nowMs: number): void {
    const { silenceMs, heartbeatMs } = this.#host.times
    if (this.#closed) return
    const isFull = this.pump.isFull || this.#raw.writableNeedDrain
    if (this.#socket.isPaused) this.#heard()
    if (nowMs - this.#heardMs >= silenceMs || this.#stall.isStalled(nowMs, isFull)) return this.#socket.terminate()
    if (nowMs - this.#pingedMs < heartbeatMs) return
    this.#pingedMs = nowMs
    this.#socket.ping()
  }

  goAway(): void {
    this.close(() => this.#socket.close(1001, 'draining'))
  }

  write(message: unknown): boolean {
    return this.#socket.readyState === this.#socket.OPEN && this.#raw.write(textFrame(JSON.stringify(message)))
  }

  /** Called when it closes, or at once where it has. */
  onClosed(release: () => void): void {
    if (this.#closed) release()
    else this.#releases.push(release)
  }

  fail(thrown: unknown): void {
    this.close(() => closeWith(this.#socket, errorFrom(thrown)))
  }

  close(say: () => void): void {
    if (this.#closed) return
    say()
    this.#onClose()
    this.#socket.resume()
    this.#stopCut = this.#host.clock.after(CLOSE_MS, () => this.#socket.terminate())
  }

  #heard(): void {
    this.#heardMs = this.#host.clock.steadyMs()
  }

  /** A peer that sends and never reads must not pile up answers. */
  #holdBack(): void {
    this.#heard()
    if (this.#raw.writableNeedDrain) this.#socket.pause()
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.pump.close()
    for (const release of this.#releases.splice(0)) release()
  }
}
