import { connectHttp } from './http-client.ts'
import { bodyOf } from './posters.ts'
import type { Server } from './processes.ts'
import { authorization, JSON_BODY } from './writers.ts'

const EVENT_BYTES = 1000
const EVENTS_PER_POST = 1000
const CONNECTIONS = 4

/** Appends events of 1 KB to a session until their bodies have `bytes`, 1000 a post over a few connections, then one more by itself. Resolves with the head, which must be the number of them. */
export async function fillSession(server: Server, session: string, bytes: number): Promise<number> {
  const total = Math.ceil(bytes / EVENT_BYTES)
  let made = 0
  const post = async (): Promise<void> => {
    const client = await connectHttp(server.url, { ...authorization(server), ...JSON_BODY })
    while (made < total) {
      const first = made + 1
      const count = Math.min(EVENTS_PER_POST, total - made)
      made += count
      const { status, body } = await client.request('POST', `/sessions/${session}/events`, bodyOf(EVENT_BYTES, first, count))
      if (status !== 201) throw new Error(`filling ${session}: ${status} ${body.toString()}`)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, post))
  const client = await connectHttp(server.url, { ...authorization(server), ...JSON_BODY })
  const { body } = await client.request('POST', `/sessions/${session}/events`, bodyOf(EVENT_BYTES, total + 1, 1))
  client.close()
  const { last_seq: head } = JSON.parse(body.toString()) as { last_seq: number }
  if (head !== total + 1) throw new Error(`filling ${session}: ${total + 1} events were appended, the head is ${head}`)
  return head
}

/** The same for a stream of the peer; resolves with the offset behind which there is only the last event, and with that event's number. */
export async function fillStream(url: string, path: string, bytes: number): Promise<{ readonly offset: string; readonly last: number }> {
  const total = Math.ceil(bytes / EVENT_BYTES)
  const client = await connectHttp(url, JSON_BODY)
  const created = await client.request('PUT', path)
  if (created.status !== 201) throw new Error(`PUT ${path}: ${created.status} ${created.body.toString()}`)
  let offset = ''
  for (let made = 0; made < total; made += EVENTS_PER_POST) {
    const { status, headers } = await client.request('POST', path, bodyOf(EVENT_BYTES, made + 1, Math.min(EVENTS_PER_POST, total - made)))
    offset = /stream-next-offset: (\S+)/.exec(headers)?.[1] ?? ''
    if ((status !== 200 && status !== 204) || offset === '') throw new Error(`filling ${path}: ${status} ${headers}`)
  }
  await client.request('POST', path, bodyOf(EVENT_BYTES, total + 1, 1))
  client.close()
  return { offset, last: total + 1 }
}
