import http from 'node:http'
import WebSocket from 'ws'

/** One of very many readers: it knows its place and nothing else, and comes back by itself. */
export interface CrowdReader {
  /** The last seq that it got. */
  readonly seq: number
  /** What was wrong with what it got. */
  readonly fault: string | undefined
  readonly connects: number
  stop(): void
}

export interface CrowdOptions {
  readonly url: string
  readonly session: string
  readonly over: 'ws' | 'sse'
  /** How long it waits before it comes back. */
  readonly pauseMs: () => number
}

const SEQ = /^\{"type":"[^"]*","header":\{"id":"[^"]*","session_id":"[^"]*","seq":(\d+)/
const EPOCH = /"epoch":"(\w+)"/

/** Attaches, follows, and comes back with its cursor whenever it loses its connection. */
export function startCrowdReader(options: CrowdOptions): CrowdReader {
  let seq = 0
  let epoch: string | undefined
  let fault: string | undefined
  let connects = 0
  let isOver = false
  let drop = (): void => undefined
  const take = (text: string): void => {
    const found = SEQ.exec(text)?.[1]
    if (found !== undefined) {
      if (Number(found) !== seq + 1) fault ??= `${found} came after ${seq}`
      seq = Number(found)
    } else if (text.startsWith('{"type":"protocol.hello"')) {
      const told = EPOCH.exec(text)?.[1]
      if (epoch !== undefined && told !== epoch) fault ??= `epoch ${told} after ${epoch}`
      epoch = told
    } else if (text.startsWith('{"type":"protocol.gap"')) fault ??= 'a gap'
  }
  const cursor = (): string | undefined => (epoch === undefined ? undefined : `${epoch}.${seq}`)
  const connect = (): void => {
    if (isOver) return
    connects++
    let isGone = false
    drop = (options.over === 'ws' ? overSocket : overStream)(options, cursor(), take, () => {
      if (!isGone && !isOver) setTimeout(connect, options.pauseMs())
      isGone = true
    })
  }
  connect()
  return {
    get seq() {
      return seq
    },
    get fault() {
      return fault
    },
    get connects() {
      return connects
    },
    stop() {
      isOver = true
      drop()
    },
  }
}

function overSocket({ url, session }: CrowdOptions, cursor: string | undefined, take: (text: string) => void, gone: () => void): () => void {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?session_id=${session}${cursor === undefined ? '' : `&cursor=${cursor}`}`, {
    perMessageDeflate: false,
  })
  socket.on('message', (data: Buffer) => take(data.toString()))
  socket.on('error', () => undefined)
  socket.on('close', gone)
  return () => socket.terminate()
}

function overStream({ url, session }: CrowdOptions, cursor: string | undefined, take: (text: string) => void, gone: () => void): () => void {
  const request = http.get(`${url}/sessions/${session}/events`, {
    agent: false,
    headers: { accept: 'text/event-stream', ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
  })
  request.on('error', gone)
  request.on('close', gone)
  request.on('response', response => {
    let rest = ''
    response.setEncoding('utf8')
    response.on('error', gone)
    response.on('data', (part: string) => {
      rest += part
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const at = rest.lastIndexOf('data: ', end)
        if (at >= 0) take(rest.slice(at + 6, end))
        rest = rest.slice(end + 2)
      }
    })
  })
  return () => request.destroy()
}
