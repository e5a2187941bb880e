import { setTimeout as pause } from 'node:timers/promises'
import { connectHttp, type HttpClient } from './http-client.ts'
import type { StormSide } from './storm-reader.ts'
import { JSON_BODY } from './writers.ts'

/** Goes on whatever happens to the server: what got no answer is sent again under the same id, so that each event is there once. */
export interface StormWriter {
  /** Ends after the event that is under way, or at once where nobody listens; resolves with the numbers of the last events, path by path. */
  stop(): Promise<readonly number[]>
}

const RETRY_MS = 100

/** Appends an event of `bytes` bytes to each path every `everyMs`; `heads` are the numbers of the last ones there. Rejects at `stop` where an append was refused. */
export function startStormWriter({ url, kind, token }: StormSide, paths: readonly string[], from: number, bytes: number, everyMs: number): StormWriter {
  let isStopped = false
  const run = async (path: string): Promise<number> => {
    let client: HttpClient | undefined
    let n = from
    while (!isStopped) {
      n++
      const text = 'x'.repeat(bytes)
      const isPeer = kind === 'durable-streams'
      const body = isPeer ? `{"n":${n},"content":"${text}"}` : `{"event_type":"message","id":"w-${n}","content":"${text}"}`
      // The peer's own way of sending again: a producer's sequence.
      const headers = isPeer ? { 'producer-id': 'writer', 'producer-epoch': '0', 'producer-seq': String(n - from - 1) } : { authorization: `Bearer ${token}` }
      for (;;) {
        try {
          client ??= await connectHttp(url)
          const answer = await client.request('POST', isPeer ? path : `/sessions/${path}/events`, body, { ...JSON_BODY, ...headers })
          if (answer.status !== 201 && answer.status !== 200 && answer.status !== 204)
            throw new Refused(`POST to ${path}: ${answer.status} ${answer.body.toString()}`)
          break
        } catch (error) {
          if (error instanceof Refused) throw error
          if (isStopped) return n - 1
          client?.close()
          client = undefined
          await pause(RETRY_MS)
        }
      }
      await pause(everyMs)
    }
    client?.close()
    return n
  }
  const runs = Promise.all(paths.map(run))
  runs.catch(() => undefined)
  return {
    stop() {
      isStopped = true
      return runs
    },
  }
}

class Refused extends Error {}
