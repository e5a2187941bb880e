import { type Chunk, eachRecord } from '@holdfast/protocol'

/** The newest events of one log, kept in memory so that reading at the head costs no store. */
export interface Tail {
  /** The part after `after`, up to `lastSeq`, at most `maxBytes` (one event always fits): the same object for all that ask the same; undefined where it is not held. */
  read(after: number, lastSeq: number, maxBytes: number): Chunk | undefined
  /** Adds what was just committed; a chunk that does not follow the last one starts the tail anew. */
  push(chunk: Chunk): void
  /** Bytes held after `after`; undefined when the tail does not reach back that far. */
  bytesAfter(after: number): number | undefined
  clear(): void
}

export interface TailCache {
  createTail(): Tail
  /** Bytes held by all tails. */
  readonly bytes: number
}

/** Events are copied together: thousands of small typed arrays would keep the collector busy. What one turn of a reader takes is one block. */
const BLOCK_BYTES = 64 * 1024
const FIRST_BYTES = 512

/** Views that readers asked for last; those at the head ask for the same one. */
const VIEWS = 4

interface Block {
  readonly firstSeq: number
  lastSeq: number
  /** Only ever written behind `used`: what readers got of it stays as it is. */
  buffer: Uint8Array
  used: number
  /** Where each event's record ends. */
  readonly ends: number[]
  readonly views: Chunk[]
}

/** Tails that together hold at most `totalBytes`, each at most `perLogBytes`; what was pushed to least recently goes first. */
export function createTailCache(perLogBytes: number, totalBytes: number): TailCache {
  const recency = new Set<LogTail>()
  const blockBytes = Math.min(BLOCK_BYTES, perLogBytes)
  let held = 0

  class LogTail implements Tail {
    #blocks: Block[] = []
    #bytes = 0

    read(after: number, lastSeq: number, maxBytes: number): Chunk | undefined {
      const first = this.#blocks[0]
      if (!first || after + 1 < first.firstSeq) return undefined
      const block = this.#blocks.find(candidate => candidate.lastSeq > after)
      if (!block || block.firstSeq > lastSeq) return undefined
      return viewOf(block, Math.max(after + 1, block.firstSeq), lastSeq, maxBytes)
    }

    push(chunk: Chunk): void {
      let block = this.#blocks.at(-1)
      if (block && block.lastSeq !== chunk.firstSeq - 1) {
        this.clear()
        block = undefined
      }
      if (block && block.used + chunk.body.byteLength <= blockBytes) this.#extend(block, chunk)
      else this.#begin(chunk)
      recency.delete(this)
      recency.add(this)
      while (this.#bytes > perLogBytes && this.#blocks.length > 1) this.dropOldest()
      while (held > totalBytes) {
        const oldest = recency.values().next().value
        if (!oldest) break
        oldest.dropOldest()
      }
    }

    bytesAfter(after: number): number | undefined {
      const first = this.#blocks[0]
      if (!first || after + 1 < first.firstSeq) return undefined
      return this.#blocks.reduce((sum, block) => sum + block.used - startOf(block, Math.min(after, block.lastSeq) + 1), 0)
    }

    dropOldest(): void {
      const block = this.#blocks.shift()
      if (block) this.#count(-block.buffer.byteLength)
      if (this.#blocks.length === 0) recency.delete(this)
    }

    clear(): void {
      this.#blocks = []
      this.#count(-this.#bytes)
      recency.delete(this)
    }

    #begin(chunk: Chunk): void {
      const size = chunk.body.byteLength
      // A large chunk has memory of its own and is full by itself.
      const buffer = size * 2 > blockBytes ? chunk.body : new Uint8Array(Math.max(FIRST_BYTES, size))
      if (buffer !== chunk.body) buffer.set(chunk.body)
      const block: Block = { firstSeq: chunk.firstSeq, lastSeq: chunk.lastSeq, buffer, used: size, ends: [], views: [] }
      noteEnds(block, chunk.body, 0)
      this.#blocks.push(block)
      this.#count(buffer.byteLength)
    }

    #extend(block: Block, chunk: Chunk): void {
      const used = block.used + chunk.body.byteLength
      if (used > block.buffer.byteLength) {
        const larger = new Uint8Array(Math.max(used, Math.min(blockBytes, block.buffer.byteLength * 2)))
        larger.set(block.buffer.subarray(0, block.used))
        this.#count(larger.byteLength - block.buffer.byteLength)
        block.buffer = larger
      }
      block.buffer.set(chunk.body, block.used)
      noteEnds(block, chunk.body, block.used)
      block.used = used
      block.lastSeq = chunk.lastSeq
    }

    #count(bytes: number): void {
      this.#bytes += bytes
      held += bytes
    }
  }

  return {
    createTail: () => new LogTail(),
    get bytes() {
      return held
    },
  }
}

function noteEnds(block: Block, body: Uint8Array, at: number): void {
  eachRecord(body, (_start, end) => {
    block.ends.push(at + end)
    return undefined
  })
}

const startOf = (block: Block, seq: number): number => block.ends[seq - block.firstSeq - 1] ?? 0

/** The events from `from` on, as many as fit. */
function viewOf(block: Block, from: number, lastSeq: number, maxBytes: number): Chunk {
  const start = startOf(block, from)
  let low = from
  let high = Math.min(lastSeq, block.lastSeq)
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((block.ends[middle - block.firstSeq] as number) - start <= maxBytes) low = middle
    else high = middle - 1
  }
  const known = block.views.find(view => view.firstSeq === from && view.lastSeq === low)
  if (known) return known
  const view = { firstSeq: from, lastSeq: low, body: block.buffer.subarray(start, block.ends[low - block.firstSeq]) }
  block.views.unshift(view)
  if (block.views.length > VIEWS) block.views.pop()
  return view
}
