import { setTimeout as later } from 'node:timers/promises'
import { ownReaders } from './fan-out-sides.ts'
import { sendQueues } from './kernel-sockets.ts'
import type { Server } from './processes.ts'
import type { Group, Readers } from './readers.ts'

/** Readers that attach to a session from its start, read nothing more, and come again when they are closed. */
export async function openSlowReaders(server: Server, processes: Readers, sessionId: string, count: number): Promise<Group> {
  return processes.open({ count, ...ownReaders(server, sessionId, 'ws'), ready: '"protocol.hello"', stalls: true })
}

/** Resolves when something waits for each of them in the kernel and nothing more is written to any; throws after `withinMs`. */
export async function allFull(server: Server, count: number, withinMs: number): Promise<void> {
  const begun = performance.now()
  let before = { sockets: 0, bytes: 0 }
  let same = 0
  while (same < 4) {
    if (performance.now() - begun > withinMs) throw new Error(`after ${withinMs} ms ${before.sockets} of ${count} slow readers were full`)
    await later(250)
    const now = sendQueues(server.port)
    same = now.sockets >= count && now.bytes === before.bytes ? same + 1 : 0
    before = now
  }
}

/** Resolves when the server has let go of all of them. */
export async function allGone(server: Server): Promise<void> {
  while (sendQueues(server.port).sockets > 0) await later(100)
  // The processes take the closes in.
  await later(500)
}
