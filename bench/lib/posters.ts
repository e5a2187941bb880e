import { itemOf } from './events.ts'
import { connectHttp } from './http-client.ts'
import type { Journal } from './journal.ts'
import { JSON_BODY, rateOf } from './writers.ts'

export interface PostingOptions {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Where the writers post, one path for each. */
  readonly paths: readonly string[]
  /** Of each event. */
  readonly bytes: number
  /** 1 posts an object, more an array. */
  readonly eventsPerPost: number
  /** What an accepted post answers. */
  readonly statuses: readonly number[]
  /** One for each path. */
  readonly journals?: readonly Journal[]
}

/** Writers over HTTP, one post in flight each; their events are numbered from 1 in each path. */
export interface Posting {
  /** Events a second over `count` of them, on keep-alive connections that are open before the clock starts. */
  measure(count: number): Promise<number>
  /** How many events each path was told so far. */
  readonly told: readonly number[]
}

export function createPosting({ url, headers = {}, paths, bytes, eventsPerPost, statuses, journals }: PostingOptions): Posting {
  const told = paths.map(() => 0)
  return {
    told,
    async measure(count) {
      const clients = await Promise.all(paths.map(() => connectHttp(url, { ...headers, ...JSON_BODY })))
      let left = Math.ceil(count / eventsPerPost)
      const posted = left * eventsPerPost
      const write = async (client: (typeof clients)[number], index: number): Promise<void> => {
        const path = paths[index] as string
        while (left > 0) {
          left--
          const first = (told[index] as number) + 1
          told[index] = first + eventsPerPost - 1
          journals?.[index]?.sent(first, eventsPerPost)
          const { status, body } = await client.request('POST', path, bodyOf(bytes, first, eventsPerPost))
          if (!statuses.includes(status)) throw new Error(`POST ${path}: ${status} ${body.toString()}`)
          journals?.[index]?.answered(body)
        }
      }
      try {
        return await rateOf(posted, () => Promise.all(clients.map(write)))
      } finally {
        for (const client of clients) client.close()
      }
    },
  }
}

/** The events from `first` on as one body. */
export function bodyOf(bytes: number, first: number, count: number): string {
  if (count === 1) return itemOf(bytes, first)
  return `[${Array.from({ length: count }, (_, index) => itemOf(bytes, first + index)).join()}]`
}
