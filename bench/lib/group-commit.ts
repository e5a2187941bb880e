import { Worker } from 'node:worker_threads'
import { itemOf } from './events.ts'

export interface GroupCommitOptions {
  /** Of the database, which is new. */
  readonly path: string
  readonly producers: number
  /** They share these evenly. */
  readonly sessions: number
  readonly bytes: number
  /** A row for each event; or for each commit and session, with all its events in it. */
  readonly rowPer: 'event' | 'commit'
}

/** SQLite behind a worker thread and nothing else: producers in this process wait each for its own durable ack, and whatever waits is one transaction. */
export interface GroupCommit {
  /** Resolves when all producers together have had `count` more events acked. */
  write(count: number): Promise<void>
  close(): Promise<void>
}

/** What goes to the worker: events of equal length, `sessions[i]` and `seqs[i]` being those of the i-th. */
export interface Batch {
  readonly sessions: Int32Array
  readonly seqs: Int32Array
  readonly bodies: Uint8Array
}

export async function openGroupCommit({ path, producers, sessions, bytes, rowPer }: GroupCommitOptions): Promise<GroupCommit> {
  const worker = new Worker(new URL('./group-commit-worker.ts', import.meta.url), { workerData: { path, bytes, rowPer } })
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve())
    worker.once('error', reject)
  })
  const heads = new Int32Array(sessions)
  /** Producers in the order in which their events went out; acks come in the same. */
  const waiting: number[] = []
  let ready = Array.from({ length: producers }, (_, index) => index)
  let made = 0
  let left = 0
  let unacked = 0
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined

  const send = (): void => {
    const count = Math.min(ready.length, left)
    if (count === 0) return
    const batch = { sessions: new Int32Array(count), seqs: new Int32Array(count), bodies: Buffer.allocUnsafeSlow(count * bytes) }
    for (let i = 0; i < count; i++) {
      const producer = ready[i] as number
      const session = producer % sessions
      const seq = (heads[session] as number) + 1
      heads[session] = seq
      batch.sessions[i] = session
      batch.seqs[i] = seq
      batch.bodies.write(itemOf(bytes, ++made), i * bytes, bytes, 'latin1')
      waiting.push(producer)
    }
    ready = ready.slice(count)
    left -= count
    worker.postMessage(batch, [batch.sessions.buffer, batch.seqs.buffer, batch.bodies.buffer])
  }

  worker.on('message', (acked: number) => {
    ready.push(...waiting.splice(0, acked))
    unacked -= acked
    if (unacked === 0) settle?.resolve()
    else send()
  })
  worker.on('error', error => settle?.reject(error))
  return {
    write(count) {
      left = unacked = count
      return new Promise((resolve, reject) => {
        settle = { resolve, reject }
        send()
      })
    },
    async close() {
      settle = undefined
      await worker.terminate()
    },
  }
}
