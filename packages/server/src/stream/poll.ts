import type { Attachment, AttachOptions, Delivery } from '@holdfast/core'
import { type Chunk, type Control, type ErrorBody, formatCursor, type Gap, HoldfastError, PAGE, type Resume, sliceChunk, TURN_BYTES } from '@holdfast/protocol'
import type { Access, Connection, Host } from '../host.ts'
import { createPageBody, type PageBody } from './page-body.ts'

export interface PollRequest {
  readonly sessionId: string
  readonly options: AttachOptions
  readonly limit: number
  readonly waitMs: number
  /** The client went away. */
  readonly signal: AbortSignal
}

export interface PageAnswer {
  readonly bytes: Uint8Array
  /** The page was sent. */
  readonly release: () => void
}

interface Page {
  readonly body: PageBody
  /** The newest event on it; 0 for none. */
  lastSeq: number
  events: number
  bytes: number
  resume: Resume
  epoch: string
  floor: number
  gap: Gap | undefined
  snapshot: { seq: number; state: unknown } | undefined
}

/** One page of a log, read through an ordinary attachment; holds the answer up to `waitMs` until there is something. */
export async function pollPage(host: Host, access: Access, request: PollRequest): Promise<PageAnswer> {
  if (host.isDraining) throw new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
  const attachment = await host.engine.attach(access.principal, request.sessionId, asked(request.options))
  const page: Page = {
    body: createPageBody(),
    lastSeq: 0,
    events: 0,
    bytes: 0,
    resume: 'new',
    epoch: host.engine.epoch,
    floor: 0,
    gap: undefined,
    snapshot: undefined,
  }
  let release: (() => void) | undefined
  try {
    await fill(attachment, page, request.limit)
    if (request.waitMs > 0 && page.events === 0 && (page.resume === 'new' || page.resume === 'ok')) {
      release = host.countConnection(access.principal)
      const deadlineMs = host.clock.steadyMs() + request.waitMs
      const wakes = wakesOf(attachment)
      // Something may have come between the first look and the listener; and a wake is a hint: there may be nothing after all.
      for (;;) {
        await fill(attachment, page, request.limit)
        if (page.events > 0 || request.signal.aborted || host.isDraining || host.clock.steadyMs() >= deadlineMs) break
        await wait(host, access, wakes, request.signal, deadlineMs)
      }
    }
    return answerFromPage(page, attachment)
  } catch (thrown) {
    page.body.release()
    throw thrown
  } finally {
    release?.()
    attachment.close()
  }
}

/** A poll without a client id is nobody that could type later. */
const asked = (options: AttachOptions): AttachOptions => (options.clientId === undefined ? { ...options, isSpectator: true } : options)

/** Takes what there is now, up to the page's limits. */
async function fill(attachment: Attachment, page: Page, limit: number): Promise<void> {
  const parts: string[] = []
  while (page.events < limit && page.bytes < PAGE.maxBytes) {
    const delivery: Delivery | undefined = await attachment.pull(Math.min(FILL_BYTES, PAGE.maxBytes - page.bytes))
    if (!delivery) return
    if (delivery.type === 'end') {
      if (delivery.error.code === 'draining') return
      throw delivery.error
    }
    if (delivery.type === 'control') take(delivery.message, page, parts)
    else if (!add(delivery.chunk, page, limit)) return
  }
}

const FILL_BYTES = TURN_BYTES

function add(chunk: Chunk, page: Page, limit: number): boolean {
  // One event always fits a page; a further one that would not is left for the next.
  if (page.events > 0 && page.bytes + chunk.body.byteLength > PAGE.maxBytes) return false
  const part = sliceChunk(chunk, chunk.firstSeq - 1, chunk.firstSeq + limit - page.events - 1, Number.POSITIVE_INFINITY)
  if (!part) return false
  page.body.add(part)
  page.lastSeq = part.lastSeq
  page.events += part.lastSeq - part.firstSeq + 1
  page.bytes += part.body.byteLength
  chunk.release?.()
  return true
}

function take(message: Control, page: Page, parts: string[]): void {
  if (message.type === 'protocol.hello') {
    const hello = message.payload as { resume: Resume; floor_seq: number }
    page.resume = hello.resume
    page.floor = hello.floor_seq
  } else if (message.type === 'protocol.error') {
    // A write failed while this reader waited: told at once (fault 4), unless there is something to give.
    const { code, message: text, details } = message.payload as ErrorBody
    if (page.events === 0) throw new HoldfastError(code, text, details)
  } else if (message.type === 'protocol.gap') page.gap ??= message.payload as Gap
  else if (message.type === 'protocol.snapshot') {
    const part = message.payload as { seq: number; part: number; parts: number; data: string }
    parts.push(part.data)
    if (part.part === part.parts) page.snapshot = { seq: part.seq, state: JSON.parse(parts.join('')) }
  }
}

interface Wakes {
  /** Resolves at the next wake; at once where one came since the last call. */
  next(listener: () => void): void
}

/** Keeps a wake that comes while nobody listens: the attachment tells each but once. */
function wakesOf(attachment: Attachment): Wakes {
  let woken = false
  let listener: (() => void) | undefined
  attachment.onWake(() => {
    woken = true
    listener?.()
  })
  return {
    next(added) {
      listener = added
      if (woken) added()
      woken = false
    },
  }
}

/** Until there may be something to read, the time is over, the client is gone, the server drains, or the token is revoked (then it throws). */
function wait(host: Host, access: Access, wakes: Wakes, signal: AbortSignal, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: HoldfastError): void => {
      stopTimer()
      stopRevoked?.()
      signal.removeEventListener('abort', onAbort)
      host.connections.delete(connection)
      if (error) reject(error)
      else resolve()
    }
    const onAbort = (): void => done()
    const stopTimer = host.clock.after(Math.max(1, deadlineMs - host.clock.steadyMs()), () => done())
    const stopRevoked =
      access.tokenId === null
        ? undefined
        : host.onRevoked(access.tokenId, () => done(new HoldfastError('unauthorized', 'The token was revoked or has expired.')))
    const connection: Connection = { transport: 'poll', tick: () => undefined, goAway: () => done() }
    host.connections.add(connection)
    signal.addEventListener('abort', onAbort)
    wakes.next(() => done())
    if (signal.aborted || host.isDraining) done()
  })
}

function answerFromPage(page: Page, attachment: Attachment): PageAnswer {
  const after = page.lastSeq > 0 ? page.lastSeq : attachment.cursor
  const rest = {
    epoch: page.epoch,
    head_seq: attachment.head,
    floor_seq: page.floor,
    next_after: after,
    next_cursor: formatCursor(page.epoch, after),
    has_more: after < attachment.head,
    resume: page.resume,
    ...(page.gap ? { gap: page.gap } : {}),
    ...(page.snapshot ? { snapshot: page.snapshot } : {}),
  }
  return { bytes: page.body.finish(rest), release: page.body.release }
}

/** The page before `before`, ascending, for scrolling back: the newest that fit, at most `limit` and 4 MiB. */
export async function pageBefore(host: Host, access: Access, sessionId: string, before: number, limit: number, owner: string | undefined): Promise<PageAnswer> {
  const own = owner === undefined ? {} : { owner }
  const probe = await host.engine.attach(access.principal, sessionId, { ...own, mode: 'live', isSpectator: true })
  const head = probe.head
  const floor = await floorOf(probe)
  probe.close()
  const last = Math.min(before - 1, head)
  // Never from below the floor, where a kind with snapshots would give one.
  let reached = Math.max(floor, last - limit)
  const reader = await host.engine.attach(access.principal, sessionId, { ...own, cursor: { seq: reached }, isSpectator: true })
  const chunks: Chunk[] = []
  let bytes = 0
  try {
    while (reached < last) {
      const delivery = await reader.pull(FILL_BYTES)
      if (!delivery) break
      if (delivery.type === 'end') throw delivery.error
      if (delivery.type === 'control') continue
      const part = sliceChunk(delivery.chunk, reached, last, Number.POSITIVE_INFINITY)
      if (!part) break
      chunks.push(part)
      bytes += part.body.byteLength
      reached = part.lastSeq
      while (chunks.length > 1 && bytes > PAGE.maxBytes) bytes -= (chunks.shift() as Chunk).body.byteLength
    }
  } finally {
    reader.close()
  }
  const from = chunks[0]?.firstSeq
  const page = createPageBody()
  for (const chunk of chunks) page.add(chunk)
  const answer = page.finish({
    epoch: host.engine.epoch,
    head_seq: head,
    floor_seq: floor,
    has_more: from !== undefined && from > floor + 1,
    prev_before: from ?? Math.min(before, floor + 1),
  })
  return { bytes: answer, release: page.release }
}

/** The floor that an attachment's hello tells. */
async function floorOf(attachment: Attachment): Promise<number> {
  const hello = await attachment.pull(FILL_BYTES)
  return hello?.type === 'control' ? (hello.message.payload as { floor_seq: number }).floor_seq : 0
}
