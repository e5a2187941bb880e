import { readFileSync } from 'node:fs'
import { tempDir } from '../../lib/process.ts'
import { join } from 'node:path'

/** What is traced: all by which bytes reach a file or a peer, and what puts files on the disk. */
const CALLS = 'write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg,fsync,fdatasync,sync_file_range'

/** One system call that went well; `began` and `ended` are line numbers, so that they order the calls of all threads. */
export interface Call {
  readonly name: string
  /** The file or socket that it was about. */
  readonly target: string
  readonly bytes: Buffer
  readonly began: number
  readonly ended: number
}

/** The words in front of a command, and the file that the trace goes to. */
export function tracing(): { readonly wrap: readonly string[]; readonly path: string } {
  const path = join(tempDir(), 'trace')
  return { path, wrap: ['strace', '-f', '--seccomp-bpf', '-qq', '-y', '-xx', '-s', '70000', '-e', `trace=${CALLS}`, '-e', 'signal=none', '-o', path] }
}

/** Reads a trace of `tracing`. */
export function readTrace(path: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, { readonly name: string; readonly args: string; readonly began: number }>()
  readFileSync(path, 'latin1')
    .split('\n')
    .forEach((line, index) => {
      const parts = /^(\d+)\s+(.*)$/.exec(line)
      if (!parts) return
      const [, thread = '', text = ''] = parts
      const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(text)
      const begun = resumed ? open.get(thread) : undefined
      if (resumed) open.delete(thread)
      const call = resumed ? `${begun?.name}(${begun?.args}${resumed[2]}` : text
      const unfinished = /^(\w+)\((.*)<unfinished \.\.\.>$/.exec(call)
      if (unfinished) {
        open.set(thread, { name: unfinished[1] ?? '', args: unfinished[2] ?? '', began: index })
        return
      }
      const whole = /^(\w+)\(\d+<([^>]*)>(.*)\)\s+= (-?\d+)/.exec(call)
      if (!whole || Number(whole[4]) < 0) return
      calls.push({
        name: whole[1] ?? '',
        target: textFromHex(whole[2] ?? ''),
        bytes: bytesFrom(whole[3] ?? '').subarray(0, isSync(whole[1] ?? '') ? 0 : Number(whole[4])),
        began: begun?.began ?? index,
        ended: index,
      })
    })
  return calls
}

const isSync = (name: string): boolean => name === 'fsync' || name === 'fdatasync'

/** With -xx names of files may be in hex too. */
const textFromHex = (text: string): string =>
  text.includes('\\x') ? text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))) : text

/** All the strings among the arguments, joined. */
const bytesFrom = (args: string): Buffer =>
  Buffer.from([...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(match => (match[1] ?? '').replaceAll('\\x', '')).join(''), 'hex')

const isSocket = (call: Call): boolean => call.target.startsWith('socket:') || call.target.startsWith('TCP')
const isWal = (call: Call): boolean => call.target.endsWith('holdfast.db-wal')

/** A frame of the write-ahead log begins with its page's number and, in a transaction's last frame, the size of the database (https://sqlite.org/fileformat2.html#wal_file_format). */
const FRAME_HEADER_BYTES = 24
const isCommitHeader = (call: Call): boolean => isWal(call) && call.bytes.length === FRAME_HEADER_BYTES && call.bytes.readUInt32BE(4) !== 0

export interface Shown {
  /** The event that left on a socket, as an ack or as it is. */
  readonly marker: string
  readonly problem: 'not written' | 'not committed' | 'not synced'
}

/**
 * Judges a trace: each marker's way from the socket back to the disk. Before a socket is given any byte of it, the frames of its transaction
 * must have been written to the end, and a sync of that file must have begun after them and ended.
 */
export function shownBeforeSynced(calls: readonly Call[], markers: readonly string[]): { readonly shown: number; readonly violations: Shown[] } {
  const violations: Shown[] = []
  let shown = 0
  const syncs = calls.filter(call => isSync(call.name) && isWal(call))
  const commits = calls.filter(isCommitHeader)
  const wal = calls.filter(isWal)
  for (const marker of markers) {
    const written = wal.find(call => call.bytes.includes(marker))
    for (const sent of calls.filter(call => isSocket(call) && call.bytes.includes(marker))) {
      shown++
      if (!written || written.began > sent.began) {
        violations.push({ marker, problem: 'not written' })
        continue
      }
      // The page follows its header, so the marker's own frame may be the committing one.
      const header = wal.findLast(call => call.ended < written.began && call.bytes.length === FRAME_HEADER_BYTES)
      const commit = commits.find(call => call === header || call.began > written.ended)
      const page = commit && wal.find(call => call.began > commit.ended && call.bytes.length > FRAME_HEADER_BYTES)
      if (!page || page.ended > sent.began) violations.push({ marker, problem: 'not committed' })
      else if (!syncs.some(sync => sync.began > page.ended && sync.ended < sent.began)) violations.push({ marker, problem: 'not synced' })
    }
  }
  return { shown, violations }
}

/** Files whose bytes, or whose folder's names, were not on disk when something was done that counts on them: a commit that names a segment, an answer that promises a blob. */
export function filesNotSyncedBefore(calls: readonly Call[], isFile: (target: string) => boolean, counts: (call: Call) => boolean): string[] {
  const files = new Set(calls.filter(call => isFile(call.target) && call.bytes.length > 0).map(call => call.target))
  return [...files].filter(file => {
    const last = calls.findLast(call => call.target === file && call.bytes.length > 0) as Call
    const promise = calls.find(call => call.began > last.ended && counts(call))
    const isSynced = calls.some(call => isSync(call.name) && call.target === file && call.began > last.ended && (!promise || call.ended < promise.began))
    const isNamed = calls.some(call => isSync(call.name) && isFolderOfFiles(call.target) && call.began > last.ended && (!promise || call.ended < promise.began))
    return !promise || !isSynced || !isNamed
  })
}

const isFolderOfFiles = (target: string): boolean => /\/(segments|blobs)\/\d+$/.test(target)

/** A transaction's last frame. */
export const isCommit = isCommitHeader
/** The head of a good answer. */
export const isCreated = (call: Call): boolean => isSocket(call) && call.bytes.includes('HTTP/1.1 201')
/** Bytes that leave the process. */
export const isToPeer = isSocket
/** The write-ahead log is put on the disk. */
export const isWalSync = (call: Call): boolean => isSync(call.name) && isWal(call)
