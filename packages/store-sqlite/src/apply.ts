import type { Desk } from './desk.ts'
import { blobPath } from './paths.ts'
import type { Log } from './logs.ts'
import type { CommitItem, Failure, Item, Result } from './messages.ts'
import { docSum } from './schema.ts'
import { sumOf } from './checksum.ts'
import { putSnapshot } from './snapshots.ts'
import { trimLog } from './trim.ts'

const failure = (code: Failure['code'], message: string, sessionId?: string): Failure => ({ code, message, sessionId })

/** Looks whether an item can be done, and changes nothing. Throws DamagedError. */
export function checkItem(desk: Desk, item: Item): Failure | undefined {
  if (item.op === 'commit') return checkCommit(desk, item)
  if (item.op === 'snapshot') {
    const log = desk.logs.find(item.id)
    return checkLive(desk, log, item.id)
  }
  if (item.op === 'blob-begin' || item.op === 'blob') {
    const log = desk.logs.find(item.id)
    if (item.op === 'blob' && log?.key !== item.session) return failure('stale', `session ${item.id} is gone`, item.id)
    return checkLive(desk, log, item.id)
  }
  return undefined
}

function checkLive(desk: Desk, log: Log | undefined, id: string): Failure | undefined {
  if (log?.status !== 'live') return failure('stale', `there is no live session ${id}`, id)
  if (desk.quarantined.has(id)) return failure('damaged', `the log of ${id} is quarantined`, id)
  return undefined
}

function checkCommit({ logs, ids, quarantined, fence }: Desk, commit: CommitItem): Failure | undefined {
  if (commit.fence < fence) return failure('fenced', 'another holder took the store over')
  const heads = new Map<string, number>()
  for (const create of commit.creates ?? []) {
    if (heads.has(create.id) || logs.find(create.id)) return failure('exists', `session ${create.id} exists`, create.id)
    heads.set(create.id, create.head)
  }
  for (const append of commit.appends ?? []) {
    let head = heads.get(append.id)
    if (head === undefined) {
      const log = logs.find(append.id)
      if (quarantined.has(append.id)) return failure('damaged', `the log of ${append.id} is quarantined`, append.id)
      if (log?.status === 'live') head = log.head
    }
    if (head === undefined || append.firstSeq !== head + 1) return failure('stale', `an append does not follow the head of ${append.id}`, append.id)
    heads.set(append.id, append.lastSeq)
  }
  const isUnknown = (id: string): boolean => !heads.has(id) && !logs.find(id)
  for (const part of [commit.patches, commit.drops, commit.trims]) {
    for (const { id } of part ?? []) if (isUnknown(id)) return failure('stale', `there is no session ${id}`, id)
  }
  const seen = new Set<string>()
  for (const [sessionId, sender, id] of commit.ids ?? []) {
    if (sessionId !== '' && isUnknown(sessionId)) return failure('stale', `there is no session ${sessionId}`, sessionId)
    const text = `${sessionId}\n${sender}\n${id}`
    const key = sessionId === '' ? 0 : logs.find(sessionId)?.key
    const taken = seen.has(text) || (key !== undefined && !commit.isFresh && ids.has(key, sender, id))
    if (taken) return failure('exists', `id ${id} exists`, sessionId)
    seen.add(text)
  }
  return undefined
}

/** True for what only appends and names ids: it may wait in the journal before it is filed. */
export const isPlainItem = (item: Item): boolean => item.op === 'commit' && !item.creates && !item.patches && !item.drops && !item.trims && !item.docs

/** Does an item that was checked; what it throws takes the whole transaction back. */
export function applyItem(desk: Desk, item: Item, bodies: Uint8Array): Result {
  switch (item.op) {
    case 'commit':
      return applyCommit(desk, item, bodies)
    case 'snapshot':
      return putSnapshot(desk, item.id, item.seq, item.state)
    case 'lease':
      return lease(desk, item.name, item.holder, item.expiresAt)
    case 'blob-begin': {
      const log = known(desk, item.id)
      desk.sql(`INSERT INTO files (path, state) VALUES (?, 'new') ON CONFLICT DO NOTHING`).run(blobPath(log.key, item.sha256))
      return { value: log.key }
    }
    case 'blob': {
      const { changes } = desk
        .sql('INSERT INTO blobs (session, sha256, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
        .run(item.session, item.sha256, item.bytes)
      desk.sql('DELETE FROM files WHERE path = ?').run(blobPath(item.session, item.sha256))
      return { value: Number(changes) }
    }
    case 'quarantine':
      desk.quarantined.add(item.id)
      desk.sql('INSERT INTO quarantine (session, reason) VALUES (?, ?) ON CONFLICT DO NOTHING').run(item.id, item.reason)
      return undefined
  }
}

const known = (desk: Desk, id: string): Log => {
  const log = desk.logs.find(id)
  if (!log) throw new Error(`session ${id} went away inside a transaction`)
  return log
}

function applyCommit(desk: Desk, commit: CommitItem, bodies: Uint8Array): Result {
  const { sql, logs, ids, journal } = desk
  for (const create of commit.creates ?? []) logs.add(create)
  for (const { id, firstSeq, lastSeq, activityAt, offset, bytes } of commit.appends ?? []) {
    const log = known(desk, id)
    logs.append(log, { firstSeq, lastSeq, body: bodies.subarray(offset, offset + bytes) }, activityAt)
    logs.totals.logBytes += bytes
    journal.append(log)
  }
  for (const patch of commit.patches ?? []) {
    const log = known(desk, patch.id)
    if (patch.record !== undefined) logs.setRecord(log, patch.record)
    if (patch.parent !== undefined) log.parent = patch.parent
    log.life = patch.life ?? log.life
    log.activityAt = patch.activityAt ?? log.activityAt
    logs.touch(log, true)
  }
  for (const { id, floor } of commit.trims ?? []) trimLog(desk, known(desk, id), floor)
  for (const [sessionId, sender, id, digest, firstSeq, lastSeq, at, answer] of commit.ids ?? []) {
    const entry = [sessionId === '' ? 0 : known(desk, sessionId).key, sender, id, digest, firstSeq, lastSeq, at, answer] as const
    ids.add(entry)
    journal.id(entry)
  }
  for (const [collection, id, value] of commit.docs ?? []) {
    if (value === null) sql('DELETE FROM docs WHERE collection = ? AND id = ?').run(collection, id)
    else {
      sql('INSERT INTO docs (collection, id, value, crc) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, crc = excluded.crc').run(
        collection,
        id,
        value,
        docSum(collection, id, value),
      )
    }
  }
  for (const drop of commit.drops ?? []) dropLog(desk, known(desk, drop.id), drop)
  return undefined
}

/** The row moves to a new key, so that all under the old one is out of reach at once; the eraser removes it bit by bit. */
function dropLog(desk: Desk, log: Log, drop: { status: string; record: string; keepLog: boolean }): void {
  const { sql, logs, quarantined } = desk
  if (log.status === 'live') logs.count(log, -1)
  log.status = drop.status
  logs.touch(log, true)
  logs.setRecord(log, drop.record)
  if (drop.keepLog) return
  const key = Number(sql('SELECT max(key) + 1 AS key FROM sessions').get()?.['key'])
  sql('UPDATE sessions SET key = ? WHERE key = ?').run(key, log.key)
  sql('INSERT INTO erase (session) VALUES (?)').run(log.key)
  sql('DELETE FROM quarantine WHERE session = ?').run(log.id)
  quarantined.delete(log.id)
  desk.hasRemains = true
  logs.totals.logBytes -= log.bytes
  Object.assign(log, { key, floor: log.head, folded: log.head, bytes: 0, loose: 0, pending: [] })
}

function lease(desk: Desk, name: string, holder: string, expiresAt: number): Result {
  const fence = Number(desk.sql('SELECT fence FROM leases WHERE name = ?').get(name)?.['fence'] ?? 0) + 1
  desk
    .sql(`INSERT INTO leases (name, holder, fence, expires_at, crc) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET holder = excluded.holder, fence = excluded.fence, expires_at = excluded.expires_at, crc = excluded.crc`)
    .run(name, holder, fence, expiresAt, sumOf([name, holder, fence, expiresAt]))
  if (name === 'store') desk.fence = fence
  return { value: fence }
}
