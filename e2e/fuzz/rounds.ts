import { Agent, request } from 'node:http'
import net from 'node:net'
import type { SeededRandom } from '@holdfast/testkit/sim'
import { someFrames } from './frames.ts'
import { faultOfAnswer, faultOfBytes } from './judge.ts'
import { someBytes, someId, spoiled } from './pieces.ts'
import { type FuzzRequest, someQuery, someRequest } from './requests.ts'

export interface Target {
  readonly port: number
  readonly token: string
  /** Called for each answer and for each error told on a socket: the rounds reached something. */
  readonly count: (what: string) => void
}

/** What went wrong in a round, with what was sent; undefined where nothing did. */
export type Outcome = string | undefined

const STUCK_MS = 15_000
/** A bare connection waits this long for its first bytes, which may never come, and this long for more. */
const FIRST_MS = 300
const QUIET_MS = 15
const agent = new Agent({ keepAlive: true, maxSockets: 32 })
/** Lets the connections go that requests have shared. */
export const closeAgent = (): void => agent.destroy()

/** A request through Node's client, answered whole; a stream is left after its first piece. */
export function httpRound(random: SeededRandom, target: Target): Promise<Outcome> {
  const fuzz = someRequest(random, target.token)
  const shown = (): string =>
    `${fuzz.method} ${fuzz.path.slice(0, 300)} ${JSON.stringify(fuzz.headers).slice(0, 300)} ${fuzz.body?.toString('latin1').slice(0, 300) ?? ''}`
  return new Promise(resolve => {
    let isDone = false
    const done = (fault: Outcome): void => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      resolve(fault === undefined ? undefined : `${fault}: ${shown()}`)
    }
    const timer = setTimeout(() => done('no answer in time'), STUCK_MS)
    const { host: _host, ...headers } = fuzz.headers
    const outgoing = request(
      {
        port: target.port,
        host: '127.0.0.1',
        method: fuzz.method,
        path: fuzz.path,
        agent,
        headers: {
          ...headers,
          ...(fuzz.headers.host === undefined ? {} : { host: fuzz.headers.host }),
          ...(fuzz.body ? { 'content-length': fuzz.body.length } : {}),
        },
      },
      response => {
        let body = ''
        const type = String(response.headers['content-type'] ?? '')
        response.setEncoding('utf8')
        response.on('data', (data: string) => {
          body += data
          if (!type.startsWith('text/event-stream')) return
          target.count('stream')
          response.destroy()
          done(undefined)
        })
        response.on('error', () => done(undefined))
        response.on('end', () => {
          target.count(/"code":"(\w+)"/.exec(body)?.[1] ?? String(response.statusCode))
          done(faultOfAnswer(fuzz.method, response.statusCode ?? 0, type, body))
        })
      },
    )
    // An upgrade that is taken up is a socket like others.
    outgoing.on('upgrade', (_response, socket) => {
      socket.on('error', () => undefined)
      socket.destroy()
      done(undefined)
    })
    outgoing.on('error', () => {
      target.count('cut off')
      done(undefined)
    })
    outgoing.end(fuzz.body)
  })
}

/** HEAD goes as GET: an answer without its body could not be told from the next one. */
const wire = ({ method, path, headers, body }: FuzzRequest, port: number): string =>
  `${method === 'HEAD' ? 'GET' : method} ${path} HTTP/1.1\r\n${Object.entries({
    host: `127.0.0.1:${port}`,
    ...headers,
    ...(body ? { 'content-length': String(body.length) } : {}),
  })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n${body?.toString('latin1') ?? ''}`

/** Bytes on a bare connection, sent in one or two pieces, then left: whole, or in the middle. */
function rawRound(target: Target, pieces: readonly Buffer[], cut: boolean, shown: string): Promise<Outcome> {
  return new Promise(resolve => {
    const socket = net.connect(target.port, '127.0.0.1')
    const received: Buffer[] = []
    let quiet: ReturnType<typeof setTimeout> | undefined
    const leave = (): void => {
      if (cut) socket.resetAndDestroy()
      else socket.destroy()
    }
    const wait = (ms: number): void => {
      clearTimeout(quiet)
      quiet = setTimeout(leave, ms)
    }
    socket.on('connect', () => {
      for (const piece of pieces) socket.write(piece)
      wait(cut ? 5 : FIRST_MS)
    })
    socket.on('data', data => {
      received.push(data)
      wait(QUIET_MS)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(quiet)
      const bytes = Buffer.concat(received)
      for (const match of bytes.toString('latin1').matchAll(/"type":"protocol\.(hello|ack|pong|watching)"|"code":"(\w+)"|HTTP\/1\.1 (101)/g))
        target.count(`raw ${match[1] ?? match[2] ?? match[3]}`)
      const fault = faultOfBytes(bytes)
      resolve(fault === undefined ? undefined : `${fault}: ${shown}`)
    })
  })
}

/** A request that is no good one any more, or no request at all. */
export function bytesRound(random: SeededRandom, target: Target): Promise<Outcome> {
  const text = Array.from({ length: 1 + random.int(3) }, () => wire(someRequest(random, target.token), target.port)).join('')
  const bytes = random.chance(0.15) ? someBytes(random, 500) : random.chance(0.8) ? spoiled(random, text) : Buffer.from(text, 'latin1')
  const at = random.int(bytes.length + 1)
  return rawRound(target, [bytes.subarray(0, at), bytes.subarray(at)], random.chance(0.3), JSON.stringify(bytes.toString('latin1').slice(0, 500)))
}

const PATHS = ['/ws', '/ws', '/ws', '/compat/sessions/ws', '/compat/terminal/ws', '/nowhere', '//[', '/%', 'http://[', 'ws:', '*']
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A handshake, odd now and then, and frames behind it. */
export function socketRound(random: SeededRandom, target: Target): Promise<Outcome> {
  const query = random.chance(0.4) ? `?session_id=${someId(random).replace(/[^\x21-\x7e]/g, '%')}` : someQuery(random)
  const protocol = random.pick([
    '',
    '',
    'Sec-WebSocket-Protocol: holdfast.v1+binary\r\n',
    'Sec-WebSocket-Protocol: holdfast.v1+json\r\n',
    'Sec-WebSocket-Protocol: x, y\r\n',
    'Sec-WebSocket-Protocol: ,\r\n',
  ])
  const authorization = random.chance(0.3) ? `Authorization: Bearer ${target.token}\r\n` : ''
  const head = `GET ${random.pick(PATHS)}${query} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${random.chance(0.97) ? 13 : 8}\r\nSec-WebSocket-Key: ${random.chance(0.97) ? KEY : 'x'}\r\n${protocol}${authorization}\r\n`
  const frames = Array.from({ length: 1 + random.int(4) }, () => someFrames(random))
  const cut = frames.at(-1)?.cut === true || random.chance(0.2)
  return rawRound(
    target,
    [Buffer.from(head, 'latin1'), ...frames.map(({ bytes }) => bytes)],
    cut,
    JSON.stringify(
      head.slice(0, 300) +
        Buffer.concat(frames.map(({ bytes }) => bytes))
          .toString('latin1')
          .slice(0, 600),
    ),
  )
}
