import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { call, createRun, item, must, readLog } from './lib/client.ts'
import { faketimeLibrary, noFaketime } from './lib/means.ts'
import { isDense, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const SESSIONS = ['s0', 's1', 's2']
const SWEEP_MS = 100

interface Clocked {
  readonly dataDir: string
  /** As libfaketime reads it: `+25h`, `-1h`, `+0`. */
  set(offset: string): void
  start(): Promise<ServerProcess>
}

/** Servers whose wall clock can be moved while they run; `alsoSteady` moves the clock that must never be moved, too. */
function clocked(alsoSteady = false): Clocked {
  const control = join(tempDir(), 'clock')
  const dataDir = tempDir()
  writeFileSync(control, '+0')
  return {
    dataDir,
    set: offset => writeFileSync(control, offset),
    start: () =>
      startServer({
        dataDir,
        env: {
          LD_PRELOAD: faketimeLibrary() as string,
          FAKETIME_TIMESTAMP_FILE: control,
          FAKETIME_NO_CACHE: '1',
          ...(alsoSteady ? {} : { FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }),
          HOLDFAST_IDLE_EXPIRY_MS_RUN: '24h',
          HOLDFAST_RETENTION_RUN_MAX_AGE_MS: '48h',
          HOLDFAST_TIMES_SWEEP_MS: String(SWEEP_MS),
        },
      }),
  }
}

/** The server's own date, from its answers' head. */
const hoursAhead = async (server: ServerProcess): Promise<number> => {
  const { headers } = await call(server, 'GET', '/healthz')
  return Math.round((Date.parse(String(headers.date)) - Date.now()) / 3_600_000)
}

/** Some sweeps go by. */
async function sweeps(): Promise<void> {
  const end = performance.now() + 6 * SWEEP_MS
  await until('some sweeps', () => performance.now() > end)
}

const statesOf = (server: ServerProcess): Promise<unknown[]> =>
  Promise.all(SESSIONS.map(async id => (await must(server, 'GET', `/sessions/${id}/status`)).body?.['state']))

it('[fault 15] the clock jumps by an hour back and forward and by more than a day: seqs go on, nothing expires, nobody is cut off', async context => {
  const missing = noFaketime()
  if (missing) return context.skip(missing)
  const clock = clocked()
  const server = await clock.start()
  for (const id of SESSIONS) await createRun(server, id)
  const readers = (['ws', 'sse', 'poll'] as const).map(transport => watch(transport, { ...server, session: 's0' }))
  await until('the readers', () => readers.every(reader => reader.caughtUp))
  const { epoch } = await readLog(server, 's0')
  let count = 0
  for (const [offset, hours] of [
    ['+1h', 1],
    ['+0', 0],
    ['-1h', -1],
    ['+25h', 25],
    ['-24h', -24],
    ['+400d', 9600],
  ] as const) {
    await must(server, 'POST', '/sessions/s0/events', [item(`before${count}`, 'x')])
    clock.set(offset)
    await until(`the clock at ${offset}`, async () => (await hoursAhead(server)) === hours)
    await must(server, 'POST', '/sessions/s0/events', [item(`after${count}`, 'x')])
    count += 2
    await sweeps()
    expect(await statesOf(server), `all is there at ${offset}`).toEqual(['running', 'running', 'running'])
    await until(`the readers at ${offset}`, () => readers.every(reader => reader.seqs.length === count))
  }
  for (const reader of readers) {
    expect([reader.transport, reader.ended, reader.errors]).toEqual([reader.transport, undefined, []])
    expect(isDense(reader.seqs, 1)).toBe(true)
    reader.close()
  }
  expect((await readLog(server, 's0')).floor, 'nothing was trimmed').toBe(0)
  // A start reads the clock as it is: an hour behind what is stored changes no seq and no epoch.
  await server.kill()
  clock.set('-1h')
  const next = await clock.start()
  await must(next, 'POST', '/sessions/s0/events', [item('next', 'x')])
  const log = await readLog(next, 's0')
  expect([log.epoch, log.head]).toEqual([epoch, count + 1])
  await sweeps()
  expect(await statesOf(next)).toEqual(['running', 'running', 'running'])
  expect(await next.stop()).toBe(0)
})

it('[fault 15] were the steady clock moved too, the same look would see sessions expire', async context => {
  const missing = noFaketime()
  if (missing) return context.skip(missing)
  const clock = clocked(true)
  const server = await clock.start()
  for (const id of SESSIONS) await createRun(server, id)
  clock.set('+25h')
  await until('the expiry', async () => (await statesOf(server)).every(state => state === 'expired'))
  await server.kill()
})
