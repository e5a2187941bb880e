import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseLossless } from './canonical.ts'
import { type Control, encodeControl, encodeEvent } from './envelope.ts'

const AT = '2026-11-21T12:00:00.123Z'

test('[SEQ-06] the bytes of an event are stable: this is what every stored log holds', () => {
  expect(encodeEvent({ type: 'run.message', id: 'm-1', payload: { b: 1, a: 'ä' } }, 's-1', 42, AT)).toBe(
    '{"type":"run.message","header":{"id":"m-1","session_id":"s-1","seq":42,"timestamp":"2026-11-21T12:00:00.123Z","version":1},"payload":{"b":1,"a":"ä"}}',
  )
  expect(encodeEvent({ type: 't', id: 'i', payload: null, clientId: 'c', traceId: 'tr"' }, 's', 1, AT)).toBe(
    '{"type":"t","header":{"id":"i","session_id":"s","seq":1,"timestamp":"2026-11-21T12:00:00.123Z","version":1,"client_id":"c","trace_id":"tr\\""},"payload":null}',
  )
})

test('[SEQ-01] whatever a sender says, the encoded event is one JSON object with these parts, and one line', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.jsonValue(), fc.option(fc.string(), { nil: undefined }), (type, id, payload, clientId) => {
      const text = encodeEvent({ type, id, payload, ...(clientId === undefined ? {} : { clientId }) }, 's', 7, AT)
      expect(text).not.toContain('\n')
      expect(JSON.parse(text)).toEqual({
        type,
        header: { id, session_id: 's', seq: 7, timestamp: AT, version: 1, ...(clientId === undefined ? {} : { client_id: clientId }) },
        payload: JSON.parse(JSON.stringify(payload)),
      })
    }),
  )
})

test('[SEQ-06] a 64-bit integer in a payload is stored as it was sent', () => {
  const payload = parseLossless('{"span":9223372036854775807}')
  expect(encodeEvent({ type: 't', id: 'i', payload }, 's', 1, AT)).toContain('{"span":9223372036854775807}')
})

test('[SEQ-13] a seq in a payload or id is no seq of the event', () => {
  const event = JSON.parse(encodeEvent({ type: 't', id: 'i', payload: { seq: 99, header: { seq: 98 } } }, 's', 3, AT))
  expect(event.header.seq).toBe(3)
})

test('[SEQ-17] a control message has a version and no seq', () => {
  const message: Control = { type: 'protocol.ack', header: { session_id: 's', reply_to: 'r' }, payload: { id: 'r', seq: 4, duplicate: false } }
  const sent = JSON.parse(encodeControl(message))
  expect(sent).toEqual({ type: 'protocol.ack', header: { version: 1, session_id: 's', reply_to: 'r' }, payload: { id: 'r', seq: 4, duplicate: false } })
  expect(sent.header).not.toHaveProperty('seq')
})
