import type { Socket } from 'node:net'
import type { AttachOptions, Delivery } from '@holdfast/core'
import { errorFrom, type Event, FEED_ID, textsFromChunk } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import type { Access, Connection, Host } from '../host.ts'
import { textFrame } from '../stream/frames.ts'
import { createPump, type Pump, type Source } from '../stream/pump.ts'
import { createStallWatch, type StallWatch } from '../stream/stall.ts'
import { closeWith } from '../ws/close.ts'

const LIST_PAGE = 500
/** A peer that does not answer a close is cut off after this long. */
const CLOSE_MS = 2000

/** The plain old broadcast socket (RUN-15): init, then what happens, for a client that knows nothing else; a thin adapter over attachments. */
export class CompatSessionsSocket implements Connection {
  readonly transport = 'compat'
  readonly #host: Host
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #pump: Pump<Source>
  readonly #stall: StallWatch
  #releases: (() => void)[] = []
  #heardMs: number
  #pingedMs: number
  #closed = false
  #stopCut: (() => void) | undefined

  constructor(host: Host, access: Access, socket: WebSocket, raw: Socket) {
    this.#host = host
    this.#socket = socket
    this.#raw = raw
    this.#stall = createStallWatch(raw, host.times.stallMs)
    this.#heardMs = this.#pingedMs = host.clock.steadyMs()
    this.#pump = createPump<Source>({ send: (source, delivery) => this.#send(source, delivery) })
    this.#releases.push(host.countConnection(access.principal))
    if (access.tokenId !== null) this.#releases.push(host.onRevoked(access.tokenId, () => this.#close(() => socket.close(4401, 'unauthorized'))))
    raw.on('drain', () => {
      this.#pump.drained()
      if (socket.isPaused) socket.resume()
    })
    socket.on('pong', () => this.#heard())
    socket.on('message', () => this.#heard())
    socket.on('ping', () => this.#holdBack())
    socket.on('close', () => {
      this.#onClose()
      this.#stopCut?.()
      host.connections.delete(this)
    })
    host.connections.add(this)
    this.#start(access).catch((thrown: unknown) => this.#close(() => closeWith(socket, errorFrom(thrown))))
  }

  tick(nowMs: number): void {
    const { silenceMs, heartbeatMs } = this.#host.times
    if (this.#closed) return
    const isFull = this.#pump.isFull || this.#raw.writableNeedDrain
    if (this.#socket.isPaused) this.#heard()
    if (nowMs - this.#heardMs >= silenceMs || this.#stall.isStalled(nowMs, isFull)) return this.#socket.terminate()
    if (nowMs - this.#pingedMs < heartbeatMs) return
    this.#pingedMs = nowMs
    this.#socket.ping()
  }

  goAway(): void {
    this.#close(() => this.#socket.close(1001, 'draining'))
  }

  #heard(): void {
    this.#heardMs = this.#host.clock.steadyMs()
  }

  /** A peer that pings and never reads must not pile up pongs. */
  #holdBack(): void {
    this.#heard()
    if (this.#raw.writableNeedDrain) this.#socket.pause()
  }

  /** The feed first, so that nothing falls between the list and what follows it. */
  async #start({ principal }: Access): Promise<void> {
    const { engine } = this.#host
    const feed = await engine.attach(principal, FEED_ID, { mode: 'live' })
    const early: Source[] = []
    let started = false
    const follow = async (id: string, options: AttachOptions): Promise<void> => {
      const source = await this.#attach(principal, id, options)
      if (!source) return
      if (started) this.#pump.add(source)
      else early.push(source)
    }
    const fail = (thrown: unknown): void => this.#close(() => closeWith(this.#socket, errorFrom(thrown)))
    const watch = await engine.watch(principal, undefined, id => void follow(id, { cursor: { seq: 0 } }).catch(fail))
    this.#releases.push(watch.stop, () => feed.close())
    if (this.#closed) return this.#release()
    const sessions: unknown[] = []
    for (let page: string | undefined; ; ) {
      const answer = await engine.listSessions(principal, { limit: LIST_PAGE, ...(page === undefined ? {} : { page }) })
      sessions.push(...answer.sessions)
      if (answer.next_page === null) break
      page = answer.next_page
    }
    for (const id of watch.ids) await follow(id, { mode: 'live' })
    if (this.#closed) {
      for (const source of early) source.attachment.close()
      return
    }
    // Nothing may come before what it belongs to: init, then the feed, then events.
    this.#write({ type: 'init', sessions })
    started = true
    this.#pump.add({ attachment: feed })
    for (const source of early) this.#pump.add(source)
  }

  /** Undefined where it is gone since it was listed; its end is on the feed. */
  async #attach(principal: Access['principal'], id: string, options: AttachOptions): Promise<Source | undefined> {
    try {
      const attachment = await this.#host.engine.attach(principal, id, { ...options, isSpectator: true })
      if (!this.#closed) return { attachment }
      attachment.close()
    } catch (thrown) {
      if (errorFrom(thrown).code === 'internal') throw thrown
    }
    return undefined
  }

  #send(_source: Source, delivery: Delivery): boolean {
    if (this.#closed || delivery.type !== 'events') return !this.#closed
    let open = true
    for (const text of textsFromChunk(delivery.chunk)) {
      const message = compatMessage(JSON.parse(text) as Event)
      if (message) open = this.#write(message)
    }
    return open
  }

  #write(message: unknown): boolean {
    return this.#socket.readyState === this.#socket.OPEN && this.#raw.write(textFrame(JSON.stringify(message)))
  }

  #close(say: () => void): void {
    if (this.#closed) return
    say()
    this.#onClose()
    this.#socket.resume()
    this.#stopCut = this.#host.clock.after(CLOSE_MS, () => this.#socket.terminate())
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#pump.close()
    this.#release()
  }

  #release(): void {
    for (const release of this.#releases.splice(0)) release()
  }
}

/** An event in the old shapes; undefined for what old clients have no shape for. */
export function compatMessage(event: Event): unknown {
  if (event.type === 'session.created') return { type: 'session_created', session: (event.payload as { session: unknown }).session }
  if (event.type === 'session.updated') return { type: 'session_updated', session: (event.payload as { session: unknown }).session }
  if (event.type.startsWith('run.')) return { type: 'event', data: { ...(event.payload as object), session_id: event.header.session_id } }
  return undefined
}
