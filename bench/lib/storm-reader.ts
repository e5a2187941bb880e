import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/** How a reader attaches, and what it keeps to come back with. */
export interface StormSide {
  readonly url: string
  readonly kind: 'holdfast' | 'durable-streams'
  readonly token: string
}

export interface StormHooks {
  /** Reconnected, and told that it has everything up to the head of that moment; also of its first attachment. */
  onCaughtUp(): void
  onEvent(number: number): void
  /** A hole, a repeat, or a refusal: nothing that was measured is worth anything then. */
  onFailure(why: string): void
}

export interface StormReader {
  close(): void
}

/** Between two tries while nobody listens. */
const RETRY_MS = 100
/** A server drops a peer that is silent; a pong that nobody asked for is fine (RFC 6455, section 5.5.3). */
const PONG_MS = 8000
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
/** Nothing that is looked for is longer. */
const LONGEST = 200

/** In Holdfast's events `,"seq":`; the control messages have it, if at all, behind a brace. */
const HOLDFAST = /,"seq":(\d+),|"resume":"(\w+)"|"protocol\.(caught_up)"/g
/** In the peer's events the number that they were posted with; in its control records the offset to come back with. */
const PEER = /"n":(\d+),|"streamNextOffset":"(\d+_\d+)"[^}]*\}/g

/** One buffer for all sockets of this process. */
const shared = Buffer.allocUnsafe(64 * 1024)

/** A raw socket that reads a log from its start and, whenever the connection breaks, comes back at once with its place. */
export function openStormReader({ url, kind, token }: StormSide, path: string, hooks: StormHooks): StormReader {
  const { hostname, port, host } = new URL(url)
  let isClosed = false
  let socket: Socket | undefined
  let last = 0
  // The peer's place goes with what came before its control record: what came behind it comes again.
  let offset = '-1'
  let lastAtOffset = 0

  const request = (): string => {
    if (kind === 'durable-streams') return `GET ${path}?offset=${offset}&live=sse HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`
    const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`
    return `GET /ws?session_id=${path}&cursor=${last} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n${upgrade}\r\n`
  }
  const event = (number: number): void => {
    if (number !== last + 1) return hooks.onFailure(`${path}: ${number} came after ${last}`)
    last = number
    hooks.onEvent(number)
  }
  const look = (text: string): number => {
    let end = 0
    for (const match of text.matchAll(kind === 'holdfast' ? HOLDFAST : PEER)) {
      const [all, number, second, third] = match
      end = match.index + all.length
      if (number !== undefined) event(Number(number))
      else if (kind === 'holdfast') {
        if (third !== undefined) hooks.onCaughtUp()
        else if (second !== 'new' && second !== 'ok') hooks.onFailure(`${path}: resume after ${last} is ${second}`)
      } else {
        offset = second as string
        lastAtOffset = last
        if (all.includes('"upToDate":true')) hooks.onCaughtUp()
      }
    }
    return end
  }

  const open = (): void => {
    if (isClosed) return
    let head: string | undefined = ''
    let tail = ''
    let wasConnected = false
    if (kind === 'durable-streams') last = lastAtOffset
    const opened = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: shared,
        callback(length) {
          tail += shared.toString('latin1', 0, length)
          if (head !== undefined) {
            const end = tail.indexOf('\r\n\r\n')
            if (end < 0) return true
            head = tail.slice(0, end)
            if (!/^HTTP\/1\.1 (101|200)/.test(head)) hooks.onFailure(`${path}: ${tail.slice(0, 300)}`)
            head = undefined
            tail = tail.slice(end + 4)
          }
          const seen = look(tail)
          tail = tail.slice(Math.max(seen, tail.length - LONGEST))
          return true
        },
      },
    })
    socket = opened
    opened.on('error', () => undefined)
    opened.on('connect', () => {
      wasConnected = true
      opened.write(request())
    })
    opened.on('close', () => (wasConnected ? setImmediate(open) : setTimeout(open, RETRY_MS)))
  }
  open()
  const pongs = kind === 'holdfast' ? setInterval(() => socket?.writable && socket.write(PONG), PONG_MS) : undefined
  return {
    close() {
      isClosed = true
      clearInterval(pongs)
      socket?.destroy()
    },
  }
}
