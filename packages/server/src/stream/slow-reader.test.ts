import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { message, startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { openRaw } from '../testing/raw-client.ts'
import { until } from '../testing/until.ts'

let server: TestServer
afterEach(async () => server.stop())

const MiB = 1024 * 1024
const fill = async (id: string, mebibytes: number): Promise<void> => {
  await server.run(id)
  const batch = Array.from({ length: 20 }, () => message('x'.repeat(50_000)))
  for (let n = 0; n < mebibytes; n++) await server.append(id, batch)
}
const connections = async (transport: string): Promise<number> =>
  Number(new RegExp(`holdfast_connections\\{transport="${transport}"\\} (\\d+)`).exec((await server.call('GET', '/metrics')).text)?.[1])
const heldBytes = (): number => process.memoryUsage().external + process.memoryUsage().arrayBuffers

/** An upgrade by hand, so that nothing reads what comes. */
const handshake = (path: string, port: number): string =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`

/** A masked frame, as clients send it. */
function clientFrame(opcode: number, payload: Buffer): Buffer {
  const head =
    payload.length < 126
      ? Buffer.from([0x80 | opcode, 0x80 | payload.length])
      : Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 255])
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

test('[fault 16] [OPS-04] readers that never read cost a cursor each: memory is bounded, others get everything at once', async () => {
  server = await startTestServer({ env: { TIMES_STALL_MS: '60s', TAIL_SESSION_BYTES: '64KiB', TAIL_TOTAL_BYTES: '1MiB' } })
  await fill('s', 20)
  const stuck: net.Socket[] = []
  const before = heldBytes()
  for (let n = 0; n < 30; n++) {
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.pause()
    socket.write(
      n % 2 === 0
        ? handshake('/ws?session_id=s', server.port)
        : `GET /sessions/s/events HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAccept: text/event-stream\r\n\r\n`,
    )
    stuck.push(socket)
  }
  await until('all attached', async () => (await connections('ws')) + (await connections('sse')) === 30)
  const client = server.socket('/ws?session_id=s')
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  expect(client.seqs('s').length).toBe(400)
  for (let n = 0; n < 20; n++) {
    const start = performance.now()
    await server.append('s', message(`live ${n}`))
    await until('it', () => client.seqs('s').at(-1) === 401 + n)
    expect(performance.now() - start).toBeLessThan(500)
  }
  // 30 backlogs of 20 MB would be 600 MB; a turn each is a few.
  expect(heldBytes() - before).toBeLessThan(120 * MiB)
  for (const socket of stuck) socket.destroy()
  await until('all gone', async () => (await connections('ws')) + (await connections('sse')) === 1)
})

test('[fault 16] one that takes nothing is closed, a slow one that takes a little is not', async () => {
  server = await startTestServer({ env: { TIMES_STALL_MS: '1s', TIMES_HEARTBEAT_MS: '200', TIMES_SILENCE_MS: '60s' } })
  await fill('s', 30)
  const never = net.connect(server.port, '127.0.0.1')
  never.on('error', () => undefined)
  never.pause()
  never.write(handshake('/ws?session_id=s', server.port))
  const neverStream = await server.stream('/sessions/s/events')
  neverStream.response.pause()
  const slow = server.socket('/ws?session_id=s')
  slow.socket.pause()
  await until('all attached', async () => (await connections('ws')) + (await connections('sse')) === 3)
  const sip = setInterval(() => {
    slow.socket.resume()
    setTimeout(() => slow.socket.pause(), 5)
  }, 100)
  await until('the two are gone', async () => (await connections('ws')) === 1 && (await connections('sse')) === 0, 15_000)
  expect(slow.socket.readyState).toBe(slow.socket.OPEN)
  clearInterval(sip)
  slow.socket.resume()
  await slow.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  expect(slow.seqs('s')).toEqual(Array.from({ length: 600 }, (_, index) => index + 1))
  never.destroy()
})

test.each([
  ['pings of the protocol', 1, '{"type":"protocol.ping"}'],
  ['nonsense', 1, '{'],
  ['pings of WebSocket', 9, 'x'.repeat(125)],
])('[fault 16] one that sends %s and never reads the answers is held back and dropped', async (_name, opcode, payload) => {
  server = await startTestServer({ env: { TIMES_STALL_MS: '1s', TIMES_HEARTBEAT_MS: '200', TIMES_SILENCE_MS: '60s' } })
  const raw = openRaw(server.port, handshake('/ws', server.port))
  await raw.next('the upgrade', received => received.includes('101'))
  raw.socket.pause()
  const before = heldBytes()
  const frames = Buffer.concat(Array.from({ length: 2000 }, () => clientFrame(opcode, Buffer.from(payload))))
  let peak = 0
  const gone = new Promise<void>(resolve => raw.socket.once('close', () => resolve()))
  let isGone = false
  void gone.then(() => {
    isGone = true
  })
  const pour = (): void => {
    while (!isGone && raw.socket.writableLength < 4 * MiB) raw.socket.write(frames)
  }
  const pouring = setInterval(() => {
    pour()
    peak = Math.max(peak, heldBytes() - before)
  }, 5)
  try {
    await until('the drop', async () => (await connections('ws')) === 0, 20_000)
  } finally {
    clearInterval(pouring)
    raw.close()
  }
  expect(peak).toBeLessThan(64 * MiB)
})

test('[fault 33] a long replay shares its socket with live sessions and delays none of them', async () => {
  server = await startTestServer()
  await fill('big', 60)
  await server.run('live')
  const client = server.socket('/ws?session_id=live')
  await client.next('caught_up', ({ type }) => type === 'protocol.caught_up')
  client.send('protocol.resume', { session_id: 'big' }, { last_seen_seq: 0 })
  await until('the replay runs', () => client.seqs('big').length > 0)
  for (let n = 1; n <= 5; n++) {
    await server.append('live', message(`n${n}`))
    await until('it', () => client.seqs('live').length === n)
  }
  // The live ones came in between, not behind.
  const places = client.messages.flatMap(({ header }, place) => (header.session_id === 'live' && header.seq !== undefined ? [place] : []))
  await client.next('caught_up of the replay', ({ type, header }) => type === 'protocol.caught_up' && header.session_id === 'big')
  const end = client.messages.findIndex(({ type, header }) => type === 'protocol.caught_up' && header.session_id === 'big')
  expect(places[0]).toBeLessThan(end)
  expect(client.seqs('big')).toEqual(Array.from({ length: 1200 }, (_, index) => index + 1))
})
