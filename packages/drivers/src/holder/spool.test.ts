import { mkdtempSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createOutputStore } from './output-store.ts'
import { createSpool } from './spool.ts'
import { findSegments, readSegments } from './spool-files.ts'
import { generated } from './testing/generator.mjs'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'spool-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

const readAll = (read: (offset: number, maxBytes: number) => Uint8Array, from: number): Buffer => {
  const pieces: Uint8Array[] = []
  for (let at = from, piece = read(at, 777); piece.length > 0; piece = read(at, 777)) {
    pieces.push(piece)
    at += piece.length
  }
  return Buffer.concat(pieces)
}

describe('spool', () => {
  it('keeps absolute offsets over its segments, in the folder as in the holder', () => {
    const path = folder()
    const bytes = generated(5, 10_000)
    const spool = createSpool({ folder: path, stream: 0, segmentBytes: 1000 })
    for (let at = 0, size = 1; at < bytes.length; size = (size * 31) % 1999) at += spool.append(bytes.subarray(at, at + size))
    expect(spool.end).toBe(10_000)
    for (const from of [0, 1, 999, 1000, 1001, 9999, 10_000]) {
      expect(readAll(spool.read, from).equals(bytes.subarray(from))).toBe(true)
      const segments = findSegments(path, 0)
      expect(readAll((offset, max) => readSegments(segments, offset, max), from).equals(bytes.subarray(from))).toBe(true)
    }
  })

  it('drops a segment once all of it was acked, and nothing that was not', () => {
    const path = folder()
    const bytes = generated(6, 5500)
    const spool = createSpool({ folder: path, stream: 0, segmentBytes: 1000 })
    spool.append(bytes)
    const starts = (): number[] => findSegments(path, 0).map(({ start }) => start)
    spool.ack(1999)
    expect([spool.start, starts()]).toEqual([1999, [1000, 2000, 3000, 4000, 5000]])
    spool.ack(4000)
    spool.ack(10)
    expect([spool.start, starts()]).toEqual([4000, [4000, 5000]])
    expect(Buffer.from(spool.read(4000, 10_000)).equals(bytes.subarray(4000, 5000))).toBe(true)
    expect(() => spool.read(3999, 1)).toThrow(RangeError)
    spool.ack(99_999)
    expect([spool.start, spool.end]).toEqual([5500, 5500])
    spool.append(bytes.subarray(0, 700))
    spool.append(bytes.subarray(0, 700))
    expect(starts()).toEqual([5000, 6000])
    spool.remove()
    expect(readdirSync(path)).toEqual([])
  })

  it('counts nothing after a hole', () => {
    const path = folder()
    const spool = createSpool({ folder: path, stream: 1, segmentBytes: 100 })
    spool.append(generated(1, 350))
    rmSync(findSegments(path, 1)[1]?.path ?? '')
    expect(findSegments(path, 1).map(({ start, bytes }) => [start, bytes])).toEqual([[0, 100]])
    expect(findSegments(path, 0)).toEqual([])
  })
})

describe('output on its way to the spool', () => {
  const setUp = (limitBytes: number) => {
    const path = folder()
    const world = { room: Number.POSITIVE_INFINITY, flows: true, told: 0, retries: [] as (() => void)[] }
    const write = (file: number, bytes: Uint8Array): number => {
      if (world.room === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      const count = writeSync(file, bytes.subarray(0, world.room))
      world.room -= count
      return count
    }
    const spool = createSpool({ folder: path, stream: 0, segmentBytes: 1000, write })
    const store = createOutputStore({
      spools: [spool],
      limitBytes,
      retry: callback => void world.retries.push(callback),
      onStored(_stream, bytes) {
        world.told += bytes.length
        expect(readAll(spool.read, 0).subarray(-bytes.length).equals(Buffer.from(bytes))).toBe(true)
      },
      onFlow: flows => {
        world.flows = flows
      },
    })
    return { world, spool, store }
  }

  it('[TERM-14] stops at the limit until acks make room; an exit lifts it', () => {
    const { world, spool, store } = setUp(2000)
    store.take(0, generated(1, 1999))
    expect(world.flows).toBe(true)
    store.take(0, generated(2, 1))
    expect(world.flows).toBe(false)
    spool.ack(1)
    store.check()
    expect(world.flows).toBe(true)
    store.take(0, generated(3, 500))
    expect(world.flows).toBe(false)
    store.lift()
    expect(world.flows).toBe(true)
  })

  it('[TERM-15] a full disk stops it; nothing is told that is not stored, and nothing is lost once there is room', async () => {
    const { world, spool, store } = setUp(1_000_000)
    const bytes = generated(9, 9000)
    store.take(0, bytes.subarray(0, 3000))
    world.room = 1234
    store.take(0, bytes.subarray(3000, 6000))
    expect([world.flows, world.told, spool.end]).toEqual([false, 4234, 4234])
    // What was read already still comes.
    store.take(0, bytes.subarray(6000, 9000))
    expect([world.told, store.offset(0), world.retries.length]).toEqual([4234, 9000, 1])
    const stored = store.stored()
    world.room = 2000
    world.retries.shift()?.()
    expect([world.flows, world.told]).toEqual([false, 6234])
    world.room = Number.POSITIVE_INFINITY
    world.retries.shift()?.()
    await stored
    expect([world.flows, world.told, world.retries.length]).toEqual([true, 9000, 0])
    expect(readAll(spool.read, 0).equals(bytes)).toBe(true)
  })
})
