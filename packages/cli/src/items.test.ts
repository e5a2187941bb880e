import { expect, it } from 'vitest'
import { UsageError } from './failure.ts'
import { itemBatches } from './items.ts'

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(text: string, size: number): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const batch of itemBatches(pieces(text, size))) items.push(...batch.items)
  return items
}

it.each([1, 2, 3, 7, 1000])('[RUN-05] [fault 28] lines, arrays and single objects are read the same in pieces of %i bytes', async size => {
  const a = { event_type: 'a', text: 'é😀' }
  const b = { event_type: 'b' }
  expect(await read(`${JSON.stringify(a)}\n\n${JSON.stringify(b)}\n`, size)).toEqual([a, b])
  expect(await read(`\n${JSON.stringify(a)}\n${JSON.stringify(b)}`, size)).toEqual([a, b])
  expect(await read(JSON.stringify([a, b]), size)).toEqual([a, b])
  expect(await read(JSON.stringify([a, b], null, 2), size)).toEqual([a, b])
  expect(await read(`${JSON.stringify(a, null, 2)}\n`, size)).toEqual([a])
  expect(await read('', size)).toEqual([])
})

it('[RUN-05] a broken line is named, and bytes that are no UTF-8 are refused', async () => {
  await expect(read('{"event_type":"a"}\n{oh}\n', 5)).rejects.toThrow(/Line 2 of standard input is not JSON/)
  const bad = async function* () {
    yield new Uint8Array([0x7b, 0xff, 0x7d])
  }
  await expect(itemBatches(bad()).next()).rejects.toThrow(UsageError)
})

it('[RUN-05] lines are given as they come, not at the end', async () => {
  let ended = false
  const slow = async function* () {
    yield Buffer.from('{"event_type":"a"}\n{"even')
    ended = true
    yield Buffer.from('t_type":"b"}\n')
  }
  const batches = itemBatches(slow())
  expect((await batches.next()).value).toEqual({ items: [{ event_type: 'a' }] })
  expect(ended).toBe(false)
  expect((await batches.next()).value).toEqual({ items: [{ event_type: 'b' }] })
})
