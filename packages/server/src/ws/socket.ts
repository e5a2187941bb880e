import type { Socket } from 'node:net'
import type { AttachOptions, Delivery } from '@holdfast/core'
import { type Control, errorFrom, HoldfastError, isId, isInputType } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import type { Access, Connection, Host } from '../host.ts'
import { binaryFrames, jsonFrames } from '../stream/frames.ts'
import { createPump, type Pump } from '../stream/pump.ts'
import { createStallWatch, type StallWatch } from '../stream/stall.ts'
import { ackOf, type ClientFrame, frameFromJson, idOf, inputFromFrame, jsonFromText } from './client-frame.ts'
import { closeWith } from './close.ts'
import { FrameWriter } from './frame-writer.ts'
import { checkBodySession, parsePayload, resumeOptions, sessionOf } from './payloads.ts'
import type { SocketOptions } from './socket-options.ts'
import { type Asker, markGreeted, type SocketSource, type Watching } from './source.ts'

/** Tokenless loopback: how long a URL's session that `local` can't see waits for a `protocol.auth` that may raise it. */
const RAISE_MS = 500
/** A peer that does not answer a close is cut off after this long. */
const CLOSE_MS = 2000
/** Inputs that one socket may have under way; more are read when some are done. */
const MAX_INPUTS = 1024

/** One WebSocket: its attachments take turns on it, its inputs go in as they come (contract section 3). */
export class SocketSession implements Connection {
  readonly transport = 'ws'
  readonly #host: Host
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #options: SocketOptions
  readonly #sources = new Map<string, SocketSource>()
  readonly #frames: FrameWriter
  readonly #pump: Pump<SocketSource>
  readonly #stall: StallWatch
  /** Whose role it is where there is no client id. */
  readonly #connectionId: string
  #access: Access | undefined
  #releases: (() => void)[] = []
  #first = true
  #closed = false
  #inputs = 0
  #heardMs: number
  #sentMs: number
  #pingedMs: number
  #stopAuthTimer: (() => void) | undefined
  #watching: Watching | undefined
  #stopCut: (() => void) | undefined
  /** What the next frame waits for. */
  #handling: Promise<void> | undefined

  constructor(options: SocketOptions) {
    this.#options = options
    this.#host = options.host
    this.#socket = options.socket
    this.#raw = options.raw
    this.#frames = new FrameWriter(options.socket, options.raw)
    this.#access = options.access
    this.#connectionId = options.host.random.id()
    this.#stall = createStallWatch(options.raw, options.host.times.stallMs)
    this.#heardMs = this.#sentMs = this.#pingedMs = options.host.clock.steadyMs()
    this.#pump = createPump<SocketSource>({ send: (source, delivery) => this.#send(source, delivery) })
    options.raw.on('drain', () => {
      this.#pump.drained()
      this.#readOn()
    })
    options.socket.on('message', (data, isBinaryFrame) => this.#onMessage(data as Buffer, isBinaryFrame))
    options.socket.on('pong', () => this.#heard())
    options.socket.on('ping', () => {
      this.#heard()
      this.#holdBack()
    })
    options.socket.on('close', () => {
      this.#onClose()
      this.#stopCut?.()
      this.#host.connections.delete(this)
    })
    options.socket.on('error', error => this.#host.logger.debug('a socket failed', { error: error.message }))
    this.#host.connections.add(this)
    if (this.#access) this.#admitted(this.#access)
    if (!this.#access) this.#stopAuthTimer = this.#host.clock.after(this.#host.times.authMs, () => this.#refuse(authNeeded()))
    else if (options.target) this.#follow(this.#attachFromUrl(options.target))
  }

  tick(nowMs: number): void {
    if (this.#closed) return
    const { silenceMs, heartbeatMs } = this.#host.times
    const isFull = this.#pump.isFull || this.#raw.writableNeedDrain
    // A socket that is not read because its peer takes nothing is stalled, not silent.
    if (this.#socket.isPaused) this.#heard()
    if (nowMs - this.#heardMs >= silenceMs) return this.#socket.terminate()
    if (this.#stall.isStalled(nowMs, isFull))
      return this.#refuse(new HoldfastError('slow_consumer', 'Nothing was taken for too long; attach again from your cursor.'))
    if (nowMs - this.#pingedMs >= heartbeatMs) {
      this.#pingedMs = nowMs
      this.#socket.ping()
    }
    if (nowMs - this.#sentMs >= heartbeatMs && !isFull) this.#control('protocol.heartbeat', { heads: this.#heads() })
  }

  goAway(reconnectInMs: number): void {
    if (this.#closed) return
    this.#control('protocol.goaway', { reconnect_in_ms: reconnectInMs })
    this.#close(() => this.#socket.close(1001, 'draining'))
  }

  #heads(): Record<string, number> {
    return Object.fromEntries([...this.#sources].map(([id, source]) => [id, source.attachment.head]))
  }

  #heard(): void {
    this.#heardMs = this.#host.clock.steadyMs()
  }

  #admitted(access: Access): void {
    for (const release of this.#releases.splice(0)) release()
    this.#releases.push(this.#host.countConnection(access.principal))
    this.#access = access
    if (access.tokenId !== null)
      this.#releases.push(this.#host.onRevoked(access.tokenId, () => this.#refuse(new HoldfastError('unauthorized', 'The token was revoked or has expired.'))))
  }

  #onMessage(data: Buffer, isBinaryFrame: boolean): void {
    this.#heard()
    this.#inputs++
    this.#holdBack()
    if (this.#handling) this.#follow(this.#handling.then(() => this.#handle(data, isBinaryFrame)))
    else {
      const done = this.#handle(data, isBinaryFrame)
      if (done) this.#follow(done)
    }
  }

  /** What comes next waits for this. */
  #follow(done: Promise<void>): void {
    const handling = done.then(() => {
      if (this.#handling === handling) this.#handling = undefined
    })
    this.#handling = handling
  }

  /** Undefined or settled when the next frame may be looked at: inputs are on their way then, anything else is done. */
  #handle(data: Buffer, isBinaryFrame: boolean): Promise<void> | undefined {
    let json: unknown
    let frame: ClientFrame | undefined
    const failed = (thrown: unknown): void => {
      if (this.#access) this.#fail(thrown, frame?.id ?? idOf(json), frame?.sessionId)
      else this.#refuse(authNeeded())
    }
    try {
      if (this.#closed) {
        this.#inputDone()
        return undefined
      }
      if (isBinaryFrame) throw new HoldfastError('invalid_request', 'Clients send text frames, one JSON object each.')
      json = jsonFromText(data.toString())
      frame = frameFromJson(json)
      const { done, isOrdered } = this.#dispatch(frame)
      const over = done.then(
        () => this.#inputDone(),
        (thrown: unknown) => {
          failed(thrown)
          this.#inputDone()
        },
      )
      return isOrdered ? over : undefined
    } catch (thrown) {
      failed(thrown)
      this.#inputDone()
      return undefined
    }
  }

  #inputDone(): void {
    this.#inputs--
    this.#readOn()
  }

  /** Nothing more is read while too much is under way, or while the peer does not take its answers: neither may pile up. */
  #holdBack(): void {
    if (this.#inputs >= MAX_INPUTS || this.#raw.writableNeedDrain) this.#socket.pause()
  }

  #readOn(): void {
    if (this.#socket.isPaused && this.#inputs < MAX_INPUTS && !this.#raw.writableNeedDrain) this.#socket.resume()
  }

  #dispatch(frame: ClientFrame): { done: Promise<void>; isOrdered: boolean } {
    const first = this.#first
    this.#first = false
    if (frame.type === 'protocol.auth') return { done: this.#authenticate(frame, first), isOrdered: true }
    if (!this.#access) {
      this.#refuse(authNeeded())
      return { done: Promise.resolve(), isOrdered: true }
    }
    if (isInputType(frame.type)) return { done: this.#input(this.#access, frame), isOrdered: false }
    return { done: this.#command(this.#access, frame), isOrdered: true }
  }

  async #authenticate(frame: ClientFrame, isFirst: boolean): Promise<void> {
    const payload = parsePayload('protocol.auth', frame.payload)
    if (this.#access && !(isFirst && this.#options.mayRaise)) throw new HoldfastError('invalid_request', 'This connection is authenticated already.')
    try {
      const access = this.#host.accessFromToken(payload.token, this.#options.remoteAddress)
      this.#stopAuthTimer?.()
      this.#admitted(access)
    } catch (thrown) {
      return this.#refuse(errorFrom(thrown))
    }
    this.#control('protocol.ack', { id: frame.id ?? null, seq: null, duplicate: false }, frame.id)
    if (this.#options.target && !this.#sources.has(this.#options.target.sessionId)) await this.#attachFromUrl(this.#options.target)
  }

  async #attachFromUrl(target: NonNullable<SocketOptions['target']>): Promise<void> {
    const access = this.#access
    try {
      await this.#attach(access as Access, target.sessionId, target.options, { fromUrl: true })
    } catch (thrown) {
      const error = errorFrom(thrown)
      if (access?.tokenId !== null || !this.#options.mayRaise || error.code !== 'not_found' || !this.#first) return this.#refuse(error)
      this.#stopAuthTimer = this.#host.clock.after(RAISE_MS, () => {
        if (this.#access === access) this.#refuse(error)
      })
    }
  }

  async #attach(access: Access, sessionId: string, options: AttachOptions, asker: Asker): Promise<void> {
    const attachment = await this.#host.engine.attach(access.principal, sessionId, { ...options, connectionId: this.#connectionId })
    if (this.#closed || (asker.watch && asker.watch !== this.#watching)) return attachment.close()
    const before = this.#sources.get(attachment.sessionId)
    if (before) this.#remove(before)
    const source: SocketSource = { attachment, fromUrl: asker.fromUrl ?? before?.fromUrl ?? false, replyTo: asker.replyTo, watch: asker.watch, greeted: false }
    this.#sources.set(attachment.sessionId, source)
    source.watch?.waiting.add(source)
    this.#pump.add(source)
  }

  #remove(source: SocketSource): void {
    this.#sources.delete(source.attachment.sessionId)
    this.#pump.remove(source)
    markGreeted(source)
  }

  async #input(access: Access, frame: ClientFrame): Promise<void> {
    this.#host.countRequest(access.principal)
    const sessionId = frame.sessionId ?? this.#options.target?.sessionId
    if (sessionId === undefined)
      throw new HoldfastError('invalid_request', 'header.session_id is missing: to which session does this go?', { field: 'header.session_id' })
    checkBodySession(frame.payload, sessionId)
    const clientId = this.#clientId(frame)
    const result = await this.#host.engine.input(access.principal, sessionId, inputFromFrame(frame, clientId, this.#connectionId))
    this.#control('protocol.ack', ackOf(frame, result), frame.id, sessionId)
  }

  #clientId(frame: ClientFrame): string | undefined {
    const { clientId } = this.#options
    if (clientId !== undefined && frame.clientId !== undefined && frame.clientId !== clientId)
      throw new HoldfastError('id_mismatch', 'header.client_id is another than the one in the URL.', { client_id: clientId })
    return frame.clientId ?? clientId
  }

  async #command(access: Access, frame: ClientFrame): Promise<void> {
    switch (frame.type) {
      case 'protocol.ping':
        return this.#control('protocol.pong', {}, frame.id)
      case 'protocol.resume': {
        const sessionId = sessionOf(frame)
        checkBodySession(frame.payload, sessionId)
        return this.#attach(access, sessionId, resumeOptions(frame, this.#clientId(frame)), { replyTo: frame.id })
      }
      case 'protocol.detach': {
        const source = this.#sourceOf(frame)
        this.#remove(source)
        return this.#control('protocol.ack', { id: frame.id ?? null, seq: null, duplicate: false }, frame.id, source.attachment.sessionId)
      }
      case 'protocol.credit': {
        const source = this.#sourceOf(frame)
        return source.attachment.credit(parsePayload('protocol.credit', frame.payload).seq)
      }
      case 'protocol.watch':
        return this.#watch(access, frame)
      default:
        throw new HoldfastError('invalid_request', `There is no message "${frame.type.slice(0, 128)}".`, { field: 'type' })
    }
  }

  /** Attaches at the head of what there is, and from the start of what comes; a second watch takes the place of the first. */
  async #watch(access: Access, frame: ClientFrame): Promise<void> {
    const { kinds } = parsePayload('protocol.watch', frame.payload)
    const previous = this.#watching
    previous?.stop()
    const watch: Watching = { waiting: new Set(), answer: undefined, stop: () => undefined }
    this.#watching = watch
    const clientId = this.#clientId(frame)
    const own = clientId === undefined ? {} : { clientId }
    const { ids, stop } = await this.#host.engine.watch(access.principal, kinds && new Set(kinds), id => {
      if (this.#closed || this.#watching !== watch) return
      this.#attach(access, id, { ...own, cursor: { seq: 0 } }, { watch }).catch((thrown: unknown) => this.#fail(thrown, undefined, id))
    })
    watch.stop = stop
    if (this.#closed) return stop()
    const wanted = new Set(ids)
    for (const [id, source] of this.#sources) if (previous && source.watch === previous && !wanted.has(id)) this.#remove(source)
    for (const id of ids) {
      // What is attached already goes on from where it is: taking its place at the head would lose what it has not seen.
      const attached = this.#sources.get(id)
      if (attached && attached.watch === undefined) continue
      // Gone since the list was read: nothing to watch.
      await this.#attach(access, id, { ...own, mode: 'live' }, { watch }).catch(() => undefined)
      if (this.#closed) return
    }
    watch.answer = () => {
      watch.answer = undefined
      this.#control('protocol.watching', { kinds: kinds ?? null, sessions: ids.length }, frame.id)
    }
    if (watch.waiting.size === 0) watch.answer()
  }

  #sourceOf(frame: ClientFrame): SocketSource {
    const sessionId = sessionOf(frame)
    const source = this.#sources.get(sessionId)
    if (!source) throw new HoldfastError('invalid_request', `This connection is not attached to "${sessionId.slice(0, 128)}".`, { session_id: sessionId })
    return source
  }

  #send(source: SocketSource, delivery: Delivery): boolean {
    if (this.#closed) return false
    if (delivery.type === 'events') {
      const { chunk } = delivery
      this.#sentMs = this.#host.clock.steadyMs()
      const isOpen = this.#frames.write(this.#options.isBinary ? binaryFrames(chunk, this.#host.limits.frame_bytes) : jsonFrames(chunk))
      // The system has it all: nothing looks at the chunk any more.
      if (chunk.release && this.#raw.writableLength === 0) chunk.release()
      return isOpen
    }
    if (delivery.type === 'control') return this.#sendControl(source, delivery.message)
    this.#sources.delete(source.attachment.sessionId)
    markGreeted(source)
    // A drain says goodbye by itself.
    if (delivery.error.code === 'draining' && this.#host.isDraining) return true
    this.#writeControl({ type: 'protocol.error', header: { session_id: source.attachment.sessionId }, payload: delivery.error.body() })
    if (source.fromUrl) this.#refuse(delivery.error)
    return true
  }

  /** An attachment's first message is its hello, which answers whoever asked for it. */
  #sendControl(source: SocketSource, message: Control): boolean {
    if (source.greeted) return this.#writeControl(message)
    const isOpen = this.#writeControl(source.replyTo === undefined ? message : { ...message, header: { ...message.header, reply_to: source.replyTo } })
    markGreeted(source)
    return isOpen
  }

  #fail(thrown: unknown, replyTo: string | undefined, sessionId: string | undefined): void {
    const error = errorFrom(thrown)
    this.#host.countRefusal(error.code)
    if (error.code === 'internal') this.#host.logger.error('a frame failed', { error: String((error.cause as Error | undefined)?.stack ?? error.cause) })
    this.#control('protocol.error', error.body(), replyTo, isId(sessionId) || sessionId === '_feed' ? sessionId : undefined)
  }

  #control(type: string, payload: unknown, replyTo?: string, sessionId?: string): void {
    const header: { session_id?: string; reply_to?: string } = {}
    if (sessionId !== undefined) header.session_id = sessionId
    if (replyTo !== undefined) header.reply_to = replyTo
    this.#writeControl({ type, header, payload })
  }

  #writeControl(message: Control): boolean {
    if (this.#closed) return false
    this.#sentMs = this.#host.clock.steadyMs()
    return this.#frames.control(message)
  }

  #refuse(error: HoldfastError): void {
    this.#host.countRefusal(error.code)
    this.#close(() => closeWith(this.#socket, error))
  }

  /** Sends what is left with the close; a peer that does not answer is cut off. */
  #close(say: () => void): void {
    if (this.#closed) return
    say()
    this.#onClose()
    // Paused, it would not hear the peer's close.
    this.#socket.resume()
    this.#stopCut = this.#host.clock.after(CLOSE_MS, () => this.#socket.terminate())
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopAuthTimer?.()
    this.#watching?.stop()
    this.#pump.close()
    this.#sources.clear()
    for (const release of this.#releases.splice(0)) release()
  }
}

const authNeeded = (): HoldfastError => new HoldfastError('unauthorized', 'The first message must be protocol.auth, with a token.')
