import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Context } from './case.ts'
import { connectHttp } from './http-client.ts'
import { startDurableStreams } from './peers.ts'
import { type Server, startHoldfast } from './processes.ts'
import { textItemOf } from './text-events.ts'
import { createRuns, JSON_BODY, openSocketWriter } from './writers.ts'

/** What a log to be read is made of. */
export interface LogPlan {
  readonly id: string
  readonly events: number
  /** Each event as JSON has so many. */
  readonly bytes: number
  /** How many are posted at once; the peer keeps what came together as one message. */
  readonly batch?: number
}

/** A log without appends for ten seconds is compressed at the next sweep, which would fall into the middle of a measure: held off for an hour. */
export const NOT_YET_COMPRESSED = { HOLDFAST_TIMES_COLD_AFTER_MS: '3600000' } as const

/** A data folder with these logs, each event an append of its own; the server that wrote it is gone, so no tail is in memory. */
export async function fillHoldfast(context: Context, plans: readonly LogPlan[]): Promise<string> {
  const server = await startHoldfast(context, { env: NOT_YET_COMPRESSED })
  await createRuns(
    server,
    plans.map(plan => plan.id),
  )
  for (const { id, events, bytes } of plans) {
    const writer = await openSocketWriter({ server, sessionOf: () => id, bytes, inFlight: 512, item: textItemOf })
    await writer.write(events)
    writer.close()
  }
  await server.kill()
  return server.dataDir as string
}

/** A copy of the folder in which the logs have been compressed, as the server does with logs that have been idle for about a minute. */
export async function compressedCopy(context: Context, dataDir: string, plainBytes: number): Promise<string> {
  const copy = `${dataDir}-compressed`
  cpSync(dataDir, copy, { recursive: true })
  const server = await startHoldfast(context, { dataDir: copy, env: { HOLDFAST_TIMES_SWEEP_MS: '200', HOLDFAST_TIMES_COLD_AFTER_MS: '100' } })
  const deadline = performance.now() + 60_000
  // The text compresses to less than a third; small blocks at a log's end may stay.
  while (bytesBelow(join(copy, 'segments')) > plainBytes / 2.5) {
    if (performance.now() > deadline) throw new Error(`the logs were not compressed within a minute: ${bytesBelow(join(copy, 'segments'))} bytes are left`)
    await pause(100)
  }
  await server.kill()
  return copy
}

const bytesBelow = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false })
    return sum + (stat?.isFile() ? stat.size : 0)
  }, 0)

const MEMORY_DISK = '/dev/shm'

/** The peer with these logs in its file store, started anew. It is filled on a memory disk, where there is one, since its sync of each append is not what is measured. */
export async function filledPeer(context: Context, plans: readonly LogPlan[]): Promise<Server> {
  const filling = mkdtempSync(join(existsSync(MEMORY_DISK) ? MEMORY_DISK : context.folder, 'holdfast-bench-'))
  const dataDir = join(context.folder, `peer-${performance.now()}`)
  const remove = (): void => rmSync(filling, { recursive: true, force: true })
  process.once('exit', remove)
  context.defer(remove)
  const server = await startDurableStreams(context, { dataDir: filling })
  const client = await connectHttp(server.url)
  for (const { id, events, bytes, batch = 1 } of plans) {
    await client.request('PUT', id, undefined, JSON_BODY)
    for (let n = 1; n <= events; n += batch) {
      const items = Array.from({ length: Math.min(batch, events - n + 1) }, (_, i) => textItemOf(bytes, n + i))
      const { status, body } = await client.request('POST', id, batch === 1 ? items[0] : `[${items.join(',')}]`, JSON_BODY)
      if (status !== 204) throw new Error(`POST ${id}: ${status} ${body.toString()}`)
    }
  }
  client.close()
  await server.kill()
  cpSync(filling, dataDir, { recursive: true })
  remove()
  return startDurableStreams(context, { dataDir })
}
