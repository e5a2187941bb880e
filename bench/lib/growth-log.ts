import { statfsSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readUntil } from './byte-reader.ts'
import type { Context } from './case.ts'
import { growLog, LOG_EVENT_BYTES } from './growth-fill.ts'
import { type GrowthAxis, type GrowthPlan, type GrowthPoint, sizeName } from './growth-figures.ts'
import { appendMs, msOf, p50, startRestarting } from './growth-timed.ts'
import type { Server } from './processes.ts'
import { NOT_YET_COMPRESSED } from './read-logs.ts'
import { openResumer } from './resumer.ts'
import { createSeqScan } from './seq-scan.ts'
import { createRuns } from './writers.ts'

const SESSION = 'growing'
/** What is caught up: 10 MB, or all of a smaller log. */
const CATCH_UP_EVENTS = 10_000
const CATCH_UP_READS = 15
/** Nothing of a log in memory: it is read from the disk's files, which the page cache has. */
const NO_TAIL = { HOLDFAST_TAIL_SESSION_BYTES: '0' }
/** A fill that would take longer is left out, or made smaller. */
const MOST_FILL_MS = 150_000
/** A larger step than this asks for four times its size in free space: journal, rows and segments are there at once for a while. */
const LARGE_BYTES = 2e9

/** One log that grows. */
export async function measureLogSizes(context: Context, { sizes, samples, restarts, deadline, onPoint }: GrowthPlan): Promise<GrowthAxis> {
  const folder = await startRestarting(context, join(context.folder, 'log'), NOT_YET_COMPRESSED)
  await createRuns(folder.server, [SESSION])
  const points: GrowthPoint[] = []
  const notes = [
    'One log of events of 1 KB that grows from size to size, 1000 a post over 4 connections; its files are in the page cache and not compressed. Resumes and catch-up go to a server that has just been started after kill -9 and keeps no tail in memory; catch-up is the last 10 MB (of the smallest log all of it) over a WebSocket in binary frames, as bytes on the wire.',
  ]
  let head = 0
  let bytesPerMs = Number.POSITIVE_INFINITY
  for (const wanted of sizes) {
    const now = performance.now()
    const room = Math.min(MOST_FILL_MS, deadline - now) * bytesPerMs
    const have = head * LOG_EVENT_BYTES
    const bytes = wanted - have <= room ? wanted : 3e9
    if (bytes <= have || bytes - have > room || !hasRoom(context.folder, bytes - have)) {
      const rate = Number.isFinite(bytesPerMs) ? ` at the ${Math.round(bytesPerMs / 1000)} MB/s of the last fill` : ''
      notes.push(`${sizeName('log-size', wanted)} was left out: it would not have been written in time${rate}, or the disk has too little room.`)
      break
    }
    if (bytes !== wanted) notes.push(`${sizeName('log-size', wanted)} would have taken too long at ${Math.round(bytesPerMs / 1000)} MB/s.`)
    const name = sizeName('log-size', bytes)
    const events = bytes / LOG_EVENT_BYTES - head
    const before = head
    const took = await msOf(async () => {
      head = await growLog(
        folder.server,
        SESSION,
        events,
        done => done % 500_000 === 0 && context.say(`${name}: ${Math.round(((before + done) * LOG_EVENT_BYTES) / 1e6)} MB written`),
      )
    })
    if (head !== before + events) throw new Error(`${before} + ${events} events were appended, the head is ${head}`)
    bytesPerMs = (bytes - have) / took
    context.say(`${name}: measuring`)

    const reading = await folder.restart(NO_TAIL)
    const resumer = await openResumer(reading)
    const resume = await p50(samples, () => resumer.resume(SESSION, head))
    resumer.close()
    const catchUp = await p50(CATCH_UP_READS, () => catchUpRate(reading, head))
    const appending = await folder.restart()
    const { append, disk } = await appendMs(context, appending, samples, () => {
      head++
      return SESSION
    })
    for (let i = 2; i < restarts; i++) await folder.restart()
    const point = { x: bytes, values: { ready: folder.readyMs(), append, disk, resume, catchUp, fill: (bytesPerMs * 1000) / 1e6 } }
    points.push(point)
    onPoint(point)
  }
  await folder.server.kill()
  return { axis: 'log-size', label: 'size of one log', measures: MEASURES, points, notes }
}

const MEASURES = [
  { key: 'ready', label: 'ready after kill -9', unit: 'ms' },
  { key: 'append', label: 'append', unit: 'ms' },
  { key: 'resume', label: 'resume, 1 behind', unit: 'ms' },
  { key: 'catchUp', label: 'catch-up, last 10 MB', unit: 'MB/s' },
  { key: 'fill', label: 'fill, 1000 a post', unit: 'MB/s' },
  { key: 'disk', label: 'plain SQLite commit', unit: 'ms' },
] as const

/** MB/s on the wire from the request until `caught_up`; throws where an event is missing or comes twice. */
async function catchUpRate(server: Server, head: number): Promise<number> {
  const after = Math.max(0, head - CATCH_UP_EVENTS)
  const scan = createSeqScan({ token: '"seq":', head, leastBytes: 200, mark: '"protocol.caught_up"', last: after })
  const lines = [
    `GET /ws?session_id=${SESSION}&cursor=${after} HTTP/1.1`,
    `Host: ${new URL(server.url).host}`,
    ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: holdfast.v1+binary',
    `Authorization: Bearer ${server.token}`,
    ...['', ''],
  ]
  const begun = performance.now()
  const bytes = await readUntil(server.url, lines.join('\r\n'), data => scan.feed(data))
  return bytes / 1000 / (performance.now() - begun)
}

function hasRoom(folder: string, bytes: number): boolean {
  if (bytes < LARGE_BYTES) return true
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize >= 4 * bytes
}
