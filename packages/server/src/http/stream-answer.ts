import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ReadableStream } from 'node:stream/web'

const streams = new WeakSet<Response>()

/** An answer that is produced while it is sent. */
export function streamAnswer(body: AsyncIterable<Uint8Array>, headers: Record<string, string>): Response {
  const response = new Response(ReadableStream.from(body) as unknown as ConstructorParameters<typeof Response>[0], { headers })
  streams.add(response)
  return response
}

/** True for what `sendStream` is to send. */
export const isStreamAnswer = (response: Response): boolean => streams.has(response)

/** Sends it at the reader's pace; where it can't be whole the connection breaks, so that nobody takes a part for all of it. Rejects with what went wrong. */
export async function sendStream(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  await pipeline(Readable.fromWeb(response.body as unknown as ReadableStream), outgoing)
}
