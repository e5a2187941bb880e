import { createJournal, type Journal } from './journal.ts'
import type { Server } from './processes.ts'
import { createRuns, openSocketWriter, rateOf } from './writers.ts'

export interface SocketWritersOptions {
  readonly server: Server
  /** Sockets, each with a session of its own. */
  readonly sockets: number
  readonly inFlight: number
  /** Of each event. */
  readonly bytes: number
  /** What the sessions' ids begin with. */
  readonly prefix: string
}

export interface SocketWriters {
  readonly journals: readonly Journal[]
  /** Events a second over `count` of them, shared evenly. */
  measure(count: number): Promise<number>
  close(): void
}

/** Creates the sessions and opens the sockets. */
export async function openSocketWriters({ server, sockets, inFlight, bytes, prefix }: SocketWritersOptions): Promise<SocketWriters> {
  const journals = Array.from({ length: sockets }, (_, index) => createJournal(`${prefix}-${index}`))
  await createRuns(
    server,
    journals.map(journal => journal.session),
  )
  const writers = await Promise.all(journals.map(journal => openSocketWriter({ server, sessionOf: () => journal.session, bytes, inFlight, journal })))
  return {
    journals,
    measure: count => {
      const each = Math.ceil(count / sockets)
      return rateOf(each * sockets, () => Promise.all(writers.map(writer => writer.write(each))))
    },
    close() {
      for (const writer of writers) writer.close()
    },
  }
}
