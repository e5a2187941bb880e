import type { StreamId } from './frames.ts'
import type { Spool } from './spool.ts'

/** The way from a program to its spools: decides when reading stops. */
export interface OutputStore {
  take(stream: StreamId, bytes: Uint8Array): void
  /** The offset after all that was taken. */
  offset(stream: StreamId): number
  /** Looks again whether output may flow, after an ack. */
  check(): void
  /** The program has ended, and little is left of it: the limit holds no more. */
  lift(): void
  /** Resolves once everything that was taken is in a spool. */
  stored(): Promise<void>
}

export interface OutputStoreOptions {
  readonly spools: readonly Spool[]
  /** Unacked bytes of one stream at which output stops. */
  readonly limitBytes: number
  /** Calls back after a while. */
  readonly retry: (callback: () => void) => void
  readonly onStored: (stream: StreamId, bytes: Uint8Array) => void
  /** False: stop reading; true: go on. */
  readonly onFlow: (flows: boolean) => void
}

/** Stores output first and tells of it then. While the disk refuses it, what was read already waits in memory and nothing more is read. */
export function createOutputStore({ spools, limitBytes, retry, onStored, onFlow }: OutputStoreOptions): OutputStore {
  const unstored = spools.map((): Uint8Array[] => [])
  const waiting: (() => void)[] = []
  let flows = true
  let lifted = false
  let retrying = false

  const full = (): boolean => unstored.some(pieces => pieces.length > 0) || (!lifted && spools.some(({ start, end }) => end - start >= limitBytes))

  const check = (): void => {
    const now = !full()
    if (now === flows) return
    flows = now
    onFlow(flows)
  }

  const put = (stream: StreamId, bytes: Uint8Array): Uint8Array => {
    const stored = spools[stream]?.append(bytes) ?? 0
    if (stored > 0) onStored(stream, bytes.subarray(0, stored))
    return bytes.subarray(stored)
  }

  const again = (): void => {
    retrying = false
    unstored.forEach((pieces, index) => {
      for (let piece = pieces[0]; piece; piece = pieces[0]) {
        const rest = put(index as StreamId, piece)
        if (rest.length > 0) {
          pieces[0] = rest
          break
        }
        pieces.shift()
      }
    })
    settle()
  }

  const settle = (): void => {
    check()
    if (unstored.every(pieces => pieces.length === 0)) for (const resolve of waiting.splice(0)) resolve()
    else if (!retrying) {
      retrying = true
      retry(again)
    }
  }

  return {
    take(stream, bytes) {
      const behind = unstored[stream]
      const rest = behind && behind.length > 0 ? bytes : put(stream, bytes)
      if (rest.length > 0) behind?.push(rest)
      settle()
    },
    offset: stream => (spools[stream]?.end ?? 0) + (unstored[stream] ?? []).reduce((sum, piece) => sum + piece.length, 0),
    check,
    lift() {
      lifted = true
      check()
    },
    stored: () =>
      new Promise(resolve => {
        waiting.push(resolve)
        settle()
      }),
  }
}
