import { join } from 'node:path'
import type { Context } from './case.ts'
import { addSparseSessions, sparseId } from './growth-fill.ts'
import type { GrowthAxis, GrowthPlan, GrowthPoint } from './growth-figures.ts'
import { appendMs, p50, startRestarting } from './growth-timed.ts'
import { connectHttp } from './http-client.ts'
import type { Server } from './processes.ts'
import { NOT_YET_COMPRESSED } from './read-logs.ts'
import { openResumer } from './resumer.ts'
import { authorization } from './writers.ts'

const PAGE = 50
/** Nothing of a log in memory: events come from the store. */
const NO_TAIL = { HOLDFAST_TAIL_SESSION_BYTES: '0' }

/** One folder with more and more sessions of one event each. */
export async function measureSessionCounts(context: Context, { sizes, samples, restarts, deadline, onPoint }: GrowthPlan): Promise<GrowthAxis> {
  const dataDir = join(context.folder, 'sessions')
  const points: GrowthPoint[] = []
  const notes = [
    'The sessions are written through the real store in this process (`openSqliteStore`, 1000 creations a commit), then the server is started on that folder. Appends (200 B) and resumes go to sessions picked at random, lists ask for the newest 50 (there is one where there is one session), resumes to a server that keeps no tail in memory. The plain SQLite commit is made in turn with the appends: what the disk alone costs.',
  ]
  /** Of those that got more than their first event. */
  const heads = new Map<string, number>()
  const headOf = (id: string): number => heads.get(id) ?? 1
  let have = 0
  for (const count of sizes) {
    if (performance.now() > deadline) {
      notes.push(`Stopped before ${count} sessions: the time was up.`)
      break
    }
    await addSparseSessions(dataDir, have, count, done => done % 100_000 === 0 && context.say(`${done} of ${count} sessions`))
    have = count
    const folder = await startRestarting(context, dataDir, NOT_YET_COMPRESSED)
    context.say(`${count} sessions: measuring`)
    const { append, disk } = await appendMs(context, folder.server, samples, n => {
      const id = anyId(n, count)
      heads.set(id, headOf(id) + 1)
      return id
    })
    const list = await listMs(folder.server, Math.ceil(samples / 2), Math.min(PAGE, count))
    const resumer = await openResumer(await folder.restart(NO_TAIL))
    let n = 0
    const resume = await p50(samples, () => {
      const id = anyId(++n + 1_000_000, count)
      return resumer.resume(id, headOf(id))
    })
    resumer.close()
    for (let i = 1; i < restarts; i++) await folder.restart()
    await folder.server.kill()
    const point = { x: count, values: { ready: folder.readyMs(), append, disk, list, resume } }
    points.push(point)
    onPoint(point)
  }
  return { axis: 'sessions', label: 'sessions in one data folder', measures: MEASURES, points, notes }
}

const MEASURES = [
  { key: 'ready', label: 'ready after kill -9', unit: 'ms' },
  { key: 'append', label: 'append', unit: 'ms' },
  { key: 'list', label: 'list 50', unit: 'ms' },
  { key: 'resume', label: 'resume, 1 behind', unit: 'ms' },
  { key: 'disk', label: 'plain SQLite commit', unit: 'ms' },
] as const

/** Always the same ones, spread by Knuth's multiplicative hash. */
const anyId = (n: number, count: number): string => sparseId((Math.imul(n, 2_654_435_761) >>> 0) % count)

async function listMs(server: Server, times: number, expected: number): Promise<number> {
  const client = await connectHttp(server.url, authorization(server))
  const ms = await p50(times, async () => {
    const begun = performance.now()
    const { status, body } = await client.request('GET', `/sessions?limit=${PAGE}`)
    const took = performance.now() - begun
    const { sessions } = JSON.parse(body.toString()) as { sessions: readonly unknown[] }
    if (status !== 200 || sessions.length !== expected) throw new Error(`GET /sessions: ${status} with ${sessions.length} of ${expected} sessions`)
    return took
  })
  client.close()
  return ms
}
