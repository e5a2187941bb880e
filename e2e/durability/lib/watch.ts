import http from 'node:http'
import https from 'node:https'
import WebSocket from 'ws'
import { call, type Target, trustOf } from './client.ts'

export const THREE = ['ws', 'sse', 'poll'] as const
export type Three = (typeof THREE)[number]

export interface Message {
  readonly type: string
  readonly header: { readonly seq?: number; readonly session_id?: string }
  readonly payload: Record<string, unknown>
}

/** One attachment over one transport, once: it does not come back by itself. */
export interface Watch {
  readonly transport: Three
  readonly messages: readonly Message[]
  /** Of the events, in the order in which they came. */
  readonly seqs: readonly number[]
  readonly hello: Record<string, unknown> | undefined
  readonly caughtUp: boolean
  /** Codes of the errors that it was told. */
  readonly errors: readonly string[]
  /** Control messages by type. */
  told(type: string): Record<string, unknown> | undefined
  /** Once it ended: a socket's close code, an HTTP status, 0 for a connection that broke. */
  readonly ended: { readonly code: number } | undefined
  close(): void
}

export interface WatchOptions extends Target {
  readonly session: string
  readonly cursor?: string
}

interface Sink {
  take(text: string): void
  end(code: number): void
}

/** Attaches a reader that keeps all that it is told. */
export function watch(transport: Three, options: WatchOptions): Watch {
  const messages: Message[] = []
  const seqs: number[] = []
  let ended: { readonly code: number } | undefined
  const told = (type: string): Record<string, unknown> | undefined => messages.find(message => message.type === type)?.payload
  const sink: Sink = {
    take(text) {
      const message = JSON.parse(text) as Message
      messages.push(message)
      if (message.header.seq !== undefined) seqs.push(message.header.seq)
    },
    end: code => {
      ended ??= { code }
    },
  }
  const close = { ws: overSocket, sse: overStream, poll: overPolls }[transport](options, sink)
  return {
    transport,
    messages,
    seqs,
    told,
    get hello() {
      return told('protocol.hello')
    },
    get caughtUp() {
      return told('protocol.caught_up') !== undefined
    },
    get errors() {
      return messages.filter(message => message.type === 'protocol.error').map(message => String(message.payload['code']))
    },
    get ended() {
      return ended
    },
    close,
  }
}

function overSocket(options: WatchOptions, sink: Sink): () => void {
  const { url, session, cursor, headers } = options
  const target = new URL('/ws', url.replace(/^http/, 'ws'))
  target.searchParams.set('session_id', session)
  if (cursor !== undefined) target.searchParams.set('cursor', cursor)
  const socket = new WebSocket(target, { headers: headers ?? {}, perMessageDeflate: false, ...trustOf(options) })
  socket.on('message', (data: Buffer) => sink.take(data.toString()))
  socket.on('error', () => undefined)
  socket.on('unexpected-response', (_request, response) => sink.end(response.statusCode ?? 0))
  socket.on('close', code => sink.end(code === 1006 ? 0 : code))
  return () => socket.terminate()
}

function overStream(options: WatchOptions, sink: Sink): () => void {
  const { url, session, cursor, headers } = options
  const target = new URL(`/sessions/${session}/events`, url)
  const request = (target.protocol === 'https:' ? https : http).get(target, {
    agent: false,
    headers: { accept: 'text/event-stream', ...headers, ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
    ...trustOf(options),
  })
  request.on('error', () => sink.end(0))
  request.on('response', response => {
    const status = response.statusCode ?? 0
    let rest = ''
    response.setEncoding('utf8')
    response.on('data', (part: string) => {
      if (status !== 200) return
      rest += part
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const data = rest
          .slice(0, end)
          .split('\n')
          .find(line => line.startsWith('data: '))
        rest = rest.slice(end + 2)
        if (data !== undefined) sink.take(data.slice(6))
      }
    })
    response.on('error', () => sink.end(0))
    response.on('end', () => sink.end(status))
  })
  return () => request.destroy()
}

const RETRY_MS = 50

/** Polls as one attachment: its pages are told as hello, events and `caught_up`; an error that no retry would change ends it. */
function overPolls(options: WatchOptions, sink: Sink): () => void {
  let isOver = false
  let cursor = options.cursor ?? '0'
  const say = (type: string, payload: unknown): void => sink.take(JSON.stringify({ type, header: {}, payload }))
  void (async () => {
    let isFirst = true
    while (!isOver) {
      const answer = await call(
        options,
        'GET',
        `/sessions/${options.session}/events?after=${encodeURIComponent(cursor)}&wait=${isFirst ? 0 : 2000}&limit=1000`,
      ).catch(() => undefined)
      if (isOver) return
      if (!answer) return sink.end(0)
      if (answer.status !== 200) {
        const error = answer.body?.['error'] as { retryable?: boolean } | undefined
        say('protocol.error', error)
        if (!error?.retryable) return sink.end(answer.status)
        await new Promise(resolve => setTimeout(resolve, RETRY_MS))
        continue
      }
      const page = answer.body as unknown as { events: unknown[]; next_cursor: string; has_more: boolean }
      if (isFirst) say('protocol.hello', { ...page, events: undefined })
      for (const event of page.events) sink.take(JSON.stringify(event))
      if (!page.has_more && isFirst) say('protocol.caught_up', {})
      isFirst &&= page.has_more
      cursor = page.next_cursor
    }
  })()
  return () => {
    isOver = true
  }
}

/** True when seqs go up by one from `first`. */
export const isDense = (seqs: readonly number[], first = seqs[0] ?? 1): boolean => seqs.every((seq, index) => seq === first + index)
