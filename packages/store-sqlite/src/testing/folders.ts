import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export const tempFolder = (): string => mkdtempSync(join(tmpdir(), 'holdfast-store-'))
export const removeFolder = (path: string): void => rmSync(path, { recursive: true, force: true })

/** A folder that goes when the test ends. */
export function ownFolder(): string {
  const path = tempFolder()
  onTestFinished(() => removeFolder(path))
  return path
}

/** Every file below a folder. */
export const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))

/** The files that contain these bytes; one that goes away meanwhile does not. */
export const filesWith = (folder: string, marker: string): string[] =>
  filesOf(folder).filter(path => {
    try {
      return readFileSync(path).includes(marker)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return false
      throw error
    }
  })
