import { randomBytes } from 'node:crypto'
import { openBodies, readUntil } from './byte-reader.ts'
import type { Server } from './processes.ts'
import { createSeqScan, type SeqScan } from './seq-scan.ts'
import { authorization } from './writers.ts'

/** A log that is read from its start; `leastBytes` is less than any of its events has. */
export interface ReadLog {
  readonly server: Server
  /** A session's id, or a stream's path at the peer. */
  readonly id: string
  readonly head: number
  readonly leastBytes: number
}

const scanOf = ({ head, leastBytes }: ReadLog, mark?: string): SeqScan =>
  createSeqScan({ token: '"seq":', head, leastBytes, ...(mark === undefined ? {} : { mark }) })

/** From the peer's events, which have no number of their own, the one that they were posted with. */
const peerScanOf = ({ head, leastBytes }: ReadLog, mark?: string): SeqScan =>
  createSeqScan({ token: '"n":', head, leastBytes, ...(mark === undefined ? {} : { mark }) })

/** Over a WebSocket up to `caught_up`; resolves with the bytes that came over the wire. */
export function readSocket(log: ReadLog, protocol: 'holdfast.v1+binary' | 'holdfast.v1+json'): Promise<number> {
  const scan = scanOf(log, '"protocol.caught_up"')
  const { server, id } = log
  const lines = [
    `GET /ws?session_id=${id}&cursor=0 HTTP/1.1`,
    `Host: ${new URL(server.url).host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    `Sec-WebSocket-Protocol: ${protocol}`,
    `Authorization: Bearer ${server.token}`,
    '',
    '',
  ]
  return readUntil(server.url, lines.join('\r\n'), bytes => scan.feed(bytes))
}

/** An event stream up to `caught_up`. */
export function readEvents(log: ReadLog): Promise<void> {
  const scan = scanOf(log, '"protocol.caught_up"')
  return readStream(log.server, `/sessions/${log.id}/events`, scan)
}

/** Pages of 1000 events on one connection. */
export async function readPages(log: ReadLog): Promise<void> {
  const scan = scanOf(log)
  const reader = await openBodies(log.server.url, authorization(log.server))
  const feed = (bytes: Buffer): boolean => {
    if (scan.last < log.head) scan.feed(bytes)
    return false
  }
  while (scan.last < log.head) {
    const after = scan.last
    const status = await reader.get(`/sessions/${log.id}/events?limit=1000&after=${after}`, feed)
    if (status !== 200 || scan.last === after) throw new Error(`a page after ${after}: status ${status}, ${scan.last - after} events`)
  }
  reader.close()
}

/** The peer's live stream up to its control event that says `upToDate`. */
export const readPeerEvents = (log: ReadLog): Promise<void> => readStream(log.server, `${log.id}?offset=-1&live=sse`, peerScanOf(log, '"upToDate":true'))

/** The peer's catch-up read: it answers a whole log at once. */
export async function readPeerPages(log: ReadLog): Promise<void> {
  const scan = peerScanOf(log)
  const reader = await openBodies(log.server.url)
  const status = await reader.get(`${log.id}?offset=-1`, bytes => {
    if (scan.last < log.head) scan.feed(bytes)
    return false
  })
  reader.close()
  if (status !== 200 || scan.last !== log.head) throw new Error(`the peer answered ${status} with ${scan.last} of ${log.head} events`)
}

async function readStream(server: Server, path: string, scan: SeqScan): Promise<void> {
  const reader = await openBodies(server.url, { accept: 'text/event-stream', ...authorization(server) })
  const status = await reader.get(path, bytes => scan.feed(bytes))
  reader.close()
  if (status !== 200) throw new Error(`${path}: ${status}`)
}

/** As many bytes as that from a bare process on loopback. */
export async function readTcp(server: Server, count: number): Promise<void> {
  let left = count
  await readUntil(server.url, `${count}\n`, bytes => {
    left -= bytes.length
    return left <= 0
  })
}
