import type { Clock, DriverSession, Folded, Logger } from '@holdfast/core'
import { type Event, textsFromChunk } from '@holdfast/protocol'
import type { Batch } from './gatherer.ts'
import { createPlayer, markedFromFolded, type TerminalState } from './screen-fold.ts'
import type { Screens } from './screen/screens.ts'

/** A snapshot is kept after so much output, and when there was none for a while. */
const KEEP_BYTES = 256 * 1024
/** Each costs some 20 ms of the worker: in bulk not more often than this. */
const KEEP_MS = 500
const IDLE_MS = 1000
const READ_BYTES = 1 << 20

/** The screen of a running terminal, at the head of its log. */
export interface LiveScreen {
  /** What was just stored; resolves when it may go on. */
  write(batch: Batch, firstSeq: number): Promise<void>
  newest(): Promise<Folded | undefined>
  /** Keeps a snapshot now, and lets the screen go. */
  close(): Promise<void>
}

export interface LiveScreenOptions {
  readonly screens: Screens
  readonly session: DriverSession
  readonly clock: Clock
  readonly logger: Logger
  readonly incarnation: number
}

export function createLiveScreen({ screens, session, clock, logger, incarnation }: LiveScreenOptions): LiveScreen {
  const id = session.id
  let unkept = 0
  let keptSeq = 0
  let keptMs = clock.steadyMs()
  let stopIdle: () => void = () => undefined
  let isClosed = false
  /** Everything happens in order; a screen that was lost is built again from the log by what comes next. */
  let last: Promise<unknown> = Promise.resolve()
  let isThere = false

  /** From the newest snapshot and the log up to `head`; what comes after it is live. */
  const build = async (head: number): Promise<void> => {
    const stored = await session.snapshot()
    const base: Folded | undefined = stored && { seq: stored.seq, state: JSON.parse(stored.state) as unknown }
    const state = (base?.state as TerminalState | undefined) ?? { cols: 80, rows: 24, incarnation }
    await screens.open(id, state, base && markedFromFolded(base))
    const player = createPlayer(screens, id, { seq: base?.seq ?? 0, incarnation: state.incarnation })
    keptSeq = base?.seq ?? 0
    for (let after = keptSeq; after < head; ) {
      const chunk = await session.read(after, READ_BYTES)
      if (!chunk) break
      for (const text of textsFromChunk(chunk)) {
        const event = JSON.parse(text) as Event
        if (event.header.seq <= head) await player.play(event)
      }
      after = chunk.lastSeq
    }
    await player.catchUp()
    isThere = true
  }

  const inOrder = <T>(work: () => Promise<T>): Promise<T | undefined> => {
    const done = last.then(async () => {
      try {
        return await work()
      } catch (error) {
        isThere = false
        if (!isClosed) logger.warn('a screen was lost and is built again', { session_id: id, error: error instanceof Error ? error.message : String(error) })
        return undefined
      }
    })
    last = done
    return done
  }

  /** Undefined where it was lost: the next output builds it again. */
  const snapshot = async (): Promise<Folded | undefined> => {
    if (!isThere) return undefined
    const marked = await screens.snapshot(id)
    return marked && { seq: marked.mark, state: { ...marked.state, incarnation } satisfies TerminalState }
  }

  const keep = async (): Promise<void> => {
    const folded = await snapshot()
    if (!folded || folded.seq <= keptSeq) return
    unkept = 0
    keptMs = clock.steadyMs()
    await session.keepSnapshot(folded.seq, JSON.stringify(folded.state))
    keptSeq = folded.seq
  }

  const headAtStart = session.head
  void inOrder(() => build(headAtStart))

  return {
    async write({ events, bytes }, firstSeq) {
      stopIdle()
      await inOrder(async () => {
        if (!isThere) await build(firstSeq - 1)
        for (const [index, event] of events.entries()) {
          const seq = firstSeq + index
          const piece = bytes[index]
          if (piece) await screens.write(id, seq, piece, true)
          else if (event.type === 'terminal.resized') await screens.resize(id, seq, event.payload as { cols: number; rows: number })
          else await screens.write(id, seq, new Uint8Array(), true)
          unkept += piece?.length ?? 0
        }
        if (unkept >= KEEP_BYTES && clock.steadyMs() - keptMs >= KEEP_MS) await keep()
      })
      if (!isClosed) stopIdle = clock.after(IDLE_MS, () => void inOrder(keep))
    },
    newest: () => inOrder(snapshot),
    async close() {
      isClosed = true
      stopIdle()
      await inOrder(keep)
      await inOrder(() => screens.drop(id))
    },
  }
}
