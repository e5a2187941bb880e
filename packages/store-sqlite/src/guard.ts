import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'

/** What the database had reached when the guard was last written; never ahead of the database, unless an older one was put back. */
export interface GuardRecord {
  readonly epoch: string
  readonly commits: number
}

export interface Guard {
  /** In the page cache when it returns: safe from a kill, not from a power cut. */
  write(record: GuardRecord): void
  sync(): void
  close(): void
}

const GUARD_BYTES = 64
const MAGIC = 'HFG1'
const EPOCH_BYTES = 32

/** The record, or undefined where there is none or it is torn. */
export function readGuard(path: string): GuardRecord | undefined {
  const bytes = Buffer.alloc(GUARD_BYTES)
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    if (readSync(file, bytes, 0, GUARD_BYTES, 0) !== GUARD_BYTES) return undefined
  } finally {
    closeSync(file)
  }
  if (bytes.toString('latin1', 0, 4) !== MAGIC || bytes.readUInt32BE(GUARD_BYTES - 4) !== crc32(bytes.subarray(0, GUARD_BYTES - 4))) return undefined
  const epoch = bytes.toString('latin1', 4, 4 + EPOCH_BYTES).replace(/\0+$/, '')
  return { epoch, commits: Number(bytes.readBigUInt64BE(4 + EPOCH_BYTES)) }
}

/** Opens the guard file for writing, and makes it where there is none. */
export function openGuard(path: string): Guard {
  let file: number
  try {
    file = openSync(path, 'r+')
  } catch {
    file = openSync(path, 'w+', 0o600)
  }
  const bytes = Buffer.alloc(GUARD_BYTES)
  return {
    write({ epoch, commits }) {
      bytes.fill(0)
      bytes.write(MAGIC, 0, 'latin1')
      bytes.write(epoch, 4, EPOCH_BYTES, 'latin1')
      bytes.writeBigUInt64BE(BigInt(commits), 4 + EPOCH_BYTES)
      bytes.writeUInt32BE(crc32(bytes.subarray(0, GUARD_BYTES - 4)), GUARD_BYTES - 4)
      writeSync(file, bytes, 0, GUARD_BYTES, 0)
    },
    sync: () => fsyncSync(file),
    close: () => closeSync(file),
  }
}

/** True when the database is older than the guard says it once was. */
export const isPutBack = (database: GuardRecord, guard: GuardRecord | undefined): boolean =>
  guard !== undefined && (guard.epoch !== database.epoch || guard.commits > database.commits)
