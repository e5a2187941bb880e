import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const tempFolder = (): string => mkdtempSync(join(tmpdir(), 'holdfast-store-'))
export const removeFolder = (path: string): void => rmSync(path, { recursive: true, force: true })
