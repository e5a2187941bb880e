import { type Event, HoldfastError, TURN_BYTES, textsFromChunk } from '@holdfast/protocol'
import type { Access, Host } from '../host.ts'
import { createAsciicast, createPlainText } from './export-terminal.ts'
import { streamAnswer } from './stream-answer.ts'

const TYPES = { jsonl: 'application/x-ndjson', asciicast: 'application/x-asciicast', markdown: 'text/markdown', text: 'text/plain; charset=utf-8' }
const ENDINGS = { jsonl: 'jsonl', asciicast: 'cast', markdown: 'md', text: 'txt' }

/** The log, streamed, a line each; it ends at the head of the moment it was asked for. */
export async function exportLog(host: Host, access: Access, sessionId: string, query: URLSearchParams): Promise<Response> {
  const format = query.get('format') ?? 'jsonl'
  if (!['jsonl', 'asciicast', 'markdown', 'text'].includes(format))
    throw new HoldfastError('invalid_request', 'format is jsonl, asciicast, markdown or text.', { field: 'format' })
  const session = await host.engine.getSession(access.principal, sessionId)
  const isTerminal = session.kind === 'terminal' && (format === 'asciicast' || format === 'text')
  if (format !== 'jsonl' && !isTerminal)
    throw new HoldfastError('invalid_request', `A session of kind "${session.kind}" has no export as ${format}; use jsonl.`, { field: 'format' })
  const attachment = await host.engine.attach(access.principal, sessionId, { isSpectator: true, cursor: { seq: session.floor_seq } })
  const head = attachment.head
  const encoder = new TextEncoder()
  async function* texts(): AsyncGenerator<string[]> {
    try {
      while (attachment.cursor < head) {
        const delivery = await attachment.pull(TURN_BYTES)
        if (!delivery) return
        // A broken answer, never one that ends early without a word.
        if (delivery.type === 'end') throw delivery.error
        if (delivery.type === 'events') yield textsFromChunk(delivery.chunk)
      }
    } finally {
      attachment.close()
    }
  }
  async function* lines(): AsyncGenerator<Uint8Array> {
    if (!isTerminal) {
      for await (const batch of texts()) yield encoder.encode(`${batch.join('\n')}\n`)
      return
    }
    // What was trimmed lives on in the state of the floor.
    const base = session.floor_seq === 0 ? undefined : (await host.engine.snapshot(access.principal, sessionId, session.floor_seq)).state
    const view = format === 'asciicast' ? createAsciicast(session, base) : createPlainText(base)
    for await (const batch of texts()) {
      const text = batch.map(event => view.next(JSON.parse(event) as Event)).join('')
      if (text !== '') yield encoder.encode(text)
    }
    yield encoder.encode(view.end())
  }
  return streamAnswer(lines(), {
    'content-type': TYPES[format as keyof typeof TYPES],
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-disposition': `attachment; filename="${sessionId.replace(/[^A-Za-z0-9_.-]/g, '_')}.${ENDINGS[format as keyof typeof ENDINGS]}"`,
  })
}
