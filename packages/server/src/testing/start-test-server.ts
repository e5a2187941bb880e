// edge: test-only; a whole server on real sockets, with a store in memory and short times.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryStore, type Logger, type MemoryStore, type MemoryStoreOptions } from '@holdfast/core'
import { type ConfigFlags, loadConfig } from '../config/config.ts'
import { type RunningServer, startServer } from '../start-server.ts'
import { createSeen, type Seen } from './seen.ts'
import { openSocket, type SocketClient, type SocketOptions } from './socket-client.ts'
import { openStream, type StreamClient } from './stream-client.ts'

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into, field by field, by the tests
  readonly body: any
  readonly text: string
  readonly headers: Headers
}

export interface CallOptions {
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is, where it is no JSON. */
  readonly raw?: BodyInit
  /** The media type of a body; null sends none. */
  readonly type?: string | null
}

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly store: MemoryStore
  readonly running: RunningServer
  readonly seen: Seen
  /** Lines of level error; any that a test did not expect is a fault. */
  readonly errors: string[]
  readonly adminToken: string
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>
  /** A run of this id, with that many messages. */
  run(id: string, events?: number, options?: CallOptions): Promise<string>
  append(id: string, items: unknown, options?: CallOptions): Promise<Answer>
  /** The log by polls, as texts. */
  log(id: string, options?: CallOptions): Promise<string[]>
  socket(path: string, options?: SocketOptions): SocketClient
  stream(path: string, headers?: Readonly<Record<string, string>>): Promise<StreamClient>
  /** Ends it, its clients first; throws what was wrong with any message that was seen, or any error that was logged. */
  stop(): Promise<void>
  /** The same, its clients being left to what they are told. */
  drain(): Promise<void>
}

export interface TestServerOptions {
  readonly flags?: ConfigFlags
  /** Settings by their names in the environment, without `HOLDFAST_`. */
  readonly env?: Readonly<Record<string, string>>
  readonly store?: MemoryStoreOptions
}

export const message = (text: string, more: object = {}): object => ({ event_type: 'message', role: 'user', content: text, ...more })

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'holdfast-server-'))
  const env = Object.fromEntries(Object.entries(options.env ?? {}).map(([name, value]) => [`HOLDFAST_${name}`, value]))
  const config = loadConfig({ flags: { port: 0, data_dir: dataDir, ...options.flags }, env, readFile: () => undefined, home: dataDir, cwd: dataDir })
  const errors: string[] = []
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (text, fields) => void errors.push(`${text} ${JSON.stringify(fields ?? {})}`),
  }
  const store = createMemoryStore({ sha256: bytes => createHash('sha256').update(bytes).digest('hex'), ...options.store })
  const running = await startServer({ config, store, logger, onFatal: () => undefined })
  const adminToken = config.serve.token ?? readFileSync(running.tokenFile as string, 'utf8').trim()
  const seen = createSeen()
  const sockets: SocketClient[] = []
  const streams: StreamClient[] = []
  const { url } = running

  const call = async (
    method: string,
    path: string,
    body?: unknown,
    { token, headers = {}, raw, type = 'application/json' }: CallOptions = {},
  ): Promise<Answer> => {
    const text = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    // A text gets a type of its own from fetch, bytes get none.
    const content = typeof text === 'string' ? Buffer.from(text) : text
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(content === undefined || type === null ? {} : { 'content-type': type }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(content === undefined ? {} : { body: content, duplex: 'half' }),
    } as RequestInit)
    const answer = await response.text()
    const parsed: unknown = (response.headers.get('content-type') ?? '').includes('application/json') && answer !== '' ? JSON.parse(answer) : undefined
    return { status: response.status, body: parsed, text: answer, headers: response.headers }
  }
  const append = (id: string, items: unknown, given?: CallOptions): Promise<Answer> => call('POST', `/sessions/${id}/events`, items, given)

  const drain = async (): Promise<void> => {
    await running.drain()
    rmSync(dataDir, { recursive: true, force: true })
    if (seen.faults.length > 0) throw new Error(`outbound messages broke the schema: ${seen.faults.slice(0, 3).join('; ')}`)
    if (errors.length > 0) throw new Error(`errors were logged: ${errors.slice(0, 3).join('; ')}`)
  }

  return {
    url,
    port: running.port,
    dataDir: config.serve.data_dir,
    store,
    running,
    seen,
    errors,
    adminToken,
    call,
    append,
    async run(id, events = 0, given) {
      const made = await call('POST', '/sessions', { session_id: id, session_name: id }, given)
      if (made.status !== 201) throw new Error(`create: ${made.text}`)
      for (let n = 0; n < events; n += 500)
        await append(
          id,
          Array.from({ length: Math.min(500, events - n) }, (_, index) => message(`${n + index + 1} é😀`)),
          given,
        )
      return id
    },
    async log(id, given) {
      const texts: string[] = []
      for (let after = 0; ; ) {
        const page = await call('GET', `/sessions/${id}/events?after=${after}&limit=1000`, undefined, given)
        if (page.status !== 200) throw new Error(page.text)
        texts.push(...textsFromPage(page.text))
        if (!page.body.has_more) return texts
        after = page.body.next_after as number
      }
    },
    socket(path, given) {
      const client = openSocket(seen, url.replace('http', 'ws') + path, given)
      sockets.push(client)
      return client
    },
    async stream(path, headers) {
      const client = await openStream(seen, url + path, headers)
      streams.push(client)
      return client
    },
    stop() {
      for (const client of sockets) client.socket.terminate()
      for (const client of streams) client.close()
      return drain()
    },
    drain,
  }
}

/** The texts of a page's events, byte for byte as they stand in it: strings are skipped, braces counted. */
export function textsFromPage(page: string): string[] {
  const texts: string[] = []
  let depth = 0
  let start = 0
  let quoted = false
  for (let at = page.indexOf('[') + 1; at < page.length; at++) {
    const char = page[at]
    if (quoted) {
      if (char === '\\') at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '{') {
      if (depth++ === 0) start = at
    } else if (char === '}') {
      if (--depth === 0) texts.push(page.slice(start, at + 1))
    } else if (char === ']' && depth === 0) return texts
  }
  return texts
}
