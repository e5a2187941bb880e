import { sliceChunk, type Chunk } from '@holdfast/protocol'

/** The newest chunks of one log, kept in memory so that reading at the head costs no store. */
export interface Tail {
  /** The part after `after`, up to `lastSeq`, at most `maxBytes`; undefined where it is not held. */
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

/** Tails that together hold at most `totalBytes`, each at most `perLogBytes`; what was pushed to least recently goes first. */
export function createTailCache(perLogBytes: number, totalBytes: number): TailCache {
  const recency = new Set<LogTail>()
  let held = 0

  class LogTail implements Tail {
    #chunks: Chunk[] = []
    #bytes = 0

    read(after: number, lastSeq: number, maxBytes: number): Chunk | undefined {
      const chunks = this.#chunks
      const first = chunks[0]
      if (!first || after + 1 < first.firstSeq) return undefined
      let low = 0
      let high = chunks.length - 1
      while (low < high) {
        const middle = (low + high) >> 1
        if ((chunks[middle] as Chunk).lastSeq > after) high = middle
        else low = middle + 1
      }
      return sliceChunk(chunks[low] as Chunk, after, lastSeq, maxBytes)
    }

    push(chunk: Chunk): void {
      if (this.#chunks.at(-1)?.lastSeq !== chunk.firstSeq - 1) this.clear()
      this.#chunks.push(chunk)
      this.#count(chunk.body.byteLength)
      recency.delete(this)
      recency.add(this)
      while (this.#bytes > perLogBytes && this.#chunks.length > 1) this.dropOldest()
      while (held > totalBytes) {
        const oldest = recency.values().next().value
        if (!oldest) break
        oldest.dropOldest()
      }
    }

    bytesAfter(after: number): number | undefined {
      const first = this.#chunks[0]
      if (!first || after + 1 < first.firstSeq) return undefined
      let bytes = 0
      for (let i = this.#chunks.length - 1; i >= 0; i--) {
        const chunk = this.#chunks[i] as Chunk
        if (chunk.lastSeq <= after) break
        bytes += chunk.firstSeq > after ? chunk.body.byteLength : (sliceChunk(chunk, after, chunk.lastSeq, Number.POSITIVE_INFINITY)?.body.byteLength ?? 0)
      }
      return bytes
    }

    dropOldest(): void {
      const chunk = this.#chunks.shift()
      if (chunk) this.#count(-chunk.body.byteLength)
      if (this.#chunks.length === 0) recency.delete(this)
    }

    clear(): void {
      this.#chunks = []
      this.#count(-this.#bytes)
      recency.delete(this)
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
