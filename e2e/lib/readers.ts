import { hashText, type History, type Reader } from '@holdfast/testkit/oracle'
import WebSocket from 'ws'
import { textsFromFrame } from '@holdfast/protocol'

export type Transport = 'ws' | 'ws-binary' | 'sse' | 'poll'
export const TRANSPORTS: readonly Transport[] = ['ws', 'ws-binary', 'sse', 'poll']

export interface LoopReader {
  readonly name: string
  /** The last seq applied, in the history that it belongs to. */
  readonly seq: number
  readonly connects: number
  /** Drops the connection; it comes back by itself. */
  cut(): void
  /** Resolves once its connection is gone. */
  stop(): Promise<void>
}

export interface ReaderOptions {
  readonly history: History
  readonly name: string
  readonly session: string
  readonly transport: Transport
  readonly baseUrl: string
  readonly headers?: Readonly<Record<string, string>>
  /** The id of the input that an event carries, where it is one. */
  readonly keyOf: (event: StoredEvent) => string | undefined
}

export interface StoredEvent {
  readonly type: string
  readonly header: { readonly seq: number; readonly id: string }
  readonly payload: unknown
}

interface Place {
  epoch: string | undefined
  seq: number
}

const RECONNECT_MS = 20

/** A reader written from the contract alone: resumes from `<epoch>.<seq>` over and over, and records all that it sees. */
export function startReader(options: ReaderOptions): LoopReader {
  const reader = options.history.reader(options.name, options.session)
  const place: Place = { epoch: undefined, seq: 0 }
  const state = { stopped: false, cut: () => {}, connects: 0 }
  const connect = { ws: overSocket, 'ws-binary': overSocket, sse: overStream, poll: overPoll }[options.transport]
  const running = (async () => {
    while (!state.stopped) {
      state.connects++
      reader.attach(place.seq)
      await connect(options, reader, place, state).catch(() => undefined)
      await new Promise(resolve => setTimeout(resolve, RECONNECT_MS))
    }
  })()
  return {
    name: options.name,
    get seq() {
      return place.seq
    },
    get connects() {
      return state.connects
    },
    cut: () => state.cut(),
    async stop() {
      state.stopped = true
      state.cut()
      await running
    },
  }
}

interface State {
  stopped: boolean
  cut: () => void
}

const cursorOf = (place: Place): string | undefined => (place.epoch === undefined ? undefined : `${place.epoch}.${place.seq}`)

function take(options: ReaderOptions, reader: Reader, place: Place, text: string): void {
  const message = JSON.parse(text) as { type: string; header: { seq?: number; id: string }; payload: Record<string, unknown> }
  if (message.header.seq !== undefined) {
    const event = message as StoredEvent
    const key = options.keyOf(event)
    reader.apply(event.header.seq, hashText(text), key === undefined ? undefined : { key, body: hashText(JSON.stringify(event.payload)) })
    place.seq = event.header.seq
    return
  }
  const { payload } = message
  if (message.type === 'protocol.hello') {
    const hello = payload as { epoch: string; resume: 'new' | 'ok' | 'gap' | 'snapshot' | 'reset'; head_seq: number; floor_seq: number }
    reader.hello({ epoch: hello.epoch, resume: hello.resume, head: hello.head_seq, floor: hello.floor_seq })
    if (hello.resume === 'reset') place.seq = hello.floor_seq
    place.epoch = hello.epoch
  } else if (message.type === 'protocol.gap') {
    const gap = payload as { from_seq: number; to_seq: number }
    reader.gap(gap.from_seq, gap.to_seq)
    place.seq = gap.to_seq
  } else if (message.type === 'protocol.caught_up') reader.caughtUp(payload.seq as number)
}

function overSocket(options: ReaderOptions, reader: Reader, place: Place, state: State): Promise<void> {
  const url = new URL('/ws', options.baseUrl.replace(/^http/, 'ws'))
  url.searchParams.set('session_id', options.session)
  const cursor = cursorOf(place)
  if (cursor !== undefined) url.searchParams.set('cursor', cursor)
  const socket = new WebSocket(url, options.transport === 'ws-binary' ? ['holdfast.v1+binary'] : [], { headers: options.headers ?? {} })
  state.cut = () => socket.terminate()
  return new Promise(resolve => {
    socket.on('error', () => undefined)
    socket.on('close', () => resolve())
    socket.on('message', (data: Buffer, isBinary) => {
      const texts = isBinary ? textsFromFrame(data) : [data.toString()]
      for (const text of texts) take(options, reader, place, text)
    })
  })
}

async function overStream(options: ReaderOptions, reader: Reader, place: Place, state: State): Promise<void> {
  const abort = new AbortController()
  state.cut = () => abort.abort()
  const cursor = cursorOf(place)
  const response = await fetch(new URL(`/sessions/${options.session}/events`, options.baseUrl), {
    headers: { accept: 'text/event-stream', ...options.headers, ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
    signal: abort.signal,
  })
  if (!response.ok || !response.body) return
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of response.body) {
    rest += decoder.decode(bytes, { stream: true })
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const data = rest
        .slice(0, end)
        .split('\n')
        .find(line => line.startsWith('data: '))
      rest = rest.slice(end + 2)
      if (data !== undefined) take(options, reader, place, data.slice(6))
    }
  }
}

async function overPoll(options: ReaderOptions, reader: Reader, place: Place, state: State): Promise<void> {
  const abort = new AbortController()
  state.cut = () => abort.abort()
  const cursor = cursorOf(place) ?? '0'
  const url = new URL(`/sessions/${options.session}/events?after=${cursor}&wait=5000&limit=1000`, options.baseUrl)
  const response = await fetch(url, { headers: { ...options.headers }, signal: abort.signal })
  const text = await response.text()
  if (!response.ok) return
  const page = JSON.parse(text) as {
    events: StoredEvent[]
    epoch: string
    head_seq: number
    floor_seq: number
    resume: 'new' | 'ok' | 'gap' | 'snapshot' | 'reset'
    next_after: number
    gap?: { from_seq: number; to_seq: number }
  }
  reader.hello({ epoch: page.epoch, resume: page.resume, head: page.head_seq, floor: page.floor_seq })
  place.epoch = page.epoch
  if (page.resume === 'reset') place.seq = page.floor_seq
  if (page.gap) {
    reader.gap(page.gap.from_seq, page.gap.to_seq)
    place.seq = page.gap.to_seq
  }
  // The stored bytes stand between the brackets as they are: what a parse and a stringify gives again is equal for bodies made by JSON.stringify.
  for (const event of page.events) take(options, reader, place, JSON.stringify(event))
}
