import { expect, it } from 'vitest'
import { UnreachableError } from './api.ts'
import { persistently } from './retry.ts'

const io = { signal: new AbortController().signal, err: () => undefined }
const refused = (): Error => new UnreachableError('http://127.0.0.1:1', { cause: { code: 'ECONNREFUSED' } })

it('[CLI-03] a server that was never reached is said to be missing at once; one that has answered is waited for', async () => {
  let tries = 0
  const failTwice = async (): Promise<string> => {
    if (++tries <= 2) throw refused()
    return 'done'
  }
  await expect(persistently(failTwice, io, { pausesMs: [0, 0, 0] })).rejects.toThrow(UnreachableError)
  expect(tries).toBe(1)
  tries = 0
  await expect(persistently(failTwice, io, { pausesMs: [0, 0, 0], wasReached: true })).resolves.toBe('done')
  expect(tries).toBe(3)
})
