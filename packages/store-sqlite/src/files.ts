import { mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Makes the names in a folder as durable as the files themselves. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes a folder below `dataDir`, durably. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first !== undefined) await syncFolder(dirname(first))
}

/** Writes whole files; they and their names are on disk when it resolves. */
export async function writeDurably(files: readonly { readonly path: string; readonly content: Uint8Array }[]): Promise<void> {
  const folders = new Set(files.map(file => dirname(file.path)))
  for (const folder of folders) await makeFolder(folder)
  const written = await Promise.allSettled(files.map(file => writeOne(file.path, file.content)))
  for (const result of written) if (result.status === 'rejected') throw result.reason
  for (const folder of folders) await syncFolder(folder)
}

async function writeOne(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Removes files and folders, relative to `dataDir`; they are gone for good when it resolves. */
export async function removeDurably(dataDir: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>()
  for (const path of paths) {
    await rm(join(dataDir, path), { force: true, recursive: true })
    folders.add(dirname(join(dataDir, path)))
  }
  for (const folder of folders) {
    await syncFolder(folder).catch((error: unknown) => {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error
    })
  }
}
