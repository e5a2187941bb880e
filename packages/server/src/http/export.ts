import { HoldfastError, TURN_BYTES, textsFromChunk } from '@holdfast/protocol'
import type { Access, Host } from '../host.ts'
import { streamAnswer } from './stream-answer.ts'

/** The log, streamed, a line each; it ends at the head of the moment it was asked for. */
export async function exportLog(host: Host, access: Access, sessionId: string, query: URLSearchParams): Promise<Response> {
  const format = query.get('format') ?? 'jsonl'
  if (!['jsonl', 'asciicast', 'markdown', 'text'].includes(format))
    throw new HoldfastError('invalid_request', 'format is jsonl, asciicast, markdown or text.', { field: 'format' })
  const session = await host.engine.getSession(access.principal, sessionId)
  if (format !== 'jsonl')
    throw new HoldfastError('invalid_request', `A session of kind "${session.kind}" has no export as ${format}; use jsonl.`, { field: 'format' })
  const attachment = await host.engine.attach(access.principal, sessionId, { isSpectator: true })
  const head = attachment.head
  const encoder = new TextEncoder()
  async function* lines(): AsyncGenerator<Uint8Array> {
    try {
      while (attachment.cursor < head) {
        const delivery = await attachment.pull(TURN_BYTES)
        if (!delivery) return
        // A broken answer, never one that ends early without a word.
        if (delivery.type === 'end') throw delivery.error
        if (delivery.type === 'events') yield encoder.encode(`${textsFromChunk(delivery.chunk).join('\n')}\n`)
      }
    } finally {
      attachment.close()
    }
  }
  return streamAnswer(lines(), {
    'content-type': 'application/x-ndjson',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-disposition': `attachment; filename="${sessionId.replace(/[^A-Za-z0-9_.-]/g, '_')}.jsonl"`,
  })
}
