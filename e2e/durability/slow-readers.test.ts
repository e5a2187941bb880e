import { spawn } from 'node:child_process'
import net from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ROOT, type ServerProcess, startServer, until } from '../lib/process.ts'
import { recordResult } from '../lib/results.ts'
import { createRun, must } from './lib/client.ts'
import { memoryOf, noProc } from './lib/means.ts'
import { isDense, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const MiB = 2 ** 20
/** Far less than what would pile up if a queue were kept for each reader, far more than what a busy server needs. */
const BOUND_BYTES = 200 * MiB

interface Child {
  readonly seq: number
  readonly faults: readonly string[]
  readonly closes: readonly number[]
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
}

function startChild(server: ServerProcess, session: string): Child {
  const child = spawn(process.execPath, [join(ROOT, 'e2e/durability/lib/reader-child.ts'), server.url, session], {
    cwd: join(ROOT, 'e2e'),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let seq = 0
  const faults: string[] = []
  const closes: number[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    const said = JSON.parse(line) as { seq?: number; fault?: string; closed?: number }
    if (said.seq !== undefined) seq = said.seq
    if (said.fault !== undefined) faults.push(said.fault)
    if (said.closed !== undefined) closes.push(said.closed)
  })
  return {
    get seq() {
      return seq
    },
    faults,
    closes,
    signal: name => void child.kill(name),
  }
}

/** Posts so many MiB in events of 200 KB; gives the head. */
async function load(server: ServerProcess, session: string, mebibytes: number): Promise<number> {
  let head = 0
  for (let n = 0; n < mebibytes / 3; n++) {
    const answer = await must(
      server,
      'POST',
      `/sessions/${session}/events`,
      Array.from({ length: 15 }, (_, part) => ({ event_type: 'message', content: 'x'.repeat(200_000), part })),
    )
    head = answer.body?.['last_seq'] as number
  }
  return head
}

describe('slow readers', () => {
  it('[fault 16] [OPS-04] a reader process that is stopped under load is closed or waited for, and has everything once it goes on; others never wait, memory stays bounded', {
    timeout: 60_000,
  }, async context => {
    const missing = noProc()
    if (missing) return context.skip(missing)
    const server = await startServer({ env: { HOLDFAST_TIMES_STALL_MS: '1500' } })
    await createRun(server, 's')
    const child = startChild(server, 's')
    const live = watch('ws', { ...server, session: 's' })
    await load(server, 's', 3)
    await until('the child', () => child.seq === 15)
    const base = memoryOf(server.pid).nowBytes
    child.signal('SIGSTOP')
    const head = await load(server, 's', 45)
    await until('the live reader', () => live.seqs.length === head)
    expect(child.seq, 'it is stopped').toBeLessThan(head)
    // The server gives up on it, and says so in its metrics: nothing is held for it then.
    await until('it is closed', async () => /holdfast_connections\{transport="ws"\} 1$/m.test((await must(server, 'GET', '/metrics')).text))
    await load(server, 's', 3)
    child.signal('SIGCONT')
    await until(`the child at the head, it is at ${child.seq}`, () => child.seq === head + 15)
    // 4408, or 1006 where what it did not take stood before the close.
    expect(child.closes.length).toBe(1)
    expect([4408, 1006]).toContain(child.closes[0])
    expect(child.faults).toEqual([])
    // A short stop costs nothing: the socket stays.
    child.signal('SIGSTOP')
    await load(server, 's', 3)
    child.signal('SIGCONT')
    await until('the child at the head again', () => child.seq === head + 30)
    expect(child.closes.length).toBe(1)
    await until('the live reader', () => live.seqs.length === head + 30)
    expect(isDense(live.seqs, 1)).toBe(true)
    expect(live.ended).toBeUndefined()
    const { peakBytes } = memoryOf(server.pid)
    expect(peakBytes - base, `${Math.round((peakBytes - base) / MiB)} MiB more`).toBeLessThan(BOUND_BYTES)
    live.close()
    expect(await server.stop()).toBe(0)
  })

  it('[fault 16] sockets and streams that are never read cost the server no memory, and other readers nothing', async context => {
    const missing = noProc()
    if (missing) return context.skip(missing)
    const server = await startServer({ env: { HOLDFAST_TIMES_STALL_MS: '20000' } })
    await createRun(server, 's')
    await load(server, 's', 3)
    const target = new URL(server.url)
    const requests = {
      ws: `GET /ws?session_id=s HTTP/1.1\r\nHost: ${target.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      sse: `GET /sessions/s/events HTTP/1.1\r\nHost: ${target.host}\r\nAccept: text/event-stream\r\n\r\n`,
    }
    const mute = Array.from({ length: 40 }, (_, n) => {
      const socket = net.connect({ port: server.port, host: '127.0.0.1' })
      socket.pause()
      socket.write(n % 2 === 0 ? requests.ws : requests.sse)
      socket.on('error', () => undefined)
      return socket
    })
    const live = watch('ws', { ...server, session: 's' })
    await until('all of them', async () => {
      const { text } = await must(server, 'GET', '/metrics')
      return /transport="ws"\} 21$/m.test(text) && /transport="sse"\} 20$/m.test(text)
    })
    const base = memoryOf(server.pid).nowBytes
    let head = 15
    let slowestMs = 0
    for (let n = 0; n < 15; n++) {
      const beganAt = performance.now()
      head = await load(server, 's', 3)
      await until('the live reader', () => live.seqs.length === head)
      slowestMs = Math.max(slowestMs, performance.now() - beganAt)
    }
    const { peakBytes } = memoryOf(server.pid)
    recordResult('40 readers that never read 45 MiB', { more_rss_mib: Math.round((peakBytes - base) / MiB), slowest_3_mib_ms: Math.round(slowestMs) })
    expect(peakBytes - base, `${Math.round((peakBytes - base) / MiB)} MiB more`).toBeLessThan(BOUND_BYTES)
    expect(isDense(live.seqs, 1)).toBe(true)
    for (const socket of mute) socket.destroy()
    live.close()
    expect(await server.stop()).toBe(0)
  })
})
