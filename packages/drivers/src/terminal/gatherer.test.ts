import { createVirtualClock, settle } from '@holdfast/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, createGatherer } from './gatherer.ts'
import { bytesFromPayload, eventsFromBytes } from './output-events.ts'

function gathering(options: { readonly offset?: number; readonly fail?: () => boolean; readonly maxEventBytes?: number } = {}) {
  const clock = createVirtualClock()
  const batches: Batch[] = []
  const waiting: (() => void)[] = []
  let isSlow = false
  let seq = 1
  const gatherer = createGatherer({
    clock,
    offset: options.offset ?? 0,
    maxEventBytes: options.maxEventBytes ?? 256 * 1024,
    async store(batch) {
      if (isSlow) await new Promise<void>(resolve => waiting.push(resolve))
      if (options.fail?.()) throw new Error('no room')
      batches.push(batch)
      const first = seq
      seq += batch.events.length
      return first
    },
    onStored: () => Promise.resolve(),
    onFailure: () => true,
  })
  return {
    clock,
    batches,
    gatherer,
    slow(on: boolean) {
      isSlow = on
      for (const go of waiting.splice(0)) go()
    },
    bytes: () =>
      Buffer.concat(batches.flatMap(batch => batch.events.flatMap(event => (event.type === 'terminal.output' ? [bytesFromPayload(event.payload)] : [])))),
    types: () => batches.flatMap(batch => batch.events.map(event => event.type)),
  }
}

const text = (words: string): Buffer => Buffer.from(words)

describe('gathering', () => {
  it('[TERM-01] the first bytes after a silence go at once, what follows waits 5 ms at most and goes as one', async () => {
    const { clock, gatherer, batches, bytes } = gathering()
    gatherer.push(0, text('a'))
    await settle()
    expect(batches).toHaveLength(1)
    gatherer.push(1, text('b'))
    gatherer.push(2, text('c'))
    await settle()
    expect(batches).toHaveLength(1)
    clock.advance(5)
    await settle()
    expect(batches.map(batch => batch.offset)).toEqual([1, 3])
    expect(bytes().toString()).toBe('abc')
    clock.advance(100)
    gatherer.push(3, text('d'))
    await settle()
    expect(batches).toHaveLength(3)
  })

  it('[TERM-08] [fault 28] the start of a character waits 5 ms for its end, and goes without it then', async () => {
    const { clock, gatherer, batches } = gathering()
    gatherer.push(0, Buffer.from([0x78, 0xe2, 0x82]))
    await settle()
    gatherer.push(3, Buffer.from([0xac]))
    clock.advance(5)
    await settle()
    expect(batches.map(batch => batch.events[0]?.payload)).toEqual([{ text: 'x' }, { text: '€' }])
    clock.advance(100)
    gatherer.push(4, Buffer.from([0xe2, 0x82]))
    await settle()
    clock.advance(4)
    await settle()
    expect(batches).toHaveLength(2)
    clock.advance(1)
    await settle()
    expect(batches[2]?.events[0]?.payload).toEqual({ base64: '4oI=' })
  })

  it('[TERM-14] never more than one commit is under way, and never more than 200 events a second', async () => {
    const { clock, gatherer, batches, slow } = gathering()
    slow(true)
    for (let n = 0; n < 200; n++) gatherer.push(n * 65_536, Buffer.alloc(65_536, 97))
    await settle()
    expect(batches).toHaveLength(0)
    slow(false)
    for (let ms = 0; ms < 1000; ms++) {
      clock.advance(1)
      await settle()
    }
    const events = batches.reduce((sum, batch) => sum + batch.events.length, 0)
    expect(events).toBe(200)
    let at = 200 * 65_536
    const before = batches.length
    for (let ms = 0; ms < 1000; ms++) {
      gatherer.push(at, Buffer.from('x'))
      at++
      clock.advance(1)
      await settle()
    }
    expect(batches.length - before).toBeLessThanOrEqual(201)
  })

  it('[TERM-15] what could not be stored is tried again: nothing is lost, repeated or reordered', async () => {
    let failures = 3
    const { clock, gatherer, bytes, batches } = gathering({ fail: () => failures-- > 0 })
    gatherer.push(0, text('a'))
    await settle()
    gatherer.push(1, text('b'))
    for (let n = 0; n < 5; n++) {
      clock.advance(500)
      await settle()
    }
    expect(bytes().toString()).toBe('ab')
    expect(batches.at(-1)?.offset).toBe(2)
  })

  it('[TERM-13] an event that belongs to a place in the output stands there, also where the output comes later', async () => {
    const { clock, gatherer, batches, types } = gathering({ offset: 10 })
    gatherer.push(10, text('old'))
    const resized = gatherer.mark(15, { type: 'terminal.resized', payload: {} })
    clock.advance(50)
    await settle()
    expect(types()).toEqual(['terminal.output'])
    gatherer.push(13, text('oldnew'))
    clock.advance(50)
    await settle()
    expect(await resized).toBe(3)
    expect(batches.flatMap(batch => batch.events.map(event => (event.payload as { text?: string }).text ?? event.type))).toEqual([
      'old',
      'ol',
      'terminal.resized',
      'dnew',
    ])
    gatherer.push(19, Buffer.from([0xe2]))
    gatherer.mark(20, { type: 'terminal.exited', payload: {} }).catch(() => undefined)
    expect(await gatherer.finish()).toBe(true)
    expect(types().slice(-2)).toEqual(['terminal.output', 'terminal.exited'])
  })

  it('[TERM-04] stopped, it stores nothing more, and says that it did not finish', async () => {
    const { gatherer, slow, bytes } = gathering()
    gatherer.push(0, text('a'))
    await settle()
    slow(true)
    gatherer.push(1, text('b'))
    const mark = gatherer.mark(9, { type: 'terminal.resized', payload: {} })
    const refused = expect(mark).rejects.toThrow('let go')
    await gatherer.stop()
    await refused
    expect(await gatherer.finish()).toBe(false)
    expect(bytes().toString()).toBe('a')
  })
})

describe('output as events', () => {
  it('[TERM-08] any bytes come back byte for byte, in events within the limit', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 5000 }),
          fc.string({ unit: 'binary', maxLength: 3000 }).map(words => new Uint8Array(Buffer.from(words))),
        ),
        fc.integer({ min: 64, max: 2000 }),
        (bytes, max) => {
          const events = eventsFromBytes(bytes, max)
          expect(Buffer.concat(events.map(event => bytesFromPayload(event.payload))).equals(Buffer.from(bytes))).toBe(true)
          for (const { payload } of events) expect(Buffer.byteLength(JSON.stringify(payload))).toBeLessThanOrEqual(max)
        },
      ),
    )
  })

  it('[TERM-08] UTF-8 stays text, whole characters in each event', () => {
    const events = eventsFromBytes(Buffer.from('é€😀'.repeat(20_000)), 256 * 1024)
    expect(events.length).toBeGreaterThan(2)
    expect(events.map(event => (event.payload as { text: string }).text).join('')).toBe('é€😀'.repeat(20_000))
    expect(eventsFromBytes(Buffer.alloc(65_536, 1), 100_000).length, 'control characters take six bytes each').toBeGreaterThan(3)
  })
})
