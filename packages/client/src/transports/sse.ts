import { type Failure, failureFromThrown } from '../failure.ts'
import { systemClock } from '../clock.ts'
import type { Clock } from '../ports.ts'
import type { ClientTransport } from '../transport.ts'
import { type HttpOptions, sessionRefusal } from './http.ts'
import { type Follower, followerFrom, groupsOf } from './sse-follower.ts'
import { readStream } from './sse-stream.ts'

export interface SseOptions extends HttpOptions {
  readonly clock?: Clock
  /** A session that holds up a shared stream for this long gets another one, in ms. */
  readonly slowMs?: number
}

interface Stream {
  readonly followers: readonly Follower[]
  readonly abort: AbortController
}

const SLOW_MS = 1000
/** A stream goes on with sessions that nobody follows any more for this long, in case that more leave or others come. */
const LEAVE_MS = 200

/**
 * Server-Sent Events by fetch, so that the token is a header and not in a URL. Sessions share a stream where they can,
 * since a browser has six connections per server; when the list changes it is opened anew, each session going on where it was.
 */
export function sseTransport(options: SseOptions = {}): ClientTransport {
  const clock = options.clock ?? systemClock
  return {
    name: 'sse',
    heartbeats: true,
    open: (url, token, listener) => {
      const followers = new Map<string, Follower>()
      const streams = new Set<Stream>()
      let cancelRefresh: (() => void) | undefined
      let refreshAtMs = Number.POSITIVE_INFINITY
      let over = false

      const end = (stream: Stream): void => {
        streams.delete(stream)
        stream.abort.abort()
      }
      const close = (): void => {
        over = true
        cancelRefresh?.()
        for (const stream of [...streams]) end(stream)
        followers.clear()
      }
      const refreshIn = (ms: number): void => {
        const atMs = clock.nowMs() + ms
        if (over || atMs >= refreshAtMs) return
        cancelRefresh?.()
        refreshAtMs = atMs
        cancelRefresh = clock.after(ms, refresh)
      }
      const refresh = (): void => {
        refreshAtMs = Number.POSITIVE_INFINITY
        const groups = groupsOf(followers.values())
        for (const stream of [...streams]) {
          const kept = groups.findIndex(group => sameFollowers(group, stream.followers))
          if (kept >= 0) groups.splice(kept, 1)
          else end(stream)
        }
        for (const group of groups) start(group)
      }

      const start = (group: readonly Follower[]): void => {
        const stream: Stream = { followers: group, abort: new AbortController() }
        streams.add(stream)
        const { signal } = stream.abort
        const ports = {
          options,
          url,
          token,
          listener,
          clock,
          signal,
          slowMs: options.slowMs ?? SLOW_MS,
          isFollowed: (follower: Follower) => followers.get(follower.sessionId) === follower,
          drop: (follower: Follower) => {
            followers.delete(follower.sessionId)
          },
          slow: (follower: Follower) => {
            follower.slow = true
            refreshIn(0)
          },
        }
        readStream(ports, group).then(
          () => {
            streams.delete(stream)
          },
          thrown => {
            streams.delete(stream)
            if (!over && !signal.aborted) failed(group, failureFromThrown(thrown))
          },
        )
      }

      const failed = (group: readonly Follower[], failure: Failure): void => {
        const left = group.filter(follower => followers.get(follower.sessionId) === follower)
        const [first] = left
        if (!first) return
        const refusal = sessionRefusal(failure)
        if (!refusal) {
          close()
          return listener.closed(failure)
        }
        if (group.length === 1) {
          followers.delete(first.sessionId)
          return void listener.message(refusal, first.sessionId)
        }
        // Whoever is to blame: each asks for itself.
        for (const follower of left) follower.alone = true
        refreshIn(0)
      }

      queueMicrotask(() => {
        if (!over) listener.opened()
      })
      return {
        attach: request => {
          followers.set(request.sessionId, followerFrom(request))
          // After this turn, since more may follow.
          refreshIn(0)
        },
        detach: sessionId => {
          if (!followers.delete(sessionId)) return
          for (const stream of [...streams]) if (!stream.followers.some(follower => followers.get(follower.sessionId) === follower)) end(stream)
          if (streams.size > 0) refreshIn(LEAVE_MS)
        },
        close,
      }
    },
  }
}

const sameFollowers = (some: readonly Follower[], others: readonly Follower[]): boolean =>
  some.length === others.length && some.every(follower => others.includes(follower))
