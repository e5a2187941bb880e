import { textsFromFrame } from '@holdfast/protocol'
import WebSocket from 'ws'
import type { Message, Seen } from './seen.ts'
import { until, within } from './until.ts'

export interface SocketOptions {
  readonly protocol?: string | readonly string[]
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  /** An old socket: its messages have no envelope. */
  readonly isPlain?: boolean
}

export interface SocketClient {
  readonly socket: WebSocket
  /** Everything that came, in order. */
  readonly messages: readonly Message[]
  /** The events that came, as they came: `<session>` to texts in order. */
  texts(sessionId: string): readonly string[]
  /** `seq`s of a session's events, in order of arrival. */
  seqs(sessionId: string): number[]
  send(type: string, header?: object, payload?: unknown): void
  /** The first message that fits, now or later. */
  next(what: string, fits: (message: Message) => boolean): Promise<Message>
  /** Sends with an id of its own, and gives the answer. */
  ask(type: string, header?: object, payload?: unknown): Promise<Message>
  readonly closed: Promise<{ code: number; reason: string }>
  close(): Promise<void>
}

/** A WebSocket client that keeps all that it sees. */
export function openSocket(seen: Seen, url: string, options: SocketOptions = {}): SocketClient {
  const headers = { ...options.headers, ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }) }
  const protocols = options.protocol === undefined ? [] : typeof options.protocol === 'string' ? [options.protocol] : [...options.protocol]
  const socket = new WebSocket(url, protocols, { headers })
  const messages: Message[] = []
  const texts = new Map<string, string[]>()
  const take = (text: string): void => {
    if (options.isPlain) return void messages.push(JSON.parse(text) as Message)
    const message = seen.take(text)
    messages.push(message)
    if (message.header.seq === undefined) return
    const session = message.header.session_id as string
    texts.set(session, [...(texts.get(session) ?? []), text])
  }
  socket.on('error', () => undefined)
  socket.on('message', (data, isBinary) => {
    if (isBinary) for (const text of textsFromFrame(data as Buffer)) take(text)
    else take((data as Buffer).toString())
  })
  const closed = new Promise<{ code: number; reason: string }>(resolve => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
  const opened = new Promise<void>(resolve => {
    socket.on('open', () => resolve())
    socket.on('close', () => resolve())
  })
  let asked = 0
  const send = (type: string, header: object = {}, payload?: unknown): void => {
    void opened.then(() => {
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ type, header, ...(payload === undefined ? {} : { payload }) }))
    })
  }
  const next = (what: string, fits: (message: Message) => boolean): Promise<Message> =>
    until(
      `${what}; there was ${messages
        .map(message => message.type)
        .slice(-20)
        .join(', ')}`,
      () => messages.find(fits),
    )
  return {
    socket,
    messages,
    texts: sessionId => texts.get(sessionId) ?? [],
    seqs: sessionId => messages.flatMap(({ header }) => (header.session_id === sessionId && header.seq !== undefined ? [header.seq] : [])),
    send,
    next,
    ask(type, header = {}, payload) {
      const id = `ask-${++asked}`
      send(type, { id, ...header }, payload)
      const own = (header as { id?: string }).id ?? id
      return next(`an answer to ${type}`, message => message.header.reply_to === own)
    },
    closed: within('a close', closed, 20_000),
    async close() {
      socket.terminate()
      await closed
    },
  }
}
