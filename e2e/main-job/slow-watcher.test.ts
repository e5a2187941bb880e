import { spawn } from 'node:child_process'
import http from 'node:http'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { type ServerProcess, startServer, until } from '../lib/process.ts'
import { createRun } from '../lib/stress.ts'

/** Together more than all the buffers between a server and a reader on one machine. */
const POSTS = 120
const CONTENT = 'x'.repeat(200_000)

/** Nobody is closed for his silence before he is woken, however slow the machine is. */
const PATIENT = { HOLDFAST_TIMES_STALL_MS: '10m', HOLDFAST_TIMES_SILENCE_MS: '10m' }

let server: ServerProcess | undefined
const endings: (() => void)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) end()
  await server?.kill()
})

/** A watcher that is attached and reads nothing until it is told to; then it tells each seq. */
interface StuckWatcher {
  readonly name: string
  /** How many it gets in the end. */
  readonly count: number
  wake(): void
  readonly seqs: number[]
}

describe('watchers that do not watch', () => {
  it('[RUN-13] [OPS-04] a reporter gets every ack while watchers on each transport read nothing; later they get everything', async () => {
    server = await startServer({ env: PATIENT })
    const { url } = server
    await createRun(url, 'run')
    const stuck = [
      await stuckSocket(url, '/ws?session_id=run'),
      await stuckSocket(url, '/compat/sessions/ws'),
      await stuckStream(url),
      stuckPage(url),
      await frozenProcess(url),
    ]
    const live = new WebSocket(`${url.replace('http', 'ws')}/ws?session_id=run`)
    endings.push(() => live.terminate())
    let seen = 0
    live.on('message', (data: Buffer) => {
      seen = (JSON.parse(data.toString()) as { header: { seq?: number } }).header.seq ?? seen
    })

    for (let n = 1; n <= POSTS; n++) {
      const response = await fetch(new URL('/sessions/run/events', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ event_type: 'message', role: 'assistant', content: `${n} ${CONTENT}` }),
      })
      expect([response.status, await response.json()]).toEqual([201, { ok: true, first_seq: n, last_seq: n, duplicate: false }])
      // Whoever does read is not held up by the others either.
      await until(`the live watcher at ${n}`, () => seen >= n)
    }
    expect(stuck.map(watcher => [watcher.name, watcher.seqs])).toEqual(stuck.map(watcher => [watcher.name, []]))

    for (const watcher of stuck) watcher.wake()
    for (const { name, seqs, count } of stuck) {
      await until(`${name} at ${count}`, () => seqs.length >= count)
      expect([name, seqs]).toEqual([name, Array.from({ length: count }, (_, index) => index + 1)])
    }
  }, 90_000)

  it('[RUN-13] a watcher that is gone without a word delays nobody, and a post after it is acked', async () => {
    server = await startServer()
    const { url } = server
    await createRun(url, 'run')
    const watcher = spawn('curl', ['-sN', '-H', 'accept: text/event-stream', `${url}/sessions/run/events`], { stdio: ['ignore', 'pipe', 'ignore'] })
    await new Promise(resolve => watcher.stdout.once('data', resolve))
    watcher.kill('SIGKILL')
    for (let n = 1; n <= 3; n++) {
      const response = await fetch(new URL('/sessions/run/events', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"event_type":"tick"}',
      })
      expect(((await response.json()) as { last_seq: number }).last_seq).toBe(n)
    }
  })
})

async function stuckSocket(url: string, path: string): Promise<StuckWatcher> {
  const seqs: number[] = []
  const socket = new WebSocket(url.replace('http', 'ws') + path)
  endings.push(() => socket.terminate())
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { type: string; header?: { seq?: number }; data?: { content: string } }
    // The old socket has no seq; the reporter's text begins with its number.
    if (message.type === 'event') seqs.push(Number.parseInt(message.data?.content ?? '', 10))
    else if (message.header?.seq !== undefined) seqs.push(message.header.seq)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('open', () => {
      socket.pause()
      resolve()
    })
  })
  return { name: path, count: POSTS, seqs, wake: () => socket.resume() }
}

async function stuckStream(url: string): Promise<StuckWatcher> {
  const seqs: number[] = []
  const response = await get(`${url}/sessions/run/events`, { accept: 'text/event-stream' })
  const wake = (): void => readLines(response, seqs)
  return { name: 'stream', count: POSTS, seqs, wake }
}

/** Reads an event stream for its ids; `caught_up` carries the one of the last event once more. */
function readLines(input: NodeJS.ReadableStream, seqs: number[]): void {
  const lines = createInterface({ input })
  lines.on('line', line => {
    const seq = line.startsWith('id: ') ? Number(line.slice(4).split('.')[1]) : 0
    if (seq > (seqs.at(-1) ?? 0)) seqs.push(seq)
  })
  // Torn off at the end of the test.
  lines.on('error', () => undefined)
}

/** A poll that waits for its first event and never reads the answer. */
function stuckPage(url: string): StuckWatcher {
  const seqs: number[] = []
  let text = ''
  let answer: http.IncomingMessage | undefined
  const wake = (): void =>
    void answer
      ?.on('data', (data: Buffer) => {
        text += data.toString()
      })
      .on('end', () => seqs.push(...(JSON.parse(text) as { events: { header: { seq: number } }[] }).events.map(event => event.header.seq)))
  void get(`${url}/sessions/run/events?after=0&wait=30000`, {}).then(response => {
    answer = response
  })
  return { name: 'page', count: 1, seqs, wake }
}

function get(url: string, headers: http.OutgoingHttpHeaders): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers, agent: false }, resolve)
    request.on('error', reject)
    endings.push(() => request.destroy())
  })
}

/** A watcher in a process of its own that is stopped in its tracks, as a laptop is whose lid is closed. */
async function frozenProcess(url: string): Promise<StuckWatcher> {
  const seqs: number[] = []
  const child = spawn('curl', ['-sN', '-H', 'accept: text/event-stream', `${url}/sessions/run/events`], { stdio: ['ignore', 'pipe', 'inherit'] })
  endings.push(() => child.kill('SIGKILL'))
  await new Promise(resolve => child.stdout.once('readable', resolve))
  child.kill('SIGSTOP')
  const wake = (): void => {
    child.kill('SIGCONT')
    readLines(child.stdout, seqs)
  }
  return { name: 'frozen process', count: POSTS, seqs, wake }
}
