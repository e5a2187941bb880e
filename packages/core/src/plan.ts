import { type Chunk, chunksFromTexts, encodeEvent, type EventDraft, HoldfastError, RECORD_HEADER_BYTES, TURN_BYTES } from '@holdfast/protocol'
import type { Log } from './log.ts'
import type { Append, Commit, Doc, IdRow, RowPatch, SessionRecord, SessionRow } from './ports.ts'

/** One commit in the making. Everything is planned in one tick; nothing is visible before it is on disk. */
export interface Transaction {
  /** ms since 1970 on the steady clock: what records of this commit say. */
  readonly now: number
  create(row: SessionRow): void
  /** Encodes and appends; returns the first seq. `as` is the session id that stands in the headers. Throws `too_large`. */
  append(log: Log, drafts: readonly EventDraft[], as?: string): number
  /** Changes the record, and the life that goes with it. */
  patch(log: Log, record: SessionRecord, life?: string): void
  /** Changes the record of something that is not loaded: what is left of a session. */
  patchRow(sessionId: string, record: SessionRecord): void
  drop(log: Log, status: 'deleted' | 'expired', record: SessionRecord): void
  /** Everything up to `floor` goes; `freedBytes` is what that held. */
  trim(log: Log, floor: number, freedBytes: number): void
  id(row: IdRow): void
  doc(doc: Doc): void
  /** The row as it will be once this commit is on disk. */
  rowOf(log: Log): SessionRow
}

/** What a commit makes of one log. */
export interface Change {
  row: SessionRow
  chunks: readonly Chunk[]
  gone: 'deleted' | 'expired' | undefined
}

const NONE: readonly Chunk[] = []

type Drop = NonNullable<Commit['drops']>[number]
type Trim = NonNullable<Commit['trims']>[number]

export interface PlanOptions {
  /** ms since 1970 on the steady clock. */
  readonly now: number
  /** What the events of this commit say, RFC 3339. */
  readonly timestamp: string
  readonly eventBytes: number
}

/** The one place where events get their seq, timestamp and bytes (decisions 1 and 3). Lists are made when something comes into them: most commits are one append. */
export class Plan implements Transaction {
  readonly changes = new Map<Log, Change>()
  readonly now: number
  readonly #timestamp: string
  readonly #eventBytes: number
  #creates: SessionRow[] | undefined
  #appends: Append[] | undefined
  #patches: RowPatch[] | undefined
  #drops: Drop[] | undefined
  #trims: Trim[] | undefined
  #ids: IdRow[] | undefined
  #docs: Doc[] | undefined

  constructor({ now, timestamp, eventBytes }: PlanOptions) {
    this.now = now
    this.#timestamp = timestamp
    this.#eventBytes = eventBytes
  }

  get isEmpty(): boolean {
    return !(this.#appends || this.#ids || this.#patches || this.#creates || this.#drops || this.#trims || this.#docs)
  }

  commit(fence: number): Commit {
    const commit: { -readonly [Part in keyof Commit]: Commit[Part] } = { fence }
    if (this.#creates) commit.creates = this.#creates
    if (this.#appends) commit.appends = this.#appends
    if (this.#patches) commit.patches = this.#patches
    if (this.#drops) commit.drops = this.#drops
    if (this.#trims) commit.trims = this.#trims
    if (this.#ids) commit.ids = this.#ids
    if (this.#docs) commit.docs = this.#docs
    return commit
  }

  create(row: SessionRow): void {
    this.#creates ??= []
    this.#creates.push(row)
  }

  append(log: Log, drafts: readonly EventDraft[], as: string = log.id): number {
    const change = this.#changeOf(log)
    const firstSeq = change.row.head + 1
    let bytes = change.row.bytes
    let head = change.row.head
    const activityAt = Math.max(this.now, change.row.activityAt)
    const chunks = this.#encode(drafts, as, firstSeq)
    // A list of one is made with it: the first push into an empty one makes room for many.
    change.chunks = change.chunks.length === 0 ? chunks : [...change.chunks, ...chunks]
    for (const chunk of chunks) {
      const append = { sessionId: log.id, activityAt, firstSeq: chunk.firstSeq, lastSeq: chunk.lastSeq, body: chunk.body }
      if (this.#appends) this.#appends.push(append)
      else this.#appends = [append]
      bytes += chunk.body.byteLength
      head = chunk.lastSeq
    }
    change.row = grown(change.row, head, bytes, activityAt)
    return firstSeq
  }

  patch(log: Log, record: SessionRecord, life?: string): void {
    const change = this.#changeOf(log)
    const activityAt = Math.max(this.now, change.row.activityAt)
    change.row = { ...change.row, record, ...(life === undefined ? {} : { life }), activityAt }
    this.#patches ??= []
    this.#patches.push({ sessionId: log.id, record, ...(life === undefined ? {} : { life }), activityAt })
  }

  patchRow(sessionId: string, record: SessionRecord): void {
    this.#patches ??= []
    this.#patches.push({ sessionId, record })
  }

  drop(log: Log, status: 'deleted' | 'expired', record: SessionRecord): void {
    this.#changeOf(log).gone = status
    this.#drops ??= []
    this.#drops.push({ sessionId: log.id, status, record, keepLog: false })
  }

  trim(log: Log, floor: number, freedBytes: number): void {
    const change = this.#changeOf(log)
    change.row = { ...change.row, floor, bytes: change.row.bytes - freedBytes }
    this.#trims ??= []
    this.#trims.push({ sessionId: log.id, floor })
  }

  id(row: IdRow): void {
    if (this.#ids) this.#ids.push(row)
    else this.#ids = [row]
  }

  doc(doc: Doc): void {
    this.#docs ??= []
    this.#docs.push(doc)
  }

  rowOf(log: Log): SessionRow {
    return this.#changeOf(log).row
  }

  #changeOf(log: Log): Change {
    let change = this.changes.get(log)
    if (!change) {
      change = { row: log.next, chunks: NONE, gone: undefined }
      this.changes.set(log, change)
    }
    return change
  }

  #encode(drafts: readonly EventDraft[], as: string, firstSeq: number): Chunk[] {
    const texts = drafts.map((draft, index) => encodeEvent(draft, as, firstSeq + index, this.#timestamp))
    return chunksFromTexts(texts, firstSeq, TURN_BYTES, (bytes, index) => this.#checkSize(bytes - RECORD_HEADER_BYTES, index))
  }

  #checkSize(bytes: number, index: number): void {
    const max = this.#eventBytes
    if (bytes <= max) return
    throw new HoldfastError('too_large', `An event is at most ${max} bytes, this one has ${bytes}; put large content into a blob.`, {
      limit: 'event_bytes',
      max,
      bytes,
      index,
    })
  }
}

/** Every field by name: a spread of so many makes a slow object, and there is one for each append. */
const grown = (row: SessionRow, head: number, bytes: number, activityAt: number): SessionRow => ({
  id: row.id,
  kind: row.kind,
  owner: row.owner,
  status: row.status,
  life: row.life,
  createdAt: row.createdAt,
  activityAt,
  head,
  floor: row.floor,
  bytes,
  record: row.record,
})
