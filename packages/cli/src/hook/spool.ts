import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** What the hook adds to the text that the agent gave it. */
export interface SpoolHead {
  readonly v: 1
  /** When the hook was called, ms since 1970; never used for order. */
  readonly at_ms: number
  /** The server that this hook reports to; absent means the default. */
  readonly url?: string
  /** The size of the transcript when the hook was called: what stands before it in the log. */
  readonly transcript_bytes?: number
}

export interface SpoolRecord {
  readonly name: string
  readonly head: SpoolHead
  /** The hook's JSON as it came. */
  readonly text: string
}

/** Folders of one spool. */
export const spoolPlaces = (spool: string) => ({
  queue: join(spool, 'queue'),
  dead: join(spool, 'dead'),
  sessions: join(spool, 'sessions'),
  blobs: join(spool, 'blobs'),
  status: join(spool, 'status.json'),
  lock: join(spool, 'flush.lock'),
  running: join(spool, 'flush.json'),
})

const NAME = /^\d{17}-[0-9a-z]+-\d+\.json$/

/** Writes a file so that it is there whole, and on disk, or not at all. */
export function writeWhole(path: string, data: string | Uint8Array, folder: string): void {
  const temp = join(folder, `.tmp-${process.pid}-${process.hrtime.bigint().toString(36)}`)
  const file = openSync(temp, 'wx', 0o600)
  try {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at)
    fsyncSync(file)
  } catch (error) {
    rmSync(temp, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
  renameSync(temp, path)
  const dir = openSync(folder, 'r')
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}

/** The folder, made for its owner alone. One step at a time: a recursive mkdir of Node's never returns where a parent takes no folders (/proc). */
export function ownFolder(path: string): string {
  if (existsSync(path)) return path
  const parent = dirname(path)
  if (!existsSync(parent)) ownFolder(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return path
}

/** The names of the records that wait, oldest first. */
export function listRecords(spool: string): string[] {
  try {
    return readdirSync(spoolPlaces(spool).queue)
      .filter(name => NAME.test(name))
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/**
 * Puts one record at the end of the queue, on disk when it returns.
 * Its name sorts after every record that was there, even if the clock went back; no name is used twice.
 */
export function addRecord(spool: string, head: SpoolHead, text: string, nowMs: number): string {
  const { queue } = spoolPlaces(spool)
  ownFolder(queue)
  const last = listRecords(spool).at(-1)
  const place = Math.max(nowMs * 1000, last === undefined ? 0 : Number(last.slice(0, 17)) + 1)
  const name = `${String(place).padStart(17, '0')}-${process.hrtime.bigint().toString(36)}-${process.pid}.json`
  writeWhole(join(queue, name), `${JSON.stringify(head)}\n${text}`, queue)
  return name
}

/** Reads a record; undefined where the file is not one (a head that is no JSON). */
export function readRecord(spool: string, name: string): SpoolRecord | undefined {
  const whole = readFileSync(join(spoolPlaces(spool).queue, name), 'utf8')
  const end = whole.indexOf('\n')
  try {
    const head = JSON.parse(whole.slice(0, end)) as SpoolHead
    return typeof head?.at_ms === 'number' ? { name, head, text: whole.slice(end + 1) } : undefined
  } catch {
    return undefined
  }
}

/** Takes a record out of the queue; a second time is the same as once. */
export const removeRecord = (spool: string, name: string): void => rmSync(join(spoolPlaces(spool).queue, name), { force: true })

/** What a dead letter says of what it holds. */
export interface DeadLetter {
  readonly reason: string
  readonly at: string
  /** The event that the server refused, where it came that far. */
  readonly session_id?: string
  readonly url?: string
  readonly event?: unknown
  /** The hook's own text, where it was not understood; base64 where it is no UTF-8. */
  readonly text?: string
  readonly base64?: string
}

/** Keeps for a person what can't be delivered; `name` makes a repeat overwrite itself. */
export function addDeadLetter(spool: string, name: string, letter: DeadLetter): void {
  const folder = ownFolder(spoolPlaces(spool).dead)
  writeWhole(join(folder, name.endsWith('.json') ? name : `${name}.json`), `${JSON.stringify(letter, null, 2)}\n`, folder)
}

/** The names of the dead letters, oldest first. */
export function listDeadLetters(spool: string): string[] {
  try {
    return readdirSync(spoolPlaces(spool).dead)
      .filter(name => name.endsWith('.json') && !name.startsWith('.'))
      .sort()
  } catch {
    return []
  }
}

/** The size of a file in bytes, undefined where there is none. */
export function sizeOf(path: string): number | undefined {
  try {
    return statSync(path).size
  } catch {
    return undefined
  }
}

/** What a person may ask of the newest tries to deliver. */
export interface SpoolStatus {
  readonly delivered_at?: string
  /** Why the newest try failed; gone with the next delivery. */
  readonly error?: string
  readonly failed_at?: string
}

export function readStatus(spool: string): SpoolStatus {
  try {
    return JSON.parse(readFileSync(spoolPlaces(spool).status, 'utf8')) as SpoolStatus
  } catch {
    return {}
  }
}

/** Notes how the newest try went; only people read it, so a failure to write it stops nothing. */
export function writeStatus(spool: string, change: { delivered_at: string } | { error: string; failed_at: string }): void {
  const { delivered_at } = readStatus(spool)
  const status: SpoolStatus = 'error' in change ? { ...(delivered_at === undefined ? {} : { delivered_at }), ...change } : change
  try {
    writeFileSync(spoolPlaces(spool).status, JSON.stringify(status), { mode: 0o600 })
  } catch {
    // The disk is full, or the spool was cleared away.
  }
}
