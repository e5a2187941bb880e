import net from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import WebSocket from 'ws'
import { startServer, tempDir, until } from '../lib/process.ts'
import { holdfast } from './lib/cli.ts'
import { call, codeOf, createAcked, createRun, item, must, post, readLog } from './lib/client.ts'
import { isDense, THREE, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

/** A WebSocket that never reads and never answers: a drain has to do without it. */
function muteSocket(port: number, session: string): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' })
  socket.pause()
  socket.write(
    `GET /ws?session_id=${session} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  )
  socket.on('error', () => undefined)
  return socket
}

describe('SIGTERM', () => {
  it('[OPS-05] under load: everybody is told, the server exits with 0 in 10 s, all that was acked is there, and the next start goes on in the same epoch', async () => {
    const dataDir = tempDir()
    const server = await startServer({ dataDir })
    const acked = createAcked()
    await createRun(server, 's')
    await createRun(server, 'idle')
    const readers = THREE.map(transport => watch(transport, { ...server, session: 's' }))
    await until('the readers', () => readers.every(reader => reader.caughtUp))
    const { epoch } = await readLog(server, 's')
    const waiting = call(server, 'GET', '/sessions/idle/events?after=0&wait=30000')
    const mute = muteSocket(server.port, 's')
    await until('it is attached', async () => /transport="ws"\} 2$/m.test((await must(server, 'GET', '/metrics')).text))
    const refused = new Set<string>()
    const load = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; ; n++) {
        const answer = await post(server, 's', [item(`w${writer}-${n}`, 'x'.repeat(500))]).catch(() => undefined)
        if (answer?.status === 201) acked.note(answer)
        else if (answer) refused.add(`${answer.status} ${codeOf(answer)}`)
        if (answer?.status !== 201) return
      }
    })
    await until('some load', () => acked.count > 100)
    const beganAt = performance.now()
    server.signal('SIGTERM')
    const ready = await until('readyz says so', async () => {
      const answer = await call(server, 'GET', '/readyz')
      return answer.status === 200 ? undefined : answer
    })
    expect([ready.status, codeOf(ready)]).toEqual([503, 'draining'])
    expect((await call(server, 'GET', '/healthz')).status, 'alive until it is gone').toBe(200)
    const poll = await waiting
    expect([poll.status, poll.body?.['events']], 'a waiting poll answers empty').toEqual([200, []])
    expect(await server.exited).toBe(0)
    const tookMs = performance.now() - beganAt
    expect(tookMs).toBeLessThan(10_000)
    await Promise.all(load)
    for (const refusal of refused) expect(refusal).toBe('503 draining')
    mute.destroy()
    const [socket, stream] = readers
    for (const reader of [socket, stream]) expect(reader?.told('protocol.goaway')?.['reconnect_in_ms'], reader?.transport).toEqual(expect.any(Number))
    expect([socket?.ended?.code, stream?.ended?.code]).toEqual([1001, 200])
    for (const reader of readers) {
      expect(isDense(reader.seqs, 1), reader.transport).toBe(true)
      reader.close()
    }

    const next = await startServer({ dataDir })
    const log = await readLog(next, 's')
    expect(log.epoch).toBe(epoch)
    expect(acked.missingFrom(log)).toEqual([])
    expect(await next.stop()).toBe(0)
    process.stdout.write(`drain under load with a socket that never answers: ${Math.round(tookMs)} ms, ${acked.count} acked\n`)
  })

  it('[OPS-05] [OPS-01] logs are JSON lines on stderr that hold no token, no ticket and nothing that anybody typed', async () => {
    const token = 'tok-of-admin-0123456789abcdef0123456789abcdef'
    const admin = { authorization: `Bearer ${token}` }
    const server = await startServer({ args: ['--token', token], env: { HOLDFAST_LOG_LEVEL: 'debug' } })
    const target = { url: server.url, headers: admin }
    await createRun(target, 's')
    const minted = (await must(target, 'POST', '/tokens', { subject: 'ann', scopes: ['read', 'write', 'produce'] })).body as { token: string; id: string }
    const { ticket } = (await must(target, 'POST', '/tickets', { session_id: 's', scope: 'read' })).body as { ticket: string }
    await must(target, 'POST', '/sessions/s/events', [item('typed', 'typed-words')])
    await must(target, 'POST', '/sessions/s/inputs', { type: 'session.rename', id: 'r', payload: { session_name: 'typed-name' } })
    const told: number[] = []
    for (const url of [`/ws?session_id=s&ticket=${ticket}`, `/ws?session_id=s&ticket=${ticket}`, '/ws?session_id=s']) {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}${url}`)
      if (!url.includes('ticket')) socket.on('open', () => socket.send(JSON.stringify({ type: 'protocol.auth', payload: { token: 'tok-of-nobody-typed' } })))
      socket.on('message', () => url.includes('ticket') && socket.close())
      socket.on('close', code => told.push(code))
      socket.on('error', () => undefined)
    }
    await until('the sockets', () => told.length === 3)
    expect((await call({ url: server.url, headers: { authorization: 'Bearer tok-of-nobody-typed' } }, 'GET', '/sessions')).status).toBe(401)
    expect((await call(target, 'POST', '/sessions/s/events', '{"broken typed-words', { 'content-type': 'application/json' })).status).toBe(400)
    expect((await call(target, 'POST', '/sessions/s/events', [{ event_type: 'typed-words!', id: 'typed words' }])).status).toBe(400)
    await must(target, 'DELETE', `/tokens/${minted.id}`)
    expect(await server.stop()).toBe(0)
    const lines = server
      .stderr()
      .split('\n')
      .filter(line => line !== '')
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), time: expect.any(String), msg: expect.any(String) })
    for (const secret of [token, minted.token, ticket, 'typed-words', 'typed-name', 'tok-of-nobody-typed']) expect(server.stderr()).not.toContain(secret)
  })

  it('[OPS-05] doctor finds a healthy folder healthy while the server runs, after a stop, and after a kill -9', async () => {
    const dataDir = tempDir()
    const doctor = (url: string) => holdfast(['doctor', '--data-dir', dataDir, '--url', url])
    const server = await startServer({ dataDir })
    await createRun(server, 's')
    for (let n = 0; n < 5; n++)
      await must(
        server,
        'POST',
        '/sessions/s/events',
        Array.from({ length: 100 }, (_, part) => item(`i${n}-${part}`, 'x'.repeat(1000))),
      )
    const running = await doctor(server.url)
    expect(running.code, running.out).toBe(0)
    expect(running.out).toContain(server.url)
    await server.kill()
    const killed = await doctor(server.url)
    expect(killed.code, killed.out).toBe(0)
    const next = await startServer({ dataDir })
    expect(await next.stop()).toBe(0)
    const stopped = await doctor(server.url)
    expect(stopped.code, stopped.out).toBe(0)
  })
})
