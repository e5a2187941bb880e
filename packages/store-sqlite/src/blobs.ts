// edge: names of temporary files
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DamagedError } from './errors.ts'
import { makeFolder, syncFolder } from './files.ts'
import type { Paths } from './paths.ts'

/** Content on its way in: read to its end and checked; synced where it was written. */
export interface Incoming {
  readonly bytes: number
  /** Gives the file its name for good. */
  place(path: string): Promise<void>
  discard(): Promise<void>
}

/** Takes content in and checks it; rejects RangeError over `maxBytes`, TypeError where the SHA-256 is another, and with whatever the content throws. */
export async function takeIn(paths: Paths, sha256: string, content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Incoming> {
  await makeFolder(paths.incoming)
  const temporary = join(paths.incoming, `${randomUUID()}.part`)
  const discard = (): Promise<void> => rm(temporary, { force: true })
  const file = await open(temporary, 'wx', 0o600)
  let bytes = 0
  try {
    const hash = createHash('sha256')
    for await (const part of content) {
      bytes += part.byteLength
      if (bytes > maxBytes) throw new RangeError(`the blob is over ${maxBytes} bytes`)
      hash.update(part)
      for (let at = 0; at < part.byteLength; ) at += (await file.write(part, at)).bytesWritten
    }
    if (hash.digest('hex') !== sha256) throw new TypeError('the content does not have this SHA-256')
    await file.sync()
  } catch (error) {
    await file.close()
    await discard()
    throw error
  }
  await file.close()
  return {
    bytes,
    discard,
    async place(path) {
      await makeFolder(dirname(path))
      await rename(temporary, path)
      await syncFolder(dirname(path))
    },
  }
}

/** The content from the start; its last part comes only when all of it fits the name. Throws DamagedError. */
export async function* contentOf(path: string, sha256: string, sessionId: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let held: Uint8Array | undefined
  try {
    for await (const part of createReadStream(path) as AsyncIterable<Uint8Array>) {
      hash.update(part)
      if (held) yield held
      held = part
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
    throw new DamagedError(sessionId, `the file of blob ${sha256} is missing`)
  }
  if (hash.digest('hex') !== sha256) throw new DamagedError(sessionId, `blob ${sha256} does not fit its name`)
  if (held) yield held
}
