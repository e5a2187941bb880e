import { describe, expect, test } from 'vitest'
import type { Message } from './message.ts'
import { cursorOfPlace, type Delivery, initialReader, type ReaderState, readerAfter, readerAtHead, readerLost, readerRequested } from './reader.ts'

const message = (type: string, payload: unknown, header: Message['header'] = {}): Message => ({ type, header, payload, size: 0 })
const hello = (resume: string, head: number, floor = 0, epoch = 'Eone'): Message =>
  message('protocol.hello', { epoch, head_seq: head, floor_seq: floor, resume }, { reply_to: 'r' })
const event = (seq: number): Message => message('run.message', { n: seq }, { seq, id: `e${seq}` })
const caughtUp = (seq: number): Message => message('protocol.caught_up', { seq })
const gap = (from_seq: number, to_seq: number): Message => message('protocol.gap', { from_seq, to_seq, reason: 'trimmed' })
const part = (seq: number, number: number, parts: number, data: string): Message => message('protocol.snapshot', { seq, part: number, parts, data })

function feed(reader: ReaderState, ...messages: Message[]): { reader: ReaderState; told: string[]; fault: string | undefined; deliveries: Delivery[] } {
  let state = reader
  const deliveries: Delivery[] = []
  for (const next of messages) {
    const step = readerAfter(state, next)
    state = step.reader
    deliveries.push(...step.deliveries)
    if (step.fault !== undefined) return { reader: state, told: deliveries.map(tell), fault: step.fault, deliveries }
  }
  return { reader: state, told: deliveries.map(tell), fault: undefined, deliveries }
}
const tell = (delivery: Delivery): string => (delivery.type === 'event' ? `${delivery.event.header.seq}${delivery.live ? '!' : ''}` : delivery.type)
const fresh = (cursor?: { epoch?: string; seq: number }, mode: 'replay' | 'snapshot' | 'live' = 'replay'): ReaderState =>
  readerRequested(initialReader(cursor, mode), 'r')

describe('reader', () => {
  test('[SEQ-16] replay, caught up, live: each event once, its cursor beside it', () => {
    const { told, reader, deliveries } = feed(fresh(), hello('new', 2), event(1), event(2), caughtUp(2), event(3))
    expect(told).toEqual(['hello', '1', '2', 'caught_up', '3!'])
    expect(cursorOfPlace(reader.safe)).toBe('Eone.3')
    expect(deliveries[4]).toMatchObject({ cursor: 'Eone.3' })
  })

  test('[SEQ-16] a repeat is dropped, a hole is a fault', () => {
    expect(feed(fresh(), hello('new', 3), event(1), event(1), event(2), event(1)).told).toEqual(['hello', '1', '2'])
    expect(feed(fresh(), hello('new', 3), event(1), event(3)).fault).toContain('event 3 came after 1')
    expect(feed(fresh(), hello('new', 3), event(1), caughtUp(3)).fault).toContain('caught_up at 3 came after 1')
  })

  test('[SEQ-16] nothing counts before hello, nor the hello of an older attach', () => {
    expect(feed(fresh(), event(5), caughtUp(5)).told).toEqual([])
    const old = message('protocol.hello', { epoch: 'Eone', head_seq: 9, floor_seq: 0, resume: 'ok' }, { reply_to: 'older' })
    expect(feed(fresh(), old, event(9)).told).toEqual([])
  })

  test('[SEQ-14] a gap is told and skipped; a hole beside it is still a fault', () => {
    expect(feed(fresh({ epoch: 'Eone', seq: 2 }), hello('gap', 9, 5), gap(3, 5), event(6)).told).toEqual(['hello', 'gap', '6'])
    expect(feed(fresh({ epoch: 'Eone', seq: 2 }), hello('gap', 9, 5), gap(3, 5), event(7)).fault).toBeDefined()
    expect(feed(fresh({ epoch: 'Eone', seq: 2 }), hello('gap', 9, 5), gap(4, 5)).fault).toBeDefined()
  })

  test('[SEQ-14] a snapshot is joined from its parts and takes the reader to its seq', () => {
    const { told, reader, deliveries } = feed(fresh(undefined, 'snapshot'), hello('snapshot', 9), part(7, 1, 2, '{"a":'), part(7, 2, 2, '1}'), event(8))
    expect(told).toEqual(['hello', 'snapshot', '8'])
    expect(deliveries[1]).toEqual({ type: 'snapshot', seq: 7, state: { a: 1 } })
    expect(reader.seq).toBe(8)
  })

  test('[fault 26] an event before its snapshot, parts out of order or torn are faults', () => {
    const start = fresh(undefined, 'snapshot')
    expect(feed(start, hello('snapshot', 9), event(1)).fault).toBeDefined()
    expect(feed(start, hello('snapshot', 9), part(7, 2, 2, '1}')).fault).toBeDefined()
    expect(feed(start, hello('snapshot', 9), part(7, 1, 2, '{'), part(8, 2, 2, '}')).fault).toBeDefined()
    expect(feed(start, hello('snapshot', 9), part(7, 1, 1, '{')).fault).toBeDefined()
    expect(feed(start, hello('snapshot', 9), caughtUp(9)).fault).toBeDefined()
  })

  test('[fault 26] a connection that breaks between gap and snapshot starts again before the gap', () => {
    const { reader } = feed(fresh({ epoch: 'Eone', seq: 2 }), hello('gap', 9, 5), gap(3, 5))
    expect(cursorOfPlace(readerLost(reader).safe)).toBe('Eone.2')
    expect(cursorOfPlace(readerLost(feed(reader, part(9, 1, 1, '{}')).reader).safe)).toBe('Eone.9')
  })

  test('[SEQ-14] a reset starts after the floor of the new history', () => {
    const { told, reader } = feed(fresh({ epoch: 'Eold', seq: 50 }), hello('reset', 4, 2, 'Enew'), event(3), event(4), caughtUp(4))
    expect(told).toEqual(['hello', 'reset', '3', '4', 'caught_up'])
    expect(cursorOfPlace(reader.safe)).toBe('Enew.4')
  })

  test('[fault 20] another epoch without a reset is a fault, never a silent mix', () => {
    expect(feed(fresh({ epoch: 'Eold', seq: 5 }), hello('ok', 9, 0, 'Enew')).fault).toBeDefined()
    expect(feed(fresh({ seq: 5 }), hello('ok', 9, 0, 'Enew'), event(6)).told).toEqual(['hello', '6'])
  })

  test('[fault 21] caught_up gives a place to a reader that got no event', () => {
    expect(cursorOfPlace(feed(fresh(), hello('new', 0), caughtUp(0)).reader.safe)).toBe('Eone.0')
  })

  test('[SEQ-16] live starts at the head, and replays what it missed from then on', () => {
    const { told, reader } = feed(fresh(undefined, 'live'), hello('new', 40), caughtUp(41), event(42))
    expect(told).toEqual(['hello', 'caught_up', '42!'])
    expect(readerLost(reader)).toMatchObject({ mode: 'replay', seq: 42 })
  })

  test('[fault 18] a head beyond what was seen is noticed by a reader that is live', () => {
    const { reader } = feed(fresh(), hello('new', 1), event(1), caughtUp(1))
    expect(readerAtHead(reader, 1).behind).toBe(false)
    expect(readerAtHead(reader, 2)).toMatchObject({ behind: true, reader: { head: 2 } })
    expect(readerAtHead(readerLost(reader), 2).behind).toBe(false)
  })

  test('[SEQ-16] unknown control messages change nothing', () => {
    const { reader } = feed(fresh(), hello('new', 0))
    expect(readerAfter(reader, message('protocol.later', {}))).toEqual({ reader, deliveries: [] })
  })
})
