import type { StreamId } from '../frames.ts'
import type { HolderExit } from '../holder-record.ts'
import type { HolderLink, HolderListener } from '../link.ts'
import type { HolderRemains } from '../remains.ts'

/** What one reader saw, checked to be without holes and doubles while it came. */
export interface Reading {
  bytes(stream?: StreamId): Buffer
  text(stream?: StreamId): string
  end(stream?: StreamId): number
  /** Resolves with the exit, or what happened instead. */
  readonly over: Promise<HolderExit | 'gone' | 'taken' | 'damaged'>
  /** Resolves once the text of stdout has this; rejects where the program ends before. */
  until(words: string | RegExp): Promise<string>
}

export interface ReadingOptions {
  readonly from?: readonly [number, number?]
  /** Called for each piece in place of an ack of it. */
  readonly onPiece?: (end: number, bytes: Uint8Array, stream: StreamId, ack: HolderLink['ack']) => void
}

/** Reads a link, or remains in the same way; acks at once unless told otherwise. */
export function readAll(source: HolderLink | HolderRemains, { from = [0, 0], onPiece }: ReadingOptions = {}): Reading {
  const pieces: [Buffer[], Buffer[]] = [[], []]
  const ends: [number, number] = [from[0], from[1] ?? 0]
  const waits = new Set<() => void>()
  let settle: (result: HolderExit | 'gone' | 'taken' | 'damaged') => void = () => {}
  let ended = false
  const over = new Promise<HolderExit | 'gone' | 'taken' | 'damaged'>(resolve => {
    settle = result => {
      ended = true
      resolve(result)
      for (const wait of waits) wait()
    }
  })
  const bytes = (stream: StreamId = 0): Buffer => Buffer.concat(pieces[stream])
  const listener: HolderListener = {
    onOutput(offset, piece, stream) {
      if (offset !== ends[stream]) throw new Error(`output at ${offset}, expected at ${ends[stream]}`)
      pieces[stream].push(Buffer.from(piece))
      ends[stream] += piece.length
      if (onPiece) onPiece(ends[stream], piece, stream, ack)
      else ack(ends[stream], stream)
      for (const wait of waits) wait()
    },
    onExit: exit => settle(exit),
    onLost: reason => settle(reason),
  }
  let ack: HolderLink['ack']
  if ('follow' in source) ack = source.follow(from, listener).ack
  else {
    ack = source.ack
    source.read(from, listener)
  }
  return {
    bytes,
    text: stream => bytes(stream).toString('utf8'),
    end: (stream = 0) => ends[stream],
    over,
    until: words =>
      new Promise((resolve, reject) => {
        const wait = (): void => {
          const text = bytes().toString('utf8')
          const found = typeof words === 'string' ? text.includes(words) : words.test(text)
          if (found) resolve(text)
          else if (ended) reject(new Error(`the program ended before it said ${String(words)}: ${text.slice(-200)}`))
          else return
          waits.delete(wait)
        }
        waits.add(wait)
        wait()
      }),
  }
}
