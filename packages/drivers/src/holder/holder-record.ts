import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ProcessIdentity } from './processes.ts'

/** `<folder>/holder.json`: who holds which program. No environment and no arguments, since these may be secrets. */
export interface HolderRecord {
  readonly protocol: number
  /** Random; the hello must name the same. */
  readonly holderId: string
  readonly bootId: string
  readonly holder: ProcessIdentity
  /** Null while it is being started. */
  readonly program: ProcessIdentity | null
  readonly sessionId: string
  readonly incarnation: number
  readonly mode: 'pty' | 'pipe'
  readonly command: string
  /** ms since 1970. */
  readonly createdAt: number
}

/** `<folder>/exit.json`: how the program ended, and where its output ends. It is on disk before anybody is told. */
export interface HolderExit {
  /** Null where a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly endOffset: number
  /** The end of stderr in pipe mode, else 0. */
  readonly stderrEndOffset: number
}

/** The first frame of a connection. */
export interface HolderHello extends HolderRecord {
  readonly program: ProcessIdentity
  readonly cols: number
  readonly rows: number
  /** What the spool has of each stream: from `start` (acked before) to `end`. */
  readonly streams: readonly { readonly start: number; readonly end: number }[]
}

export const RECORD_FILE = 'holder.json'
export const EXIT_FILE = 'exit.json'
export const SOCKET_FILE = 'socket'

/** The record of a folder; undefined where there is none, or none that can be read. */
export const readRecord = (folder: string): HolderRecord | undefined => {
  const record = readJson(join(folder, RECORD_FILE)) as Partial<HolderRecord> | undefined
  return record && typeof record.holderId === 'string' && typeof record.bootId === 'string' && isIdentity(record.holder) ? (record as HolderRecord) : undefined
}

/** How a folder's program ended; undefined while it runs, and where its holder was killed. */
export const readExit = (folder: string): HolderExit | undefined => {
  const exit = readJson(join(folder, EXIT_FILE)) as Partial<HolderExit> | undefined
  return exit && typeof exit.endOffset === 'number' && typeof exit.stderrEndOffset === 'number' ? (exit as HolderExit) : undefined
}

/** Writes a file of a holder's folder whole; it and its name are on disk when this returns. */
export function writeDurably(path: string, value: unknown): void {
  const file = openSync(`${path}.new`, 'w', 0o600)
  try {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`)
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(`${path}.new`, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function readJson(path: string): unknown {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

const isIdentity = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && typeof (value as ProcessIdentity).pid === 'number' && typeof (value as ProcessIdentity).startTime === 'string'
