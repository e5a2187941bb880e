import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { generated } from './lib/generator.mjs'
import { type ServerProcess, startServer, tempDir, until } from './lib/process.ts'
import { recordResult } from './lib/results.ts'

const seed = Number(process.env.HOLDFAST_SEED ?? 1)
const rounds = Number(process.env.HOLDFAST_ROUNDS ?? 1)

const GENERATOR = fileURLToPath(new URL('./lib/generator.mjs', import.meta.url))
const BYTES = 12_000_000
const KILLS = 5

interface Page {
  readonly events: readonly { readonly type: string; readonly header: { readonly seq: number }; readonly payload: Record<string, string | number | null> }[]
  readonly next_after: number
  readonly has_more: boolean
}

/** Random, and the same for a seed. */
function chance(from: number): () => number {
  let state = from >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

function ask(server: ServerProcess, token: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** The whole log, its seqs checked to be dense. */
async function readLog(server: ServerProcess, token: string, id: string): Promise<Page['events']> {
  const events: Page['events'][number][] = []
  for (let after = 0; ; ) {
    const page = (await (await ask(server, token, 'GET', `/sessions/${id}/events?after=${after}&limit=1000`)).json()) as Page
    for (const event of page.events) if (event.header.seq !== ++after) throw new Error(`seq ${event.header.seq} after ${after - 1}`)
    events.push(...page.events)
    if (!page.has_more) return events
  }
}

const bytesOf = (events: Page['events']): Buffer =>
  Buffer.concat(
    events
      .filter(event => event.type === 'terminal.output')
      .map(({ payload }) => (payload['text'] === undefined ? Buffer.from(String(payload['base64']), 'base64') : Buffer.from(String(payload['text'])))),
  )

describe('kill -9 under a terminal', () => {
  it(
    `[TERM-04] [fault 25] [fault 30] the server is killed over and over while a program prints: every byte is in the log, once, in order (seed ${seed})`,
    async () => {
      const random = chance(seed * 7919)
      let kills = 0
      let inFlight = 0
      for (let round = 0; round < rounds; round++) {
        const dataDir = tempDir()
        let server = await startServer({ dataDir })
        const token = readFileSync(server.tokenFile as string, 'utf8').trim()
        const made = await ask(server, token, 'POST', '/sessions', {
          session_id: 't',
          kind: 'terminal',
          terminal: {
            command: 'sh',
            args: ['-c', `stty -opost -echo; ${process.execPath} ${GENERATOR} ${seed + round} ${BYTES}; sleep 0.2; printf end; exit 5`],
          },
        })
        expect(made.status).toBe(201)
        for (let kill = 0; kill < KILLS; kill++) {
          await new Promise(resolve => setTimeout(resolve, random() * 250))
          // A stop as it should be lets go of the program just the same.
          if (random() < 0.2) expect(await server.stop()).toBe(0)
          else {
            await server.kill()
            kills++
          }
          server = await startServer({ dataDir })
          const { session } = (await (await ask(server, token, 'GET', '/sessions/t')).json()) as { session: { status: string } }
          if (session.status === 'running') inFlight++
        }
        const events = await until(
          'the exit',
          async () => {
            const log = await readLog(server, token, 't')
            return log.at(-1)?.type === 'terminal.exited' ? log : undefined
          },
          60_000,
        )
        expect(events.at(-1)?.payload).toEqual({ exit_code: 5, signal: null })
        expect(events.filter(event => event.type === 'terminal.started')).toHaveLength(1)
        const bytes = bytesOf(events)
        const expected = Buffer.concat([generated(seed + round, BYTES), Buffer.from('end')])
        expect(bytes.length).toBe(expected.length)
        expect(bytes.equals(expected), 'byte for byte').toBe(true)
        const snapshot = (await (await ask(server, token, 'GET', '/sessions/t/snapshot')).json()) as { seq: number; state: { screen: string } }
        expect(snapshot.seq).toBeGreaterThan(0)
        expect(await server.stop()).toBe(0)
      }
      recordResult('kill -9 while a terminal prints', { rounds, kills, killsInOutput: inFlight, bytes: rounds * BYTES, seed })
      expect(inFlight).toBeGreaterThan(0)
    },
    120_000 + 30_000 * rounds,
  )
})
