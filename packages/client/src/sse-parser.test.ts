import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSseParser, type SseRecord } from './sse-parser.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const parse = (...pieces: Uint8Array[]): SseRecord[] => {
  const parser = createSseParser()
  return pieces.flatMap(piece => parser.push(piece))
}

describe('event stream parser', () => {
  test('[CLI-01] reads event, id and data; an unnamed record is a message', () => {
    expect(parse(bytes('id: E.1\ndata: a\n\nevent: control\ndata: b\n\n'))).toEqual([
      { event: 'message', data: 'a', id: 'E.1' },
      { event: 'control', data: 'b', id: 'E.1' },
    ])
  })

  test('[CLI-01] LF, CRLF and CR end lines, also when a CRLF is cut in the middle', () => {
    const expected = [
      { event: 'message', data: 'a', id: '' },
      { event: 'message', data: 'b', id: '' },
    ]
    for (const end of ['\n', '\r\n', '\r']) expect(parse(bytes(`data: a${end}${end}data: b${end}${end}`))).toEqual(expected)
    expect(parse(bytes('data: a\r'), bytes('\n\r'), bytes('\ndata: b\r\n'), bytes('\r\n'))).toEqual(expected)
  })

  test('[CLI-01] a record that ends in a lone CR is given at once, not with the next one', () => {
    expect(parse(bytes('data: a\r\r'))).toHaveLength(1)
  })

  test('[CLI-01] several data lines are one text; only the first space after the colon goes', () => {
    expect(parse(bytes('data:a\ndata:  b\ndata\n\n'))).toEqual([{ event: 'message', data: 'a\n b\n', id: '' }])
  })

  test('[fault 20] comments are no records, and neither is what the stream ends in the middle of', () => {
    expect(parse(bytes(': alive\n\n: alive\n\ndata: cut off'))).toEqual([])
  })

  test('[fault 21] an id without data is no record, and stays the last id', () => {
    expect(parse(bytes('id: E.7\n\ndata: a\n\nid\ndata: b\n\n'))).toEqual([
      { event: 'message', data: 'a', id: 'E.7' },
      { event: 'message', data: 'b', id: '' },
    ])
  })

  test('[CLI-01] an id with NUL and unknown fields are ignored, a BOM is dropped, retry is read', () => {
    const parser = createSseParser()
    expect(parser.push(bytes('\uFEFFid: a\0b\nfoo: 1\nretry: 250\nretry: x\ndata: ä\n\n'))).toEqual([{ event: 'message', data: 'ä', id: '' }])
    expect(parser.retryMs).toBe(250)
  })

  test('[fault 28] the same records come out however the bytes are cut', () => {
    const line = fc.string({ unit: 'binary' }).map(text => text.replace(/[\r\n\0\uFEFF]/g, '').replace(/^ /, ''))
    const record = fc.record({ data: fc.array(line, { minLength: 1, maxLength: 3 }), event: fc.constantFrom('message', 'control'), comment: fc.option(line) })
    fc.assert(
      fc.property(fc.array(record, { maxLength: 6 }), fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(), { maxLength: 40 }), (records, end, cuts) => {
        const text = records
          .map(({ data, event, comment }) =>
            [...(comment === null ? [] : [`:${comment}`]), `event: ${event}`, ...data.map(part => `data: ${part}`), '', ''].join(end),
          )
          .join('')
        const all = bytes(text)
        const places = [...new Set([0, ...cuts.map(cut => cut % (all.byteLength + 1)), all.byteLength])].sort((a, b) => a - b)
        const pieces = places.slice(1).map((place, index) => all.subarray(places[index], place))
        const decoder = new TextDecoder()
        const expected = records.map(({ data, event }) => ({ event, data: data.map(part => decoder.decode(bytes(part))).join('\n'), id: '' }))
        expect(parse(...pieces)).toEqual(expected)
      }),
      { seed: 20, numRuns: 300 },
    )
  })
})
