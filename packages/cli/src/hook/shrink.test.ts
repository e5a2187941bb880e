import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ITEM_BYTES, shrink } from './shrink.ts'

const size = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

it('[RUN-12] an event that fits stays as it is', () => {
  const item = { event_type: 'post_tool', id: 'a', tool_response: 'x'.repeat(1000) }
  expect(shrink(item)).toEqual({ item, blobs: [] })
})

it('[RUN-12] only the largest part moves out, under its hash, and comes back byte for byte', () => {
  const stdout = 'é'.repeat(ITEM_BYTES)
  const { item, blobs } = shrink({ event_type: 'post_tool', id: 'a', tool_name: 'Bash', tool_response: { stdout, stderr: 'warn', interrupted: false } })
  const [blob] = blobs
  expect(blobs).toHaveLength(1)
  expect(Buffer.from(blob?.content as Uint8Array).toString()).toBe(stdout)
  expect(blob?.sha256).toBe(createHash('sha256').update(stdout).digest('hex'))
  expect(item).toEqual({
    event_type: 'post_tool',
    id: 'a',
    tool_name: 'Bash',
    tool_response: { stdout: { blob: blob?.sha256, media_type: 'text/plain; charset=utf-8', bytes: size(stdout) - 2 }, stderr: 'warn', interrupted: false },
  })
})

it('[RUN-12] many middling parts move out until the rest fits; a list of small ones goes as JSON', () => {
  const content = Array.from({ length: 8 }, (_, index) => ({ type: 'text', text: String(index).repeat(60_000) }))
  const blocks = shrink({ event_type: 'message', id: 'a', role: 'assistant', content })
  expect(size(blocks.item)).toBeLessThanOrEqual(ITEM_BYTES)
  const list = shrink({ event_type: 'x', id: 'a', tool_response: Array.from({ length: 100_000 }, (_, index) => index) })
  expect(list.item.tool_response).toMatchObject({ media_type: 'application/json' })
  expect(JSON.parse(Buffer.from(list.blobs[0]?.content as Uint8Array).toString())).toHaveLength(100_000)
})

it('[RUN-12] any event ends up within the limit, with its type and id', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 8 }), fields => {
      const item = { ...fields, event_type: 'x', id: 'a' }
      const small = shrink(item, 400)
      expect(small.item).toMatchObject({ event_type: 'x', id: 'a' })
      expect(size(small.item) <= 400 || Object.keys(fields).length > 2).toBe(true)
    }),
  )
})
