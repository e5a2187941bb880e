import type { Hello, Mode } from '@holdfast/protocol'
import { formatCursor } from '@holdfast/protocol/wire'
import type { Message } from '../message.ts'
import type { AttachRequest } from '../transport.ts'

/** One session's place in a channel's streams; it outlives a stream that is opened anew because of others. */
export interface Follower {
  readonly request: AttachRequest
  readonly sessionId: string
  /** Where to go on, exclusive. */
  cursor: string | undefined
  mode: Mode
  /** Of the last hello. */
  epoch: string | undefined
  caughtUp: boolean
  /** Its application is slower than the stream: it holds up others no more. */
  slow: boolean
  /** A stream of its own, since a shared one was refused. */
  alone: boolean
}

export const followerFrom = (request: AttachRequest): Follower => ({
  request,
  sessionId: request.sessionId,
  cursor: request.cursor,
  mode: request.mode,
  epoch: undefined,
  caughtUp: false,
  slow: false,
  alone: false,
})

/**
 * Keeps a follower's place by what came for it; `id` is the record's. False where its reader must not be told: a stream
 * that was opened anew greets all its sessions once more, and those that go on where they were notice nothing.
 */
export function noted(follower: Follower, message: Message, id: string): boolean {
  if (message.type === 'protocol.hello') return notedHello(follower, message.payload as Hello)
  const place = placeFrom(id, follower.sessionId)
  if (place !== undefined) follower.cursor = place
  if (message.type !== 'protocol.caught_up') return true
  const first = !follower.caughtUp
  follower.caughtUp = true
  if (follower.mode === 'snapshot') follower.mode = 'auto'
  return first
}

function notedHello(follower: Follower, hello: Hello): boolean {
  const goesOn = follower.epoch !== undefined && follower.epoch === hello.epoch && (hello.resume === 'ok' || hello.resume === 'new')
  follower.epoch = hello.epoch
  if (goesOn) return false
  follower.caughtUp = false
  // A live reader's place is the head that it was told; from here on it resumes like any other.
  if (follower.mode === 'live') {
    follower.mode = 'replay'
    follower.cursor = formatCursor(hello.epoch, hello.head_seq)
  }
  return true
}

/** The cursor in a record's id; an id is kept by streams until the next one, so it may be another session's. */
function placeFrom(id: string, sessionId: string): string | undefined {
  const at = id.lastIndexOf('@')
  if (at < 0) return id === '' ? undefined : id
  return id.slice(0, at) === sessionId ? id.slice(at + 1) : undefined
}

/** Followers per stream, and characters of the list that names them: servers and proxies limit both. */
const MAX_FOLLOWERS = 50
const MAX_LIST = 6000

/** Which followers go together: one mode, and quick ones apart from slow ones. Few streams, since a browser has six connections per server. */
export function groupsOf(followers: Iterable<Follower>): Follower[][] {
  const open = new Map<string, { group: Follower[]; length: number }>()
  const groups: Follower[][] = []
  for (const follower of followers) {
    const { request, sessionId, mode, slow, alone } = follower
    const own = alone || request.onMissing !== undefined
    const key = own ? `own ${sessionId}` : `${mode} ${slow}`
    const length = sessionId.length + (follower.cursor?.length ?? 0) + 6
    const found = open.get(key)
    if (found && found.group.length < MAX_FOLLOWERS && found.length + length <= MAX_LIST) {
      found.group.push(follower)
      found.length += length
      continue
    }
    const group = [follower]
    groups.push(group)
    open.set(key, { group, length })
  }
  return groups
}
