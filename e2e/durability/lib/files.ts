import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The database and what belongs to it, as somebody would copy it by hand. */
const DATABASE_FILES = ['holdfast.db', 'holdfast.db-wal', 'holdfast.db-shm'] as const

/** Copies a database, and nothing else of the data folder; what the copy has not is removed. */
export function copyDatabase(from: string, to: string): void {
  for (const name of DATABASE_FILES) {
    rmSync(join(to, name), { force: true })
    if (existsSync(join(from, name))) cpSync(join(from, name), join(to, name))
  }
}

/** Every file below a folder; those that go away meanwhile are left out. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
}

/** The files that contain any of these bytes. */
export function filesWith(folder: string, markers: readonly string[]): string[] {
  return filesOf(folder).filter(path => {
    try {
      const bytes = readFileSync(path)
      return markers.some(marker => bytes.includes(marker))
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return false
      throw error
    }
  })
}

/** Changes one bit of a file. */
export function flipBit(path: string, offset: number): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset)
  writeFileSync(path, bytes)
}

/** Changes one bit inside the first occurrence of a marker. */
export function flipInside(path: string, marker: string): void {
  const at = readFileSync(path).indexOf(marker)
  if (at < 0) throw new Error(`${marker} is not in ${path}`)
  flipBit(path, at + 2)
}
