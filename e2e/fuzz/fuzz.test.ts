import { readdirSync, readFileSync } from 'node:fs'
import { createSeededRandom } from '@holdfast/testkit/sim'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type ServerProcess, startServer, until } from '../lib/process.ts'
import { recordResult } from '../lib/results.ts'
import { beginRound, sessionsOf, startsGeneration } from './pieces.ts'
import { bytesRound, closeAgent, httpRound, type Outcome, socketRound } from './rounds.ts'

const seed = Number(process.env.HOLDFAST_SEED ?? 1)
const ROUNDS = 5000 * Number(process.env.HOLDFAST_ROUNDS ?? 1)
const LANES = 24
const CANARY_EVERY = 50
const MiB = 1024 * 1024

/** Answers that any run of this length has seen. */
const REACHED = [
  ...[
    '200',
    '201',
    '202',
    '204',
    'stream',
    'invalid_request',
    'invalid_cursor',
    'id_mismatch',
    'unauthorized',
    'origin_rejected',
    'not_found',
    'conflict',
    'session_deleted',
    'unsupported_media_type',
  ],
  ...['raw 101', 'raw hello', 'raw invalid_request', 'raw not_found'],
]

let server: ServerProcess
let token: string
beforeAll(async () => {
  server = await startServer({ env: { HOLDFAST_LIMITS_REQUESTS_PER_SECOND: '1000000', HOLDFAST_LIMITS_CONNECTIONS: '100000', HOLDFAST_LOG_LEVEL: 'warn' } })
  token = readFileSync(server.tokenFile as string, 'utf8').trim()
})
afterAll(async () => {
  closeAgent()
  expect(await server?.stop()).toBe(0)
})

const call = async (method: string, path: string, body?: unknown): Promise<Response> =>
  fetch(server.url + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) })
const metric = async (name: string): Promise<number> => {
  const text = await (await call('GET', '/metrics')).text()
  return Number(
    text
      .split('\n')
      .find(line => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  )
}
const connections = async (): Promise<number> => {
  const text = await (await call('GET', '/metrics')).text()
  return [...text.matchAll(/^holdfast_connections\{[^}]*\} (\d+)$/gm)].reduce((sum, match) => sum + Number(match[1]), 0)
}
/** Open files of the server, sockets among them; 0 where the system does not show them. */
const openFiles = (): number => {
  try {
    return readdirSync(`/proc/${server.pid}/fd`).length
  } catch {
    return 0
  }
}

/** One socket that is open all the time, appends, and must see every event once. */
async function startCanary(): Promise<{ append(): Promise<void>; readonly seqs: readonly number[]; close(): void }> {
  await call('POST', '/sessions', { session_id: 'canary', session_name: 'canary' })
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?session_id=canary&client_id=canary`)
  const seqs: number[] = []
  const answers = new Map<string, (type: string) => void>()
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve)
    socket.on('error', reject)
  })
  socket.on('message', data => {
    const message = JSON.parse((data as Buffer).toString()) as { type: string; header: { seq?: number; reply_to?: string } }
    if (message.header.seq !== undefined) seqs.push(message.header.seq)
    if (message.header.reply_to !== undefined) answers.get(message.header.reply_to)?.(message.type)
  })
  let sent = 0
  return {
    seqs,
    close: () => socket.terminate(),
    append() {
      const id = `canary-${++sent}`
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`the canary's append ${sent} had no answer`)), 10_000)
        answers.set(id, type => {
          clearTimeout(timer)
          answers.delete(id)
          if (type === 'protocol.ack') resolve()
          else reject(new Error(`the canary's append was answered with ${type}`))
        })
        socket.send(
          JSON.stringify({ type: 'session.append', header: { id, session_id: 'canary' }, payload: { events: [{ id, event_type: 'message', content: id }] } }),
        )
      })
    },
  }
}

test(
  `[OPS-02] [OPS-03] [fault 29] whatever is sent (${ROUNDS} rounds, seed ${seed}) is answered by the error table or cut off; nothing crashes, leaks or gets stuck, and others go on`,
  async () => {
    const makeSessions = (number: number): Promise<unknown> =>
      Promise.all(sessionsOf(number).map(id => call('POST', '/sessions', { session_id: id, session_name: id })))
    await makeSessions(0)
    const canary = await startCanary()
    const reached = new Map<string, number>()
    const target = { port: server.port, token, count: (what: string) => void reached.set(what, (reached.get(what) ?? 0) + 1) }
    const faults: string[] = []
    let round = 0
    let appended = 0
    const warm = { rss: 0, files: 0 }
    const lane = async (): Promise<void> => {
      while (round < ROUNDS && faults.length < 10) {
        const number = ++round
        // A generator of its own for each round: lanes may overtake each other, and a round can be run alone.
        if (startsGeneration(number)) await makeSessions(number)
        const random = createSeededRandom(seed * 1_000_003 + number)
        beginRound(number)
        const kind = random.weighted({ http: 6, bytes: 2, socket: 3 })
        const outcome: Outcome = await (kind === 'http' ? httpRound : kind === 'bytes' ? bytesRound : socketRound)(random, target)
        if (outcome !== undefined) faults.push(`round ${number} (${kind}): ${outcome}`)
        if (number % CANARY_EVERY === 0) {
          appended++
          await canary.append()
        }
        if (number === Math.floor(ROUNDS / 5)) warm.rss = await metric('process_resident_memory_bytes')
      }
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    expect(faults).toEqual([])
    // Rounds that reach nothing find nothing.
    for (const what of REACHED) expect(reached.keys()).toContain(what)

    closeAgent()
    // The canary's socket is the only one left.
    await until('all other connections are gone', async () => (await connections()) === 1, 40_000)
    await until('their files are closed', () => openFiles() < 100, 40_000)
    const text = await (await call('GET', '/metrics')).text()
    expect(text).not.toContain('code="internal"')
    expect(server.stderr()).not.toContain('"level":"error"')
    const grown = (await metric('process_resident_memory_bytes')) - warm.rss
    expect(grown).toBeLessThan(200 * MiB)

    for (let n = 0; n < 20; n++, appended++) await canary.append()
    await until('the canary saw all', () => canary.seqs.length >= appended)
    expect(canary.seqs).toEqual(Array.from({ length: appended }, (_, index) => index + 1))
    const page = (await (await call('GET', `/sessions/canary/events?after=${appended - 20}`)).json()) as {
      events: { header: { seq: number } }[]
      head_seq: number
    }
    expect([page.events.length, page.head_seq]).toEqual([20, appended])
    canary.close()
    recordResult('fuzz of requests, bytes and frames', { rounds: ROUNDS, seed, faults: faults.length, grownBytes: grown, reached: [...reached.keys()].length })
  },
  120_000 + ROUNDS * 20,
)
