import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesFromText, chunksFromEvents, type Chunk } from '../chunk.ts'
import { BATCH, frameFromChunk, frameFromTexts, textsFromFrame } from './binary.ts'

const texts = fc.array(fc.json({ maxDepth: 2 }), { maxLength: 10 })

test('[SEQ-06] a binary frame gives the JSON of its events back byte for byte', () => {
  fc.assert(
    fc.property(texts, list => {
      expect(textsFromFrame(frameFromTexts(list))).toEqual(list)
    }),
  )
})

test('the layout is one byte 0x01, then per event four bytes of length, big endian, and its JSON', () => {
  const text = `{"a":"${'x'.repeat(300)}"}`
  const frame = frameFromTexts(['{}', text])
  expect([...frame.subarray(0, 7)]).toEqual([0x01, 0, 0, 0, 2, 0x7b, 0x7d])
  expect([...frame.subarray(7, 11)]).toEqual([0, 0, 1, (text.length - 256) as number])
  expect(frame.byteLength).toBe(1 + 4 + 2 + 4 + text.length)
})

test('a frame of a chunk is its body with one byte in front', () => {
  const chunk = chunksFromEvents(['{"n":1}', '{"n":2}'].map(bytesFromText), 1, 1000)[0] as Chunk
  const frame = frameFromChunk(chunk)
  expect(frame[0]).toBe(BATCH)
  expect(frame.subarray(1)).toEqual(chunk.body)
  expect(textsFromFrame(frame)).toEqual(['{"n":1}', '{"n":2}'])
})

test('an empty batch is a frame of one byte', () => {
  expect([...frameFromTexts([])]).toEqual([BATCH])
  expect(textsFromFrame(new Uint8Array([BATCH]))).toEqual([])
})

test('other first bytes, cut frames and broken UTF-8 throw rather than give something', () => {
  expect(() => textsFromFrame(new Uint8Array([]))).toThrow(RangeError)
  for (const type of [0, 2, 0x7b, 255]) expect(() => textsFromFrame(new Uint8Array([type, 0, 0, 0, 1, 0x7b]))).toThrow(RangeError)
  const frame = frameFromTexts(['{"a":1}', '{"b":2}'])
  for (let cut = 2; cut < frame.byteLength; cut++) if (cut !== 1 + 4 + 7) expect(() => textsFromFrame(frame.subarray(0, cut))).toThrow(RangeError)
  expect(() => textsFromFrame(new Uint8Array([BATCH, 0, 0, 0, 1, 0xff]))).toThrow(TypeError)
})
