import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesFromText, type Chunk, chunksFromEvents, eachRecord, RECORD_HEADER_BYTES, sliceChunk, textsFromChunk } from './chunk.ts'

const texts = fc.array(fc.string({ maxLength: 40, unit: 'grapheme' }), { minLength: 1, maxLength: 12 })
const NO_LIMIT = Number.POSITIVE_INFINITY

function chunkOf(list: readonly string[], firstSeq = 1): Chunk {
  const [chunk, ...rest] = chunksFromEvents(list.map(bytesFromText), firstSeq, NO_LIMIT)
  expect(rest).toEqual([])
  return chunk as Chunk
}

/** Bytes that an event takes in a body. */
const sizeOf = (text: string): number => RECORD_HEADER_BYTES + bytesFromText(text).byteLength

/** What a slice must hold, said the slow way. */
function expected(list: readonly string[], firstSeq: number, after: number, lastSeq: number, maxBytes: number): string[] {
  const taken: string[] = []
  let bytes = 0
  for (const [index, text] of list.entries()) {
    const seq = firstSeq + index
    if (seq <= after || seq > lastSeq) continue
    if (taken.length > 0 && bytes + sizeOf(text) > maxBytes) break
    bytes += sizeOf(text)
    taken.push(text)
  }
  return taken
}

test('[SEQ-06] events come out of chunks as they went in, in order, with dense seqs and within the size', () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 2 ** 50 }), fc.integer({ min: 0, max: 300 }), (list, firstSeq, maxBytes) => {
      const chunks = chunksFromEvents(list.map(bytesFromText), firstSeq, maxBytes)
      expect(chunks.flatMap(textsFromChunk)).toEqual(list)
      let next = firstSeq
      for (const chunk of chunks) {
        expect(chunk.firstSeq).toBe(next)
        expect(textsFromChunk(chunk)).toHaveLength(chunk.lastSeq - chunk.firstSeq + 1)
        if (chunk.firstSeq !== chunk.lastSeq) expect(chunk.body.byteLength).toBeLessThanOrEqual(maxBytes)
        next = chunk.lastSeq + 1
      }
      expect(next).toBe(firstSeq + list.length)
    }),
  )
})

test('no events make no chunks', () => {
  expect(chunksFromEvents([], 1, 100)).toEqual([])
})

test('[SEQ-03] a slice at every position and every size gives exactly the events after the cursor, whole, one at least', () => {
  const list = ['', 'a', 'äöü', '€', 'x'.repeat(20), '{"a":"\u{1f600}"}']
  for (const firstSeq of [1, 7]) {
    const chunk = chunkOf(list, firstSeq)
    for (let after = 0; after <= firstSeq + list.length; after++) {
      for (let lastSeq = 0; lastSeq <= firstSeq + list.length; lastSeq++) {
        for (let maxBytes = 0; maxBytes <= chunk.body.byteLength + 1; maxBytes++) {
          const want = expected(list, firstSeq, after, lastSeq, maxBytes)
          const got = sliceChunk(chunk, after, lastSeq, maxBytes)
          if (want.length === 0) {
            expect(got).toBeUndefined()
            continue
          }
          const from = Math.max(after + 1, firstSeq)
          if (!got || got.firstSeq !== from || got.lastSeq !== from + want.length - 1 || textsFromChunk(got).join('|') !== want.join('|'))
            expect({ after, lastSeq, maxBytes, got }).toEqual({ after, lastSeq, maxBytes, got: want })
        }
      }
    }
  }
})

test('[SEQ-03] slices that follow each other give the whole log, whatever their sizes', () => {
  fc.assert(
    fc.property(texts, fc.infiniteStream(fc.integer({ min: 0, max: 120 })), (list, sizes) => {
      const chunk = chunkOf(list, 5)
      const got: string[] = []
      let after = 4
      while (after < chunk.lastSeq) {
        const slice = sliceChunk(chunk, after, chunk.lastSeq, sizes.next().value as number) as Chunk
        expect(slice.firstSeq).toBe(after + 1)
        got.push(...textsFromChunk(slice))
        after = slice.lastSeq
      }
      expect(got).toEqual(list)
    }),
  )
})

test('a slice copies nothing, and is the same object where it is all', () => {
  const chunk = chunkOf(['a', 'b', 'c'])
  expect(sliceChunk(chunk, 0, 3, NO_LIMIT)).toBe(chunk)
  expect(sliceChunk(chunk, 1, 3, NO_LIMIT)?.body.buffer).toBe(chunk.body.buffer)
})

test('a chunk whose body is a view into a larger buffer is read at its own place', () => {
  const chunk = chunkOf(['first', 'second'])
  const wide = new Uint8Array(chunk.body.byteLength + 20).fill(255)
  wide.set(chunk.body, 9)
  const view: Chunk = { ...chunk, body: wide.subarray(9, 9 + chunk.body.byteLength) }
  expect(textsFromChunk(view)).toEqual(['first', 'second'])
  expect(textsFromChunk(sliceChunk(view, 1, 2, NO_LIMIT) as Chunk)).toEqual(['second'])
})

test('[fault 30] a body torn at any byte is whole up to the last record, or a RangeError', () => {
  fc.assert(
    fc.property(texts, list => {
      const { body } = chunkOf(list)
      const ends = new Set([0])
      eachRecord(body, (_start, end) => {
        ends.add(end)
        return undefined
      })
      for (let cut = 0; cut <= body.byteLength; cut++) {
        const walk = (): void => eachRecord(body.subarray(0, cut), () => undefined)
        if (ends.has(cut)) expect(walk).not.toThrow()
        else expect(walk).toThrow(RangeError)
      }
    }),
    { numRuns: 30 },
  )
})

test('a length with the highest bit set is read as a large one, not a negative one', () => {
  expect(() => eachRecord(new Uint8Array([255, 255, 255, 255, 1]), () => undefined)).toThrow(RangeError)
  expect(() => eachRecord(new Uint8Array([128, 0, 0, 0]), () => undefined)).toThrow(RangeError)
})

test('a walk stops where the visitor says so', () => {
  const seen: number[] = []
  eachRecord(chunkOf(['a', 'b', 'c']).body, (_start, _end, index) => {
    seen.push(index)
    return index === 1 ? false : undefined
  })
  expect(seen).toEqual([0, 1])
})
