import {
  AUTO_BYTES,
  type Chunk,
  type Control,
  type Cursor,
  eachRecord,
  type Gap,
  HoldfastError,
  type Mode,
  RECORD_HEADER_BYTES,
  type Resume,
  SNAPSHOT_PART_BYTES,
  sliceChunk,
} from '@holdfast/protocol'
import { planAttach } from './attach-plan.ts'
import type { Attachment, Delivery } from './engine.ts'
import { type Folded, foldLog, isFarBehind, type StateFold } from './folds.ts'
import type { Log, LogReader } from './log.ts'
import type { Store } from './ports.ts'
import { errorFromStore } from './writer.ts'

export interface AttachmentOptions {
  readonly store: Store
  readonly log: Log
  /** As clients know the session: `_feed` for a feed. */
  readonly sessionId: string
  readonly epoch: string
  readonly fold: StateFold | null
  readonly mode: Mode
  readonly cursor: Cursor | undefined
  readonly windowBytes: number | undefined
  readonly onClose?: () => void
  /** The payload of hello, once it is known how this attachment begins. */
  readonly hello: (resume: Resume, head: number, floor: number) => unknown
}

/** Attaches to a log: one loop that reads after a cursor and waits at the head (contract section 3). */
export async function createAttachment(options: AttachmentOptions): Promise<Attachment> {
  const { store, log, mode, cursor, fold } = options
  const farBehind = mode === 'auto' && fold !== null && (await isFarBehind(store, log, cursor?.seq ?? 0))
  return new LogAttachment(options, farBehind)
}

class LogAttachment implements Attachment, LogReader {
  readonly sessionId: string
  readonly #options: AttachmentOptions
  readonly #log: Log
  readonly #queue: Delivery[] = []
  /** Sent and not yet credited, oldest first. */
  readonly #sent: { readonly seq: number; readonly bytes: number }[] = []
  #unacknowledged = 0
  #cursor: number
  /** The head at attach: `caught_up` follows once it has been delivered. */
  readonly #goal: number
  #caughtUp = false
  #snapshotDue: 'head' | undefined
  /** What the snapshot that is due stands for; told with it, since only then it is known how far it goes. */
  #skipped: Gap | undefined
  /** The failure that readers were told of last. */
  #told: Delivery | undefined
  #listener: (() => void) | undefined
  /** A pull gave nothing, so the next wake is worth a call. */
  #waiting = false
  #starved = false
  #closed = false

  constructor(options: AttachmentOptions, farBehind: boolean) {
    const { log, epoch, mode, cursor, fold } = options
    this.#options = options
    this.#log = log
    this.sessionId = options.sessionId
    const { head, floor } = log
    const plan = planAttach({ cursor, mode, epoch, head, floor, hasFold: fold !== null, farBehind })
    this.#goal = head
    this.#cursor = plan.after
    this.#control('protocol.hello', options.hello(plan.resume, head, floor))
    if (plan.snapshot && plan.gap?.reason === 'skipped') this.#skipped = plan.gap
    else if (plan.gap) this.#control('protocol.gap', plan.gap)
    if (plan.snapshot) this.#snapshotDue = 'head'
    log.addReader(this)
  }

  get head(): number {
    return this.#log.head
  }

  get cursor(): number {
    return this.#cursor
  }

  get starved(): boolean {
    return this.#starved
  }

  pull(maxBytes: number): Delivery | undefined | Promise<Delivery | undefined> {
    if (this.#closed) return undefined
    const queued = this.#queue.shift()
    if (queued) return queued
    if (this.#log.gone) return this.#end(this.#log.gone)
    if (this.#snapshotDue) return this.#pullSnapshot(maxBytes)
    if (this.#cursor < this.#log.floor) return this.#skipTo(this.#log.floor, 'trimmed', maxBytes)
    if (!this.#caughtUp && this.#cursor >= this.#goal) {
      this.#caughtUp = true
      return this.#controlDelivery('protocol.caught_up', { seq: this.#cursor }, this.#cursor)
    }
    if (this.#cursor >= this.#log.head) return this.#wait(false)
    if (this.#options.mode === 'auto' && this.#options.fold && this.#log.row.bytes >= AUTO_BYTES && this.#caughtUp) return this.#pullAuto(maxBytes)
    return this.#pullEvents(maxBytes)
  }

  onWake(listener: () => void): void {
    this.#listener = listener
  }

  wake(): void {
    if (!this.#waiting || !this.#listener || !this.#hasWork) return
    this.#waiting = false
    this.#listener()
  }

  get #hasWork(): boolean {
    return this.#queue.length > 0 || this.#log.gone !== undefined || this.#cursor < this.#log.floor || this.#cursor < this.#log.head
  }

  notice(error: HoldfastError): void {
    // A reader that takes nothing while writes go on failing is told once.
    if (this.#told === this.#queue.at(-1)) this.#queue.pop()
    this.#told = this.#control('protocol.error', error.body())
    this.wake()
  }

  credit(seq: number): void {
    if (seq > this.#cursor) throw new HoldfastError('invalid_request', `Credit for ${seq}, but only ${this.#cursor} was sent.`, { sent: this.#cursor })
    while (this.#sent[0] && this.#sent[0].seq <= seq) this.#unacknowledged -= (this.#sent.shift() as { bytes: number }).bytes
    this.wake()
  }

  close(): void {
    if (!this.#closed) this.#options.onClose?.()
    this.#closed = true
    this.#log.removeReader(this)
  }

  #end(error: HoldfastError): Delivery {
    this.close()
    return { type: 'end', error }
  }

  #wait(starved: boolean): undefined {
    this.#starved = starved
    this.#waiting = true
    return undefined
  }

  #pullEvents(maxBytes: number): Delivery | undefined | Promise<Delivery | undefined> {
    const window = this.#options.windowBytes
    const room = window === undefined ? maxBytes : Math.min(maxBytes, window - this.#unacknowledged)
    if (room <= 0) return this.#wait(true)
    const limit = this.#caughtUp ? this.#log.head : Math.min(this.#goal, this.#log.head)
    const chunk = this.#log.tail.read(this.#cursor, limit, room)
    return chunk ? this.#deliver(chunk) : this.#pullStored(limit, room, maxBytes)
  }

  async #pullStored(limit: number, room: number, maxBytes: number): Promise<Delivery | undefined> {
    const cursor = this.#cursor
    let stored: Chunk | undefined
    try {
      stored = await this.#options.store.read(this.#log.id, cursor, room)
    } catch (thrown) {
      if (this.#log.gone) return this.#end(this.#log.gone)
      return this.#end(errorFromStore(thrown))
    }
    if (this.#closed) return undefined
    if (this.#log.gone) return this.#end(this.#log.gone)
    const chunk = stored && sliceChunk(stored, cursor, limit, room)
    if (chunk && chunk.firstSeq === cursor + 1) return this.#deliver(chunk)
    // Retention passed this reader while the store was asked, or the log was dropped; where the store is ahead of what is known here, that is waited for.
    if (this.#log.isSettling) await this.#log.settled()
    if (this.#closed) return undefined
    if (this.#log.floor > cursor || this.#log.gone) return this.pull(maxBytes)
    return this.#end(new HoldfastError('storage_failed', `The log of "${this.sessionId}" has no event ${cursor + 1}.`, { session_id: this.sessionId }))
  }

  #deliver(chunk: Chunk): Delivery | undefined {
    if (this.#options.windowBytes !== undefined) {
      const bytes = chunk.body.byteLength - RECORD_HEADER_BYTES * (chunk.lastSeq - chunk.firstSeq + 1)
      // Only a first event that is larger than the whole window goes out over it.
      if (this.#unacknowledged > 0 && this.#unacknowledged + bytes > this.#options.windowBytes) return this.#wait(true)
      eachRecord(chunk.body, (start, end, index) => {
        this.#sent.push({ seq: chunk.firstSeq + index, bytes: end - start })
        return undefined
      })
      this.#unacknowledged += bytes
      this.#starved = false
    }
    this.#cursor = chunk.lastSeq
    return { type: 'events', chunk }
  }

  async #pullAuto(maxBytes: number): Promise<Delivery | undefined> {
    if (!(await isFarBehind(this.#options.store, this.#log, this.#cursor))) return this.#pullEvents(maxBytes)
    return this.#skipTo(this.#log.head, 'skipped', maxBytes)
  }

  /** Leaves out what the reader has not seen up to `seq`, says so, and goes on from a snapshot or from there. */
  #skipTo(seq: number, reason: Gap['reason'], maxBytes: number): Delivery | undefined | Promise<Delivery | undefined> {
    const gap = { from_seq: this.#cursor + 1, to_seq: seq, reason }
    if (this.#options.fold) this.#snapshotDue = 'head'
    if (reason === 'skipped' && this.#options.fold) {
      this.#skipped = gap
      return this.#pullSnapshot(maxBytes)
    }
    this.#control('protocol.gap', gap)
    // Also before the snapshot: a reader that was told of the gap is there, and may give credit for it.
    this.#cursor = seq
    this.#forgetCredit()
    return this.pull(maxBytes)
  }

  #forgetCredit(): void {
    this.#sent.length = 0
    this.#unacknowledged = 0
  }

  async #pullSnapshot(maxBytes: number): Promise<Delivery | undefined> {
    this.#snapshotDue = undefined
    const skipped = this.#skipped
    this.#skipped = undefined
    const { fold, store } = this.#options
    let folded: Folded
    try {
      folded = await foldLog(store, this.#log, fold as StateFold)
    } catch (thrown) {
      return this.#end(this.#log.gone ?? errorFromStore(thrown))
    }
    if (this.#closed) return undefined
    if (skipped && folded.seq < skipped.from_seq) {
      // A screen inside one long sequence can't be cut further on: nothing is skipped then.
      this.#cursor = skipped.from_seq - 1
      return this.#cursor < this.#log.head ? this.#pullEvents(maxBytes) : this.pull(maxBytes)
    }
    if (skipped) {
      this.#control('protocol.gap', { ...skipped, to_seq: folded.seq })
      this.#forgetCredit()
    }
    const parts = partsFromText(JSON.stringify(folded.state), SNAPSHOT_PART_BYTES)
    parts.forEach((data, index) => {
      const place = index === parts.length - 1 ? folded.seq : undefined
      this.#queue.push(this.#controlDelivery('protocol.snapshot', { seq: folded.seq, part: index + 1, parts: parts.length, data }, place))
    })
    this.#cursor = folded.seq
    return this.#queue.shift()
  }

  #control(type: string, payload: unknown): Delivery {
    const delivery = this.#controlDelivery(type, payload)
    this.#queue.push(delivery)
    return delivery
  }

  #controlDelivery(type: string, payload: unknown, seq?: number): Delivery {
    const message: Control = { type, header: { session_id: this.sessionId }, payload }
    return seq === undefined ? { type: 'control', message } : { type: 'control', message, seq }
  }
}

/** Pieces of a text of at most `maxBytes` of UTF-8, cut between characters; at least one. */
export function partsFromText(text: string, maxBytes: number): string[] {
  const parts: string[] = []
  // A UTF-16 unit is at most 3 bytes of UTF-8.
  const step = Math.max(2, Math.floor(maxBytes / 3))
  for (let start = 0; start < text.length; ) {
    let end = Math.min(text.length, start + step)
    const unit = text.charCodeAt(end - 1)
    if (end < text.length && unit >= 0xd800 && unit < 0xdc00) end--
    parts.push(text.slice(start, end))
    start = end
  }
  return parts.length === 0 ? [''] : parts
}
