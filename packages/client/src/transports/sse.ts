import { failureFromThrown, transportFailure } from '../failure.ts'
import { messageFromText } from '../message.ts'
import { createSseParser } from '../sse-parser.ts'
import type { AttachRequest, ChannelListener, ClientTransport } from '../transport.ts'
import { attemptOf, eventsPath, get, type HttpOptions, queryFrom, sessionRefusal } from './http.ts'

/** Server-Sent Events by fetch, one stream per reader, so that the token is a header and not in a URL. */
export function sseTransport(options: HttpOptions = {}): ClientTransport {
  return {
    name: 'sse',
    heartbeats: true,
    open: (url, token, listener) => {
      const streams = new Map<string, AbortController>()
      let over = false
      const close = (): void => {
        over = true
        for (const stream of streams.values()) stream.abort()
        streams.clear()
      }
      const detach = (sessionId: string): void => {
        streams.get(sessionId)?.abort()
        streams.delete(sessionId)
      }
      queueMicrotask(() => {
        if (!over) listener.opened()
      })
      return {
        attach: request => {
          detach(request.sessionId)
          const stream = new AbortController()
          streams.set(request.sessionId, stream)
          readStream(options, url, token, request, listener, stream.signal).catch(thrown => {
            if (over || stream.signal.aborted) return
            const failure = failureFromThrown(thrown)
            const refusal = sessionRefusal(failure)
            streams.delete(request.sessionId)
            if (refusal) return void listener.message(refusal, request.sessionId)
            close()
            listener.closed(failure)
          })
        },
        detach,
        close,
      }
    },
  }
}

/** Reads one stream to its end; returns when that end was announced by an error for the session, else throws Failure. */
async function readStream(
  options: HttpOptions,
  url: string,
  token: string | undefined,
  request: AttachRequest,
  listener: ChannelListener,
  signal: AbortSignal,
): Promise<void> {
  const query = queryFrom({
    cursor: request.cursor,
    mode: request.mode,
    on_missing: request.onMissing,
    client_id: listener.clientId,
    attempt: attemptOf(listener.attempt),
  })
  const response = await get(options, `${url}${eventsPath(request.sessionId)}${query}`, token, 'text/event-stream', signal)
  if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body) {
    await response.body?.cancel()
    throw transportFailure('bad_data', 'The answer is not an event stream.')
  }
  const parser = createSseParser()
  const source = response.body.getReader()
  let refused = false
  let planned: number | undefined
  while (true) {
    const { done, value } = await source.read().catch(error => {
      throw transportFailure('cut', 'The event stream broke off.', {}, error)
    })
    if (signal.aborted || done) break
    listener.alive()
    for (const record of parser.push(value)) {
      const message = messageFromText(record.data)
      if (message.type === 'protocol.error') refused = true
      if (message.type === 'protocol.goaway') planned = (message.payload as { reconnect_in_ms: number }).reconnect_in_ms
      const taken = listener.message(message, request.sessionId)
      if (taken) await taken
      if (signal.aborted) return
    }
  }
  if (refused || signal.aborted) return
  const wait = planned ?? parser.retryMs
  throw { ...transportFailure('cut', 'The event stream ended.'), ...(wait === undefined ? {} : { retryInMs: wait }), planned: planned !== undefined }
}
