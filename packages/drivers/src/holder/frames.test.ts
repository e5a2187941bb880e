import { describe, expect, it } from 'vitest'
import { createFrameReader } from './frame-reader.ts'
import { bytesFromClientFrame, bytesFromHolderFrame, type ClientFrame, clientFrameFrom, type HolderFrame, holderFrameFrom, KILL_FRAME } from './frames.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The bytes are frozen: a running holder is older than the server that speaks to it. */
const CLIENT: readonly [ClientFrame, string][] = [
  [{ type: 'read-from', stream: 1, offset: 2 ** 40 + 1, windowBytes: 65536 }, '0e00000001010100000000010000' + '00000100'],
  [{ type: 'ack', stream: 0, offset: 258 }, '0a00000002000201000000000000'],
  [{ type: 'input', request: 7, client: 'tab', id: 'i1', bytes: Buffer.from('\x03é') }, '0f00000003' + '07000000' + '03746162' + '026931' + '03c3a9'],
  [{ type: 'input-end', request: 8 }, '050000000408000000'],
  [{ type: 'resize', request: 9, cols: 80, rows: 300 }, '09000000050900000050002c01'],
  [{ type: 'signal', request: 1, name: 'SIGINT' }, '0b0000000601000000534947494e54'],
  [{ type: 'ping', request: 0xffffffff }, '0500000007ffffffff'],
  [{ type: 'kill' }, '010000004b'],
]
const HOLDER: readonly [HolderFrame, string][] = [
  [{ type: 'hello', hello: { protocol: 1 } }, '0f000000817b2270726f746f636f6c223a317d'],
  [{ type: 'output', stream: 0, offset: 5, bytes: Buffer.from('abc') }, '0d00000082000500000000000000'],
  [{ type: 'exit', exit: {} }, '03000000837b7d'],
  [{ type: 'done', request: 3, result: 'full' }, '06000000840300000003'],
  [{ type: 'resized', request: 3, offset: 4096 }, '0d00000085030000000010000000000000'],
  [{ type: 'closing', reason: 'taken' }, '060000008674616b656e'],
]

describe('frames', () => {
  it('have the bytes that version 1 fixed', () => {
    for (const [frame, bytes] of CLIENT) expect([frame.type, hex(bytesFromClientFrame(frame))]).toEqual([frame.type, bytes])
    for (const [frame, bytes] of HOLDER) expect([frame.type, hex(bytesFromHolderFrame(frame))]).toEqual([frame.type, bytes])
    expect(hex(KILL_FRAME)).toBe('010000004b')
  })

  it('are read back, whatever pieces they come in', () => {
    const client = Buffer.concat(CLIENT.map(([frame]) => bytesFromClientFrame(frame)))
    for (let size = 1; size < client.length; size++) {
      const bodiesFrom = createFrameReader()
      const frames: unknown[] = []
      for (let at = 0; at < client.length; at += size) frames.push(...bodiesFrom(client.subarray(at, at + size)).map(clientFrameFrom))
      expect(frames).toEqual(CLIENT.map(([frame]) => frame))
    }
    const holder = Buffer.concat(HOLDER.flatMap(([frame]) => [bytesFromHolderFrame(frame), frame.type === 'output' ? frame.bytes : Buffer.alloc(0)]))
    expect(createFrameReader()(holder).map(holderFrameFrom)).toEqual(HOLDER.map(([frame]) => frame))
  })

  it('of a later version are passed over; the kill frame may have grown', () => {
    expect(clientFrameFrom(Buffer.of(0x30, 1, 2))).toBeUndefined()
    expect(holderFrameFrom(Buffer.of(0xf0))).toBeUndefined()
    expect(clientFrameFrom(Buffer.of(0x4b, 1, 2, 3))).toEqual({ type: 'kill' })
  })

  it('that are no frames throw', () => {
    expect(() => createFrameReader()(Buffer.of(0, 0, 0, 0))).toThrow(RangeError)
    expect(() => createFrameReader()(Buffer.from('GET / HTTP/1.1'))).toThrow(RangeError)
    expect(() => clientFrameFrom(Buffer.of(0x03, 1, 0, 0, 0, 200, 1))).toThrow(RangeError)
    expect(() => clientFrameFrom(Buffer.from('0102' + '00'.repeat(12), 'hex'))).toThrow(RangeError)
    expect(() => clientFrameFrom(Buffer.from('0200' + 'ff'.repeat(8), 'hex'))).toThrow(RangeError)
  })
})
