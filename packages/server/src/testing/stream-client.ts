import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Message, Seen } from './seen.ts'
import { until, within } from './until.ts'

export interface StreamRecord {
  readonly event: string | undefined
  readonly id: string | undefined
  readonly message: Message
  readonly text: string
}

export interface StreamClient {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly records: readonly StreamRecord[]
  readonly comments: readonly string[]
  readonly retries: readonly number[]
  /** The body of an answer that is no stream. */
  readonly body: string
  next(what: string, fits: (record: StreamRecord) => boolean): Promise<StreamRecord>
  texts(): string[]
  readonly ended: Promise<void>
  readonly response: IncomingMessage
  close(): void
}

/** A reader of an event stream that keeps all that it sees, written from the standard alone. */
export async function openStream(seen: Seen, url: string, headers: Readonly<Record<string, string>> = {}): Promise<StreamClient> {
  let outgoing: ClientRequest | undefined
  const response = await within(
    'an answer',
    new Promise<IncomingMessage>((resolve, reject) => {
      outgoing = request(url, { headers: { accept: 'text/event-stream', ...headers } }, resolve)
      outgoing.on('error', reject)
      outgoing.end()
    }),
  )
  const records: StreamRecord[] = []
  const comments: string[] = []
  const retries: number[] = []
  const isStream = (response.headers['content-type'] ?? '').startsWith('text/event-stream')
  let rest = ''
  let body = ''
  response.setEncoding('utf8')
  response.on('data', (data: string) => {
    body += isStream ? '' : data
    rest += data
    for (let end = rest.indexOf('\n\n'); isStream && end >= 0; end = rest.indexOf('\n\n')) {
      takeRecord(rest.slice(0, end))
      rest = rest.slice(end + 2)
    }
  })
  const takeRecord = (block: string): void => {
    let event: string | undefined
    let id: string | undefined
    const data: string[] = []
    for (const line of block.split('\n')) {
      // No pattern with a dot: U+2028 ends a line for it, and none in the standard.
      const colon = line.indexOf(':')
      const name = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
      if (name === '') comments.push(value)
      else if (name === 'event') event = value
      else if (name === 'id') id = value
      else if (name === 'retry') retries.push(Number(value))
      else if (name === 'data') data.push(value)
    }
    if (data.length > 0) records.push({ event, id, message: seen.take(data.join('\n')), text: data.join('\n') })
  }
  const ended = new Promise<void>(resolve => response.on('close', () => resolve()))
  response.on('error', () => undefined)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    records,
    comments,
    retries,
    get body() {
      return body
    },
    next: (what, fits) => until(what, () => records.find(fits)),
    texts: () => records.flatMap(({ event, text }) => (event === undefined ? [text] : [])),
    ended: within('the end of the stream', ended, 20_000),
    response,
    close: () => outgoing?.destroy(),
  }
}
