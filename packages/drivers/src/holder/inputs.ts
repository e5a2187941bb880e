import type { RequestResult } from './frames.ts'
import type { Program } from './program.ts'

/** Ids that are remembered for each client, and clients that are remembered; the ones longest unheard go first. */
const IDS_PER_CLIENT = 1000
const MAX_CLIENTS = 100

/** What may wait for a program that does not read; more is refused as `full`. */
const MAX_WAITING_BYTES = 8 << 20

/** Small enough that Ctrl-C and output get their turn. */
const PIECE_BYTES = 4096

/** What is typed into a program: each id once, in order, in pieces. */
export interface Inputs {
  /** Answers once: `done` when the last byte was written, `duplicate` when this id was written before (or is, now). */
  take(client: string, id: string, bytes: Uint8Array, answer: (result: RequestResult) => void): void
  /** Ends the program's input after what waits. */
  end(answer: (result: RequestResult) => void): void
  /** The program has ended: whatever waits is answered so. */
  close(): void
}

interface Waiting {
  readonly bytes: Uint8Array | 'end'
  readonly answer: (result: RequestResult) => void
}

type Id = { state: 'waiting'; readonly repeats: ((result: RequestResult) => void)[] } | { state: 'written' }

/** Inputs of one program, remembered as long as this process lives. */
export function createInputs(program: Program): Inputs {
  const clients = new Map<string, Map<string, Id>>()
  const waiting: Waiting[] = []
  let waitingBytes = 0
  let writing: Waiting | undefined
  let closed = false

  const idsOf = (client: string): Map<string, Id> => {
    const ids = clients.get(client) ?? new Map<string, Id>()
    clients.delete(client)
    clients.set(client, ids)
    dropOldest(clients, MAX_CLIENTS)
    return ids
  }

  const next = (): void => {
    writing = waiting.shift()
    if (!writing) return
    const { bytes, answer } = writing
    if (bytes === 'end') {
      answer(program.endInput() ? 'done' : 'invalid')
      return next()
    }
    writePieces(bytes, 0, written => {
      if (closed) return
      waitingBytes -= bytes.length
      answer(written ? 'done' : 'ended')
      next()
    })
  }

  const writePieces = (bytes: Uint8Array, at: number, done: (written: boolean) => void): void => {
    const piece = bytes.subarray(at, at + PIECE_BYTES)
    program.write(piece, written => {
      const then = at + piece.length
      if (!written || closed || then >= bytes.length) return done(written)
      // Through the loop, so that output and other frames are looked at between two pieces.
      setImmediate(() => writePieces(bytes, then, done))
    })
  }

  const put = (item: Waiting): void => {
    waiting.push(item)
    if (!writing) next()
  }

  return {
    take(client, id, bytes, answer) {
      const ids = idsOf(client)
      const known = ids.get(id)
      if (known) {
        if (known.state === 'written') return answer('duplicate')
        known.repeats.push(answer)
        return
      }
      if (closed) return answer('ended')
      const interrupts = writing !== undefined && bytes.length === 1 && bytes[0] === 3
      if (!interrupts && waitingBytes > 0 && waitingBytes + bytes.length > MAX_WAITING_BYTES) return answer('full')
      const repeats: ((result: RequestResult) => void)[] = []
      ids.set(id, { state: 'waiting', repeats })
      dropOldest(ids, IDS_PER_CLIENT)
      const settle = (result: RequestResult): void => {
        if (result === 'done') ids.set(id, { state: 'written' })
        else ids.delete(id)
        answer(result)
        for (const repeat of repeats) repeat(result === 'done' ? 'duplicate' : result)
      }
      if (interrupts) return program.interrupt(written => settle(written ? 'done' : 'ended'))
      waitingBytes += bytes.length
      put({ bytes, answer: settle })
    },
    end(answer) {
      if (closed) return answer('ended')
      put({ bytes: 'end', answer })
    },
    close() {
      closed = true
      for (const { answer } of writing ? [writing, ...waiting] : waiting) answer('ended')
      waiting.length = 0
      writing = undefined
    },
  }
}

/** A Map keeps the order of insertion, so its first is its oldest. */
function dropOldest<V>(map: Map<string, V>, keep: number): void {
  for (const key of map.keys()) {
    if (map.size <= keep) return
    map.delete(key)
  }
}
