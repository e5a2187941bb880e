import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from './case.ts'
import { median } from './figures.ts'
import { type Server, type ServerOptions, startHoldfast } from './processes.ts'
import { openPlainTable } from './sqlite-commit.ts'
import { openSocketWriter } from './writers.ts'

/** The median of `times` figures after as many that do not count: a server that was just started compiles its code meanwhile. */
export async function p50(times: number, once: () => Promise<number>): Promise<number> {
  const taken: number[] = []
  for (let i = -times; i < times; i++) {
    const figure = await once()
    if (i >= 0) taken.push(figure)
  }
  return median(taken)
}

/** ms that `act` takes. */
export async function msOf(act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await act()
  return performance.now() - begun
}

/** Median ms from an append of 200 B over an open socket to its ack, one in flight, and of a plain SQLite commit of as much in this process: in turn, so that disk and processor are in the same state. */
export interface AppendTimes {
  readonly append: number
  readonly disk: number
}

/** `sessionOf` is asked once for each append. */
export async function appendMs(context: Context, server: Server, times: number, sessionOf: (n: number) => string): Promise<AppendTimes> {
  const writer = await openSocketWriter({ server, sessionOf, bytes: 200, inFlight: 1 })
  const table = openPlainTable(join(context.folder, `plain-${performance.now()}.db`))
  const commits: number[] = []
  const append = await p50(times, async () => {
    commits.push(await msOf(async () => table.commit(1, 200)))
    return msOf(() => writer.write(1))
  })
  table.close()
  writer.close()
  return { append, disk: median(commits.slice(-times)) }
}

/** A data folder whose server is killed and started over and over. */
export interface Restarting {
  readonly server: Server
  /** kill -9, then a start on the same folder; its time to ready counts. */
  restart(env?: ServerOptions['env']): Promise<Server>
  /** The median ms from the spawn of node until it accepted connections, of the restarts since the last call. */
  readyMs(): number
}

export async function startRestarting(context: Context, dataDir: string, env: NonNullable<ServerOptions['env']>): Promise<Restarting> {
  let server = await startHoldfast(context, { dataDir, env })
  let taken: number[] = []
  return {
    get server() {
      return server
    },
    async restart(more = {}) {
      await server.kill()
      server = await startHoldfast(context, { dataDir, env: { ...env, ...more } })
      taken.push(server.readyMs)
      return server
    },
    readyMs() {
      const ms = median(taken)
      taken = []
      return ms
    },
  }
}

/** µs of CPU that all threads of a process have used; the kernel counts them in ns. */
export function cpuUsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`)
  return tasks.reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1000
}
