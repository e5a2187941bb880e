import type { Clock, DriverEvent } from '@holdfast/core'
import { eventsFromBytes } from './output-events.ts'
import { characterCut } from './screen/boundary.ts'

/** What is gathered at most before it goes, in ms, and the least time that one event takes: 200 events a second. */
const GATHER_MS = 5
/** The same while a program prints in bulk. */
const BULK_MS = 20
const BULK_BYTES = 64 * 1024
/** The start of a character waits this long for its end. */
const HOLD_MS = 5
/** A store that failed is asked again after this long. */
const RETRY_MS = 500

/** What goes to the store in one commit: everything up to `offset`. */
export interface Batch {
  readonly events: readonly DriverEvent[]
  /** Of each event, the bytes that it holds; undefined where it is no output. */
  readonly bytes: readonly (Uint8Array | undefined)[]
  readonly offset: number
}

export interface GathererOptions {
  readonly clock: Clock
  /** Where the log ends in the holder's output. */
  readonly offset: number
  /** JSON of one event's payload, at most. */
  readonly maxEventBytes: number
  /** Resolves with the first event's seq. Rejects with nothing of it stored. */
  readonly store: (batch: Batch) => Promise<number>
  /** The next batch waits for it. */
  readonly onStored: (batch: Batch, firstSeq: number) => Promise<void>
  /** True where it is to be tried again. */
  readonly onFailure: (error: unknown) => boolean
}

/** Makes events of a program's output: at once after a silence, gathered while more comes, never more than one commit under way (decision 4). */
export interface Gatherer {
  push(offset: number, bytes: Uint8Array): void
  /** An event that belongs to a place in the output; resolves with its seq. */
  mark(offset: number, event: DriverEvent): Promise<number>
  /** Stores all that there is; resolves true when it is stored, false where it was stopped. */
  finish(): Promise<boolean>
  /** Drops what is not on its way to the store; resolves when nothing is. */
  stop(): Promise<void>
}

interface Mark {
  readonly offset: number
  readonly event: DriverEvent
  readonly resolve: (seq: number) => void
  readonly reject: (error: unknown) => void
}

export function createGatherer({ clock, offset, maxEventBytes, store, onStored, onFailure }: GathererOptions): Gatherer {
  let buffered: Uint8Array[] = []
  let start = offset
  let end = offset
  let marks: Mark[] = []
  let running: Promise<void> | undefined
  let stopTimer: (() => void) | undefined
  let notBefore = 0
  let isForced = false
  let isEnding = false
  let isStopped = false
  let wake: () => void = () => undefined

  const take = (): { batch: Batch; marks: Mark[] } | undefined => {
    const all = buffered.length === 1 && buffered[0] ? buffered[0] : Buffer.concat(buffered)
    const whole = isForced || isEnding ? all.length : characterCut(all)
    isForced = false
    const due = isEnding ? marks : marks.filter(mark => mark.offset <= start + whole)
    if (whole === 0 && due.length === 0) return undefined
    marks = marks.filter(mark => !due.includes(mark))
    const events: DriverEvent[] = []
    const bytes: (Uint8Array | undefined)[] = []
    const add = (from: number, to: number): void => {
      let at = from
      for (const event of eventsFromBytes(all.subarray(from, to), maxEventBytes)) {
        const { text, base64 } = event.payload as { text?: string; base64?: string }
        const length = text === undefined ? Buffer.byteLength(base64 ?? '', 'base64') : Buffer.byteLength(text)
        events.push(event)
        bytes.push(all.subarray(at, at + length))
        at += length
      }
    }
    let at = 0
    for (const mark of due) {
      const place = Math.min(whole, Math.max(at, mark.offset - start))
      add(at, place)
      at = place
      events.push(mark.event)
      bytes.push(undefined)
    }
    add(at, whole)
    buffered = whole < all.length ? [all.subarray(whole)] : []
    start += whole
    return { batch: { events, bytes, offset: start }, marks: due }
  }

  const pause = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const stop = clock.after(ms, resolve)
      wake = () => {
        stop()
        resolve()
      }
    })

  /** Tried until it is stored; undefined where it never will be. */
  const keep = async (batch: Batch): Promise<number | undefined> => {
    for (;;) {
      try {
        return await store(batch)
      } catch (error) {
        if (!onFailure(error)) isStopped = true
        if (isStopped) return undefined
        await pause(RETRY_MS)
        if (isStopped) return undefined
      }
    }
  }

  const flush = async (): Promise<void> => {
    const taken = take()
    if (!taken) return
    const { batch } = taken
    const size = batch.bytes.reduce((sum, piece) => sum + (piece?.length ?? 0), 0)
    notBefore = clock.steadyMs() + Math.max(size >= BULK_BYTES ? BULK_MS : GATHER_MS, batch.events.length * GATHER_MS)
    const firstSeq = await keep(batch)
    if (firstSeq === undefined) {
      for (const mark of [...taken.marks, ...marks.splice(0)]) mark.reject(new Error('The terminal was let go.'))
      return
    }
    batch.events.forEach((event, index) => {
      taken.marks.find(mark => mark.event === event)?.resolve(firstSeq + index)
    })
    await onStored(batch, firstSeq)
  }

  const isDue = (): boolean => end > start || marks.some(mark => mark.offset <= end) || (isEnding && marks.length > 0)

  const go = (): void => {
    if (running || isStopped || !isDue()) return
    stopTimer?.()
    stopTimer = undefined
    const waitMs = isEnding ? 0 : notBefore - clock.steadyMs()
    const held = buffered.reduce((sum, piece) => sum + piece.length, 0)
    // Only the start of a character is there: its end, or the end of patience.
    if (!isForced && !isEnding && held > 0 && held <= 3 && characterCut(Buffer.concat(buffered)) === 0 && !marks.some(mark => mark.offset <= start)) {
      stopTimer = clock.after(Math.max(HOLD_MS, waitMs), () => {
        isForced = true
        go()
      })
      return
    }
    if (waitMs > 0) {
      stopTimer = clock.after(waitMs, go)
      return
    }
    running = flush().then(() => {
      running = undefined
      go()
    })
  }

  return {
    push(at, bytes) {
      if (isStopped || bytes.length === 0) return
      // Something is missing where the log is older than what was acked: the caller has said so.
      if (at > end) {
        if (end === start) start = at
        end = at
      }
      buffered.push(bytes)
      end += bytes.length
      go()
    },
    mark(at, event) {
      if (isStopped) return Promise.reject(new Error('The terminal was let go.'))
      return new Promise((resolve, reject) => {
        marks.push({ offset: at, event, resolve, reject })
        go()
      })
    },
    async finish() {
      isEnding = true
      stopTimer?.()
      stopTimer = undefined
      for (;;) {
        await running
        if (isStopped) return false
        if (!isDue()) return true
        go()
      }
    },
    async stop() {
      isStopped = true
      stopTimer?.()
      wake()
      await running
      for (const mark of marks.splice(0)) mark.reject(new Error('The terminal was let go.'))
    },
  }
}
