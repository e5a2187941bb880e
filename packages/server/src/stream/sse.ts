import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { AttachOptions, Delivery } from '@holdfast/core'
import { type Chunk, type Control, encodeControl, errorFrom, FEED_ID, formatCursor, HoldfastError, isId } from '@holdfast/protocol'
import type { Access, Connection, Host } from '../host.ts'
import { headerOf } from '../http/header.ts'
import { sendError } from '../http/send-error.ts'
import { attachOptionsFromQuery, cursorFromQuery, cursorFromText } from '../query.ts'
import { ownSseFrames, sseFrames, withoutChunkSize } from './frames.ts'
import { createPump, type Pump, type Source } from './pump.ts'
import { createStallWatch, type StallWatch } from './stall.ts'

/** What a browser waits before it reconnects. */
const RETRY_MS = 1000

/** A reader that does not take the end of its stream is cut off after this long. */
const CLOSE_MS = 2000

const RETRYABLE = new Set(['draining', 'rate_limited', 'storage_failed'])

interface Target {
  readonly sessionId: string
  readonly options: AttachOptions
}

interface StreamSource extends Source {
  readonly sessionId: string
}

/** Answers an event stream: of one session, of the feed, or of several sessions (`/events?attach=`). */
export async function serveStream(
  host: Host,
  access: Access,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  sessionId: string | undefined,
): Promise<void> {
  let release: (() => void) | undefined
  try {
    const query = url.searchParams
    const targets = sessionId === undefined ? targetsFromAttach(query) : [{ sessionId, options: singleOptions(request, query) }]
    if (host.isDraining) throw new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
    release = host.countConnection(access.principal)
    const stream = new EventStream(host, access, request, response, sessionId === undefined, release)
    await stream.start(targets, sessionId !== undefined)
  } catch (thrown) {
    release?.()
    const error = errorFrom(thrown)
    host.countRefusal(error.code)
    if (response.headersSent) response.end()
    else refuseStream(response, error)
  }
}

/** A native EventSource gives up on any status but 200, so what may succeed later is told inside the stream. */
export function refuseStream(response: ServerResponse, error: HoldfastError): void {
  if (!RETRYABLE.has(error.code)) return sendError(response, error)
  response.writeHead(200, HEADERS)
  response.end(`retry: ${RETRY_MS * 3}\n\n${controlRecord({ type: 'protocol.error', header: {}, payload: error.body() })}`)
}

function singleOptions(request: IncomingMessage, query: URLSearchParams): AttachOptions {
  const header = headerOf(request, 'last-event-id')
  const last = cursorFromText(header, true)
  return attachOptionsFromQuery(query, last ?? cursorFromQuery(query, ['cursor', 'after']))
}

/** `<id>@<cursor>,…`; a cursor may be left out. */
function targetsFromAttach(query: URLSearchParams): Target[] {
  const list = query.get('attach')
  if (list === null || list === '') throw new HoldfastError('invalid_request', 'attach=<id>@<cursor>,… is missing.', { field: 'attach' })
  const entries = list.split(',')
  if (entries.length > MAX_TARGETS)
    throw new HoldfastError('invalid_request', `attach names at most ${MAX_TARGETS} sessions.`, { field: 'attach', max: MAX_TARGETS })
  const targets = entries.map(entry => {
    const at = entry.lastIndexOf('@')
    const sessionId = at < 0 ? entry : entry.slice(0, at)
    if (!isId(sessionId) && sessionId !== FEED_ID)
      throw new HoldfastError('invalid_request', `attach: "${entry.slice(0, 64)}" is not <id>@<cursor>.`, { field: 'attach' })
    return { sessionId, options: attachOptionsFromQuery(query, cursorFromText(at < 0 ? undefined : entry.slice(at + 1), true)) }
  })
  if (new Set(targets.map(target => target.sessionId)).size < targets.length)
    throw new HoldfastError('invalid_request', 'attach names a session twice.', { field: 'attach' })
  return targets
}

const MAX_TARGETS = 100

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
}

const controlRecord = (message: Control, id?: string): string => `event: control\n${id === undefined ? '' : `id: ${id}\n`}data: ${encodeControl(message)}\n\n`

class EventStream implements Connection {
  readonly transport = 'sse'
  readonly #host: Host
  readonly #access: Access
  readonly #response: ServerResponse
  readonly #socket: Socket
  readonly #several: boolean
  readonly #pump: Pump<StreamSource>
  readonly #stall: StallWatch
  #releases: (() => void)[]
  #sources = 0
  #sentMs: number
  #closed = false
  #stopCut: (() => void) | undefined

  constructor(host: Host, access: Access, request: IncomingMessage, response: ServerResponse, several: boolean, release: () => void) {
    this.#host = host
    this.#access = access
    this.#response = response
    this.#socket = request.socket
    this.#several = several
    this.#stall = createStallWatch(request.socket, host.times.stallMs)
    this.#releases = [release]
    this.#sentMs = host.clock.steadyMs()
    this.#pump = createPump<StreamSource>({ send: (source, delivery) => this.#send(source, delivery) })
  }

  /** The first refusal of a stream's only session is an answer; among several it is a record. */
  async start(targets: readonly Target[], isSingle: boolean): Promise<void> {
    const attached: StreamSource[] = []
    const errors: Control[] = []
    for (const { sessionId, options } of targets) {
      try {
        const attachment = await this.#host.engine.attach(this.#access.principal, sessionId, options)
        attached.push({ attachment, sessionId: attachment.sessionId })
      } catch (thrown) {
        if (isSingle) throw thrown
        errors.push({ type: 'protocol.error', header: { session_id: sessionId }, payload: errorFrom(thrown).body() })
      }
    }
    const response = this.#response
    if (response.destroyed) {
      for (const source of attached) source.attachment.close()
      return this.#onClose()
    }
    response.writeHead(200, HEADERS)
    response.on('close', () => {
      this.#onClose()
      this.#stopCut?.()
      this.#host.connections.delete(this)
    })
    response.on('error', () => undefined)
    const onDrain = (): void => this.#pump.drained()
    this.#socket.on('drain', onDrain)
    response.on('close', () => this.#socket.off('drain', onDrain))
    this.#host.connections.add(this)
    const { tokenId } = this.#access
    if (tokenId !== null)
      this.#releases.push(this.#host.onRevoked(tokenId, () => this.#finish(new HoldfastError('unauthorized', 'The token was revoked or has expired.'))))
    this.#write(`retry: ${RETRY_MS}\n\n`)
    for (const error of errors) this.#write(controlRecord(error))
    this.#sources = attached.length
    for (const source of attached) this.#pump.add(source)
    if (attached.length === 0) response.end()
  }

  tick(nowMs: number): void {
    if (this.#closed) return
    if (this.#stall.isStalled(nowMs, this.#pump.isFull)) return void this.#response.destroy()
    if (nowMs - this.#sentMs >= this.#host.times.heartbeatMs && !this.#pump.isFull) this.#write(': \n\n')
  }

  goAway(reconnectInMs: number): void {
    if (this.#closed) return
    this.#write(`retry: ${Math.max(1, reconnectInMs)}\n${controlRecord({ type: 'protocol.goaway', header: {}, payload: { reconnect_in_ms: reconnectInMs } })}`)
    this.#end()
  }

  #send(source: StreamSource, delivery: Delivery): boolean {
    if (this.#closed) return false
    const prefix = this.#several ? `${source.sessionId}@${this.#host.engine.epoch}.` : `${this.#host.engine.epoch}.`
    if (delivery.type === 'events') return this.#sendChunk(delivery.chunk, prefix)
    if (delivery.type === 'control')
      return this.#write(controlRecord(delivery.message, delivery.seq === undefined ? undefined : this.#idOf(source, delivery.seq)))
    if (delivery.error.code === 'draining' && this.#host.isDraining) return true
    this.#sources--
    if (this.#sources === 0 || !this.#several) this.#finish(delivery.error, source.sessionId)
    else this.#write(controlRecord({ type: 'protocol.error', header: { session_id: source.sessionId }, payload: delivery.error.body() }))
    return true
  }

  /** Past Node's own coding, which would take three writes for each: one buffer, the same for all readers. */
  #sendChunk(chunk: Chunk, prefix: string): boolean {
    this.#sentMs = this.#host.clock.steadyMs()
    const own = chunk.release ? ownSseFrames(chunk, prefix) : undefined
    const bytes = own ? own.bytes : sseFrames(chunk, prefix)
    // Copied into the frames, which do not look at it again.
    chunk.release?.()
    const isOpen = this.#response.chunkedEncoding ? this.#socket.write(bytes) : this.#socket.write(withoutChunkSize(bytes))
    if (own && this.#socket.writableLength === 0) own.release()
    return isOpen
  }

  #idOf(source: StreamSource, seq: number): string {
    const cursor = formatCursor(this.#host.engine.epoch, seq)
    return this.#several ? `${source.sessionId}@${cursor}` : cursor
  }

  #finish(error: HoldfastError, sessionId?: string): void {
    if (this.#closed) return
    this.#host.countRefusal(error.code)
    this.#write(controlRecord({ type: 'protocol.error', header: sessionId === undefined ? {} : { session_id: sessionId }, payload: error.body() }))
    this.#end()
  }

  /** What was written goes out; a reader that does not take it is cut off. */
  #end(): void {
    this.#response.end()
    this.#onClose()
    this.#stopCut = this.#host.clock.after(CLOSE_MS, () => this.#response.destroy())
  }

  #write(data: string | Buffer): boolean {
    this.#sentMs = this.#host.clock.steadyMs()
    return this.#response.write(data)
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#pump.close()
    for (const release of this.#releases.splice(0)) release()
  }
}
