import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { findRuntimes, type Program, startProgram } from './runtimes.ts'

const TOTAL = 60
const runtimes = findRuntimes()
/** Each on each transport; Node 20 has no WebSocket of its own, so it falls back by itself. */
const programs = runtimes.flatMap(({ name, command }) =>
  (['ws', 'sse', 'poll'] as const).map(transport => ({ name, command, transport, session: `${name.replace(' ', '')}-${transport}` })),
)
const running = new Map<string, Program>()

const headOf = async (session: string): Promise<number> =>
  ((await (await fetch(`${server?.url}/sessions/${session}`)).json()) as { session: { head_seq: number } }).session.head_seq

let server: ServerProcess | undefined
beforeAll(async () => {
  const [port, dataDir] = [await freePort(), tempDir()]
  const start = (): Promise<ServerProcess> => startServer({ port, dataDir, env: { HOLDFAST_LOG_LEVEL: 'error' } })
  server = await start()
  for (const { session, command, transport } of programs) {
    if (!command) continue
    const body = JSON.stringify({ session_id: session, session_name: session })
    await fetch(`${server.url}/sessions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    running.set(session, startProgram(command, [server.url, session, transport, String(TOTAL)]))
  }
  await Promise.all([...running.values()].map(program => program.half))
  for (const program of running.values()) program.go()
  // In the middle of what each appends one after the other.
  await Promise.all([...running.keys()].map(session => until(`${session} at work`, async () => (await headOf(session)) > TOTAL / 2)))
  await server.kill()
  server = await start()
}, 120_000)
afterAll(async () => {
  for (const program of running.values()) program.end()
  await server?.stop()
})

const dense = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

describe.each(programs)('under $name over $transport', ({ name, command, transport, session }) => {
  test.skipIf(!command)('[CLI-05] [SEQ-03] [SEQ-18] follows and produces through a kill -9: every item once, in order, acked with its seq', async () => {
    const { seqs, acks, errors, used } = await (running.get(session) as Program).result
    expect(errors).toEqual([])
    expect(seqs).toEqual(dense(TOTAL))
    expect(acks).toEqual(dense(TOTAL).map(n => ({ n, seq: n })))
    expect(used).toBe(name === 'Node 20' && transport === 'ws' ? 'sse' : transport)
    const page = (await (await fetch(`${server?.url}/sessions/${session}/events?limit=1000`)).json()) as { events: { payload: { content: string } }[] }
    expect(page.events.map(event => event.payload.content)).toEqual(dense(TOTAL).map(n => `text ${n} é😀`))
  })
})
