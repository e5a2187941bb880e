import { createHash } from 'node:crypto'
import type { Store } from '@holdfast/core'
import { describe, expect, it } from 'vitest'
import { expectRefusal, FENCE, fill, PLENTY, recordOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function* piecesOf(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

async function* breaking(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
  throw new Error('the sender is gone')
}

const contentOf = async (store: Store, id: string, name: string): Promise<Buffer | undefined> => {
  const blob = await store.getBlob(id, name)
  if (!blob) return undefined
  const parts: Uint8Array[] = []
  for await (const part of blob.open()) parts.push(part)
  const content = Buffer.concat(parts)
  expect(content.byteLength).toBe(blob.bytes)
  return content
}

export function blobTests(use: UseStore): void {
  describe('blobs', () => {
    const content = Buffer.alloc(300_000, 'holdfast ')
    const name = sha256(content)

    it(
      'a blob comes back byte for byte, is stored once, and belongs to its session alone',
      use(async store => {
        await fill(store, 'a', 1)
        await fill(store, 'b', 1)
        expect(await store.getBlob('a', name)).toBeUndefined()
        expect(await store.putBlob('a', name, piecesOf(content), content.byteLength)).toBe('stored')
        expect(await store.putBlob('a', name, piecesOf(content), content.byteLength)).toBe('exists')
        expect(await contentOf(store, 'a', name)).toEqual(content)
        expect(await store.getBlob('b', name)).toBeUndefined()
        const empty = Buffer.alloc(0)
        expect(await store.putBlob('b', sha256(empty), piecesOf(empty), 0)).toBe('stored')
        expect(await contentOf(store, 'b', sha256(empty))).toEqual(empty)
      }),
    )

    it(
      'the same blob put twice at once is stored once',
      use(async store => {
        await fill(store, 'a', 1)
        const results = await Promise.all([1, 2, 3].map(() => store.putBlob('a', name, piecesOf(content), PLENTY)))
        expect(results.sort()).toEqual(['exists', 'exists', 'stored'])
        expect(await contentOf(store, 'a', name)).toEqual(content)
      }),
    )

    it(
      'content over the limit, under a wrong name or cut short is refused, and nothing is left of it',
      use(async store => {
        await fill(store, 'a', 1)
        await expect(store.putBlob('a', name, piecesOf(content), content.byteLength - 1)).rejects.toBeInstanceOf(RangeError)
        await expect(store.putBlob('a', sha256(Buffer.from('other')), piecesOf(content), PLENTY)).rejects.toBeInstanceOf(TypeError)
        await expect(store.putBlob('a', name, breaking(content), PLENTY)).rejects.toThrow('the sender is gone')
        expect(await store.getBlob('a', name)).toBeUndefined()
        expect(await store.getBlob('a', sha256(Buffer.from('other')))).toBeUndefined()
        await expectRefusal(store.putBlob('nobody', name, piecesOf(content), PLENTY), 'stale')
        expect(await store.putBlob('a', name, piecesOf(content), PLENTY)).toBe('stored')
      }),
    )

    it(
      '[SEQ-19] blobs go with their session',
      use(async store => {
        await fill(store, 'a', 1)
        await fill(store, 'b', 1)
        await store.putBlob('a', name, piecesOf(content), PLENTY)
        await store.putBlob('b', name, piecesOf(content), PLENTY)
        await store.commit({ drops: [{ sessionId: 'a', status: 'deleted', record: recordOf(), keepLog: false }], fence: FENCE })
        expect(await store.getBlob('a', name)).toBeUndefined()
        expect(await contentOf(store, 'b', name)).toEqual(content)
        await expectRefusal(store.putBlob('a', name, piecesOf(content), PLENTY), 'stale')
      }),
    )
  })
}
