import type { StreamId } from './frames.ts'
import type { HolderExit } from './holder-record.ts'
import type { HolderListener } from './link.ts'
import { endOf, findSegments, readSegments } from './spool-files.ts'

const PIECE_BYTES = 64 * 1024

/** What is in flight to a reader unacked, at most, per stream. */
export const WINDOW_BYTES = 1 << 20

/** A dead holder's output, read from its folder. */
export interface Tail {
  /** Goes on, where acks made room. */
  pump(): void
  stop(): void
}

export interface TailOptions {
  readonly folder: string
  /** Undefined where the holder was killed: the output ends where the files do, and the listener is told `gone`. */
  readonly exit: HolderExit | undefined
  /** What was received of each stream; it is carried on from there. */
  readonly from: [number, number]
  /** What was acked of each; the owner keeps it up to date. */
  readonly acked: readonly [number, number]
  readonly windowBytes: number
  readonly listener: HolderListener
}

/** Gives what is missing, at most a window of it unacked, a piece for each turn of the loop, and then the exit. */
export function createTail({ folder, exit, from, acked, windowBytes, listener }: TailOptions): Tail {
  const segments = ([0, 1] as const).map(stream => findSegments(folder, stream))
  const ends = exit ? [exit.endOffset, exit.stderrEndOffset] : segments.map(list => endOf(list))
  let scheduled = false
  let stopped = false

  /** The next piece of a stream; undefined where a window of it is unacked. Throws where the folder lacks it. */
  const next = (stream: StreamId): { readonly at: number; readonly bytes: Uint8Array } | undefined => {
    const list = segments[stream] ?? []
    // What was acked before this reader came may be gone.
    const start = list[0]?.start ?? 0
    const at = Math.max(from[stream], start)
    const room = Math.min(PIECE_BYTES, Math.max(acked[stream], start) + windowBytes - at)
    if (room <= 0) return undefined
    const bytes = readSegments(list, at, room)
    if (bytes.length === 0) throw new RangeError('the spool ends before the exit')
    return { at, bytes }
  }

  const step = (): void => {
    scheduled = false
    const open = ([0, 1] as const).filter(stream => from[stream] < (ends[stream] ?? 0))
    for (const stream of open) {
      if (stopped) return
      let piece: ReturnType<typeof next>
      try {
        piece = next(stream)
      } catch {
        stopped = true
        return listener.onLost('damaged')
      }
      if (!piece) continue
      from[stream] = piece.at + piece.bytes.length
      pump()
      listener.onOutput(piece.at, piece.bytes, stream)
    }
    if (open.length > 0 || stopped) return
    stopped = true
    if (exit) listener.onExit(exit)
    else listener.onLost('gone')
  }

  const pump = (): void => {
    if (scheduled || stopped) return
    scheduled = true
    setImmediate(step)
  }

  pump()
  return {
    pump,
    stop() {
      stopped = true
    },
  }
}
