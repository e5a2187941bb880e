import type { Event, Gap, Hello, Mode } from '@holdfast/protocol'
import { formatCursor } from '@holdfast/protocol/wire'
import { eventFromMessage, isEvent, type Message } from './message.ts'

/** What an attachment gives its application, in order, each once. */
export type Delivery =
  | { readonly type: 'hello'; readonly hello: Hello }
  /** Another history: whatever was built from the old one is void. Kept events or a snapshot follow. */
  | { readonly type: 'reset'; readonly epoch: string; readonly seq: number }
  /** Events that will not come. */
  | { readonly type: 'gap'; readonly gap: Gap }
  /** The state up to `seq`; it replaces what was there. */
  | { readonly type: 'snapshot'; readonly seq: number; readonly state: unknown }
  /** `live` is false for what was there before the attachment caught up: no side effects then (fault 23). */
  | { readonly type: 'event'; readonly event: Event; readonly cursor: string; readonly live: boolean; readonly size: number }
  | { readonly type: 'caught_up'; readonly seq: number }

/** One reader's place in a log: immutable, each message gives the next. */
export interface ReaderState {
  /** `requested` until hello; then events must be dense. */
  readonly phase: 'idle' | 'requested' | 'replaying' | 'live'
  readonly epoch: string | undefined
  /** The last seq taken. */
  readonly seq: number
  /** The newest seq that the server is known to have. */
  readonly head: number
  readonly mode: Mode
  /** The attach message whose answers count; older answers are dropped. */
  readonly requestId: string | undefined
  /** Set while hello has promised a snapshot, or its parts arrive. */
  readonly snapshot: { readonly seq: number; readonly parts: readonly string[] } | 'due' | undefined
  /** Where the current attachment began. */
  readonly startSeq: number
  /** Where to attach again: behind `seq` from a gap or reset until the snapshot that may follow it, or an event, is here. */
  readonly safe: Place
}

/** A place in one history; no epoch where the reader was given a plain integer. */
export interface Place {
  readonly epoch: string | undefined
  readonly seq: number
}

export interface ReaderStep {
  readonly reader: ReaderState
  readonly deliveries: readonly Delivery[]
  /** The stream is not what the contract allows: drop the connection and resume. */
  readonly fault?: string
}

export function initialReader(cursor: { readonly epoch?: string; readonly seq: number } | undefined, mode: Mode): ReaderState {
  const seq = cursor?.seq ?? 0
  const safe = { epoch: cursor?.epoch, seq }
  return { phase: 'idle', ...safe, head: 0, mode, requestId: undefined, snapshot: undefined, startSeq: seq, safe }
}

/** The cursor to attach with; undefined when nothing was seen. */
export const cursorOfPlace = ({ epoch, seq }: Place): string | undefined =>
  epoch === undefined ? (seq === 0 ? undefined : String(seq)) : formatCursor(epoch, seq)

/** An attachment is being asked for. */
export const readerRequested = (reader: ReaderState, requestId: string): ReaderState => ({
  ...reader,
  ...reader.safe,
  phase: 'requested',
  requestId,
  snapshot: undefined,
  startSeq: reader.safe.seq,
})

/** The connection is gone. */
export const readerLost = (reader: ReaderState): ReaderState => ({ ...reader, ...reader.safe, phase: 'idle', snapshot: undefined, requestId: undefined })

/** The server claims this head; `true` beside it when that is more than was seen (fault 18). */
export function readerAtHead(reader: ReaderState, head: number): { reader: ReaderState; behind: boolean } {
  return { reader: head > reader.head ? { ...reader, head } : reader, behind: reader.phase === 'live' && head > reader.seq }
}

const still = (reader: ReaderState): ReaderStep => ({ reader, deliveries: [] })
const fault = (reader: ReaderState, what: string): ReaderStep => ({ reader, deliveries: [], fault: what })

/** Takes one message of the session: dense or nothing (SEQ-16). */
export function readerAfter(reader: ReaderState, message: Message): ReaderStep {
  if (message.type === 'protocol.hello') return afterHello(reader, message)
  if (reader.phase === 'idle' || reader.phase === 'requested') return still(reader)
  if (isEvent(message)) return afterEvent(reader, message)
  switch (message.type) {
    case 'protocol.gap':
      return afterGap(reader, message.payload as Gap)
    case 'protocol.snapshot':
      return afterPart(reader, message.payload as { seq: number; part: number; parts: number; data: string })
    case 'protocol.caught_up':
      return afterCaughtUp(reader, (message.payload as { seq: number }).seq)
    default:
      return still(reader)
  }
}

function afterHello(reader: ReaderState, message: Message): ReaderStep {
  const hello = message.payload as Hello
  const answers = message.header.reply_to
  if (reader.phase === 'idle' || (answers !== undefined && answers !== reader.requestId)) return still(reader)
  if (typeof hello?.epoch !== 'string' || !Number.isSafeInteger(hello.head_seq)) return fault(reader, 'hello is incomplete')
  const reset = hello.resume === 'reset'
  if (!reset && reader.mode !== 'live' && reader.epoch !== undefined && reader.epoch !== hello.epoch) return fault(reader, 'another epoch came without a reset')
  const seq = reset ? hello.floor_seq : reader.mode === 'live' ? hello.head_seq : reader.seq
  const next: ReaderState = {
    ...reader,
    phase: 'replaying',
    epoch: hello.epoch,
    seq,
    startSeq: seq,
    head: Math.max(hello.head_seq, seq),
    snapshot: hello.resume === 'snapshot' ? 'due' : undefined,
  }
  const deliveries: Delivery[] = [{ type: 'hello', hello }]
  if (reset) deliveries.push({ type: 'reset', epoch: hello.epoch, seq })
  return { reader: next, deliveries }
}

function afterEvent(reader: ReaderState, message: Message): ReaderStep {
  const seq = message.header.seq as number
  if (reader.snapshot !== undefined) return fault(reader, `event ${seq} came before its snapshot`)
  if (seq <= reader.seq) return still(reader)
  if (seq !== reader.seq + 1) return fault(reader, `event ${seq} came after ${reader.seq}`)
  const cursor = formatCursor(reader.epoch as string, seq)
  const next = { ...reader, seq, head: Math.max(seq, reader.head), safe: { epoch: reader.epoch, seq } }
  return { reader: next, deliveries: [{ type: 'event', event: eventFromMessage(message), cursor, live: reader.phase === 'live', size: message.size }] }
}

function afterGap(reader: ReaderState, gap: Gap): ReaderStep {
  if (!Number.isSafeInteger(gap?.from_seq) || !Number.isSafeInteger(gap.to_seq)) return fault(reader, 'a gap names no range')
  if (gap.to_seq <= reader.seq) return still(reader)
  if (gap.from_seq > reader.seq + 1) return fault(reader, `a gap from ${gap.from_seq} came after ${reader.seq}`)
  const deliveries: Delivery[] = [{ type: 'gap', gap: { ...gap, from_seq: reader.seq + 1 } }]
  return { reader: { ...reader, seq: gap.to_seq, head: Math.max(reader.head, gap.to_seq) }, deliveries }
}

function afterPart(reader: ReaderState, part: { seq: number; part: number; parts: number; data: string }): ReaderStep {
  const parts = typeof reader.snapshot === 'object' ? reader.snapshot.parts : []
  const first = typeof reader.snapshot === 'object' ? reader.snapshot.seq : part.seq
  if (part.part !== parts.length + 1 || part.seq !== first || typeof part.data !== 'string') return fault(reader, 'a snapshot came out of order')
  const joined = [...parts, part.data]
  if (part.part < part.parts) return still({ ...reader, snapshot: { seq: part.seq, parts: joined } })
  let state: unknown
  try {
    state = JSON.parse(joined.join(''))
  } catch {
    return fault(reader, 'a snapshot is not JSON')
  }
  const safe = { epoch: reader.epoch, seq: part.seq }
  const next = { ...reader, snapshot: undefined, seq: part.seq, head: Math.max(reader.head, part.seq), safe }
  return { reader: next, deliveries: [{ type: 'snapshot', seq: part.seq, state }] }
}

function afterCaughtUp(reader: ReaderState, seq: number): ReaderStep {
  if (reader.snapshot !== undefined) return fault(reader, 'caught_up came before its snapshot')
  if (seq > reader.seq && reader.mode !== 'live') return fault(reader, `caught_up at ${seq} came after ${reader.seq}`)
  // From here on a live reader resumes like any other: what happens while it is away is replayed.
  const mode = reader.mode === 'live' ? 'replay' : reader.mode === 'snapshot' ? 'auto' : reader.mode
  const at = Math.max(seq, reader.seq)
  const safe = { epoch: reader.epoch, seq: at }
  return { reader: { ...reader, phase: 'live', mode, seq: at, head: Math.max(reader.head, at), safe }, deliveries: [{ type: 'caught_up', seq: at }] }
}
