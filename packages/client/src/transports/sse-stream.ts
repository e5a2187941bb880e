import { transportFailure } from '../failure.ts'
import { type Message, messageFromText } from '../message.ts'
import type { Clock } from '../ports.ts'
import { createSseParser } from '../sse-parser.ts'
import type { ChannelListener } from '../transport.ts'
import { attemptOf, eventsPath, get, type HttpOptions, queryFrom } from './http.ts'
import { type Follower, noted } from './sse-follower.ts'

export interface StreamPorts {
  readonly options: HttpOptions
  readonly url: string
  readonly token: string | undefined
  readonly listener: ChannelListener
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly slowMs: number
  /** False for one that left, or that another request has replaced. */
  readonly isFollowed: (follower: Follower) => boolean
  /** Its attachment has ended. */
  readonly drop: (follower: Follower) => void
  /** It has held up the others for too long. */
  readonly slow: (follower: Follower) => void
}

/** Reads one stream to its end; returns when that end was announced by errors for all its sessions, else throws Failure. */
export async function readStream(ports: StreamPorts, followers: readonly Follower[]): Promise<void> {
  const { signal, listener } = ports
  const source = await openStream(ports, followers)
  // Aborting the request is not enough everywhere: a read that is under way may last until the next byte.
  signal.addEventListener('abort', () => source.cancel().catch(() => undefined), { once: true })
  const parser = createSseParser()
  let planned: number | undefined
  while (true) {
    const { done, value } = await source.read().catch(error => {
      throw transportFailure('cut', 'The event stream broke off.', {}, error)
    })
    if (signal.aborted || done) break
    listener.alive()
    for (const record of parser.push(value)) {
      const message = messageFromText(record.data)
      if (message.type === 'protocol.goaway') {
        planned = (message.payload as { reconnect_in_ms: number }).reconnect_in_ms
        const taken = listener.message(message)
        if (taken) await taken
      } else
        for (const follower of addressees(message, followers)) {
          if (!ports.isFollowed(follower)) continue
          if (message.type === 'protocol.error') ports.drop(follower)
          if (!noted(follower, message, record.id)) continue
          const taken = listener.message(message, follower.sessionId)
          if (taken) await patience(ports, follower, taken, followers.length > 1)
          if (signal.aborted) return
        }
      if (signal.aborted) return
    }
  }
  if (signal.aborted || !followers.some(ports.isFollowed)) return
  const wait = planned ?? parser.retryMs
  throw { ...transportFailure('cut', 'The event stream ended.'), ...(wait === undefined ? {} : { retryInMs: wait }), planned: planned !== undefined }
}

/** The one that a message is for; all of them where it names none. */
function addressees(message: Message, followers: readonly Follower[]): readonly Follower[] {
  if (followers.length === 1) return followers
  const { session_id: sessionId } = message.header
  return sessionId === undefined ? followers : followers.filter(follower => follower.sessionId === sessionId)
}

/** Waits for the application; in a shared stream not for ever. */
async function patience({ clock, slowMs, slow }: StreamPorts, follower: Follower, taken: Promise<void>, isShared: boolean): Promise<void> {
  if (!isShared || follower.slow) return taken
  const stop = clock.after(slowMs, () => slow(follower))
  await taken.finally(stop)
}

async function openStream(
  { options, url, token, listener, signal }: StreamPorts,
  followers: readonly Follower[],
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const [first] = followers
  if (!first) throw new TypeError('a stream without followers')
  const common = { mode: first.mode, on_missing: first.request.onMissing, client_id: listener.clientId, attempt: attemptOf(listener.attempt) }
  const list = followers.map(({ sessionId, cursor }) => (cursor === undefined ? sessionId : `${sessionId}@${cursor}`)).join(',')
  const path =
    followers.length > 1
      ? `/events${queryFrom({ attach: list, ...common })}`
      : `${eventsPath(first.sessionId)}${queryFrom({ cursor: first.cursor, ...common })}`
  const response = await get(options, url + path, token, 'text/event-stream', signal)
  if (response.headers.get('content-type')?.startsWith('text/event-stream') && response.body) return response.body.getReader()
  await response.body?.cancel()
  throw transportFailure('bad_data', 'The answer is not an event stream.')
}
