import { itemOf } from './events.ts'
import { connectHttp, type HttpClient } from './http-client.ts'
import type { Server } from './processes.ts'
import { authorization, JSON_BODY } from './writers.ts'

const CONNECTIONS = 64

/** Sessions `idle-1` … `idle-<count>`, each a run that has got one event of 200 B, over 64 connections; `onProgress` hears of each thousandth. */
export async function createIdleSessions(server: Server, count: number, onProgress: (done: number) => void): Promise<void> {
  await eachOf(server, count, CONNECTIONS, async (client, n) => {
    const created = await client.request('POST', '/sessions', `{"session_id":"idle-${n}","session_name":"Session ${n}"}`)
    if (created.status !== 201) throw new Error(`POST /sessions: ${created.status} ${created.body.toString()}`)
    const appended = await client.request('POST', `/sessions/idle-${n}/events`, itemOf(200, n))
    if (appended.status !== 201) throw new Error(`POST events: ${appended.status} ${appended.body.toString()}`)
    if (n % 1000 === 0) onProgress(n)
  })
}

/** The same at the peer: streams of JSON with one message each, one after the other, since its pool of 100 open files may drop one that is just being written. */
export async function createIdleStreams(peer: Server, count: number): Promise<void> {
  await eachOf(peer, count, 1, async (client, n) => {
    const created = await client.request('PUT', `/idle-${n}`)
    if (created.status !== 201) throw new Error(`PUT: ${created.status} ${created.body.toString()}`)
    const appended = await client.request('POST', `/idle-${n}`, itemOf(200, n))
    if (appended.status !== 204) throw new Error(`POST: ${appended.status} ${appended.body.toString()}`)
  })
}

async function eachOf(server: Server, count: number, connections: number, act: (client: HttpClient, n: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    const client = await connectHttp(server.url, { ...authorization(server), ...JSON_BODY })
    for (let n = ++next; n <= count; n = ++next) await act(client, n)
    client.close()
  }
  await Promise.all(Array.from({ length: connections }, worker))
}
