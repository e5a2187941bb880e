import { StoreError, type Append, type Commit, type IdRow, type SessionRecord, type SessionRow } from '@holdfast/core'
import { countRecords } from './records.ts'
import type { AppendItem, CommitItem, CreateItem, Item } from './messages.ts'

/** Commits of one tick, on their way to the worker: the bodies lie one after the other in one buffer. */
export interface Batch {
  readonly items: Item[]
  readonly bodies: Uint8Array[]
  bytes: number
}

export const emptyBatch = (): Batch => ({ items: [], bodies: [], bytes: 0 })

/** Throws StoreError where seqs and records do not fit together. */
export function encodeCommit(batch: Batch, commit: Commit, isFresh: boolean): CommitItem {
  const { creates, appends, patches, drops, trims, ids, docs, fence } = commit
  for (const append of appends ?? []) checkAppend(append)
  if (!creates && !patches && !drops && !trims && !docs) return plainItem(batch, commit, isFresh)
  return {
    op: 'commit',
    fence,
    ...(creates?.length ? { creates: creates.map(createItem) } : {}),
    ...(appends?.length ? { appends: appends.map(append => appendItem(batch, append)) } : {}),
    ...(patches?.length
      ? {
          patches: patches.map(({ sessionId, record, life, activityAt }) => ({
            id: sessionId,
            ...(record ? { record: recordText(record), parent: record.parent_session_id } : {}),
            ...(life === undefined ? {} : { life }),
            ...(activityAt === undefined ? {} : { activityAt: Math.trunc(activityAt) }),
          })),
        }
      : {}),
    ...(drops?.length
      ? { drops: drops.map(({ sessionId, status, record, keepLog }) => ({ id: sessionId, status, record: recordText(record), keepLog })) }
      : {}),
    ...(trims?.length ? { trims: trims.map(({ sessionId, floor }) => ({ id: sessionId, floor })) } : {}),
    ...(ids?.length ? { ids: ids.map(idItem) } : {}),
    ...(docs?.length ? { docs: docs.map(doc => [doc.collection, doc.id, doc.value] as const) } : {}),
  }
}

/** The usual commit, made field by field: a spread for each part would cost more than the part. */
function plainItem(batch: Batch, { appends, ids, fence }: Commit, isFresh: boolean): CommitItem {
  const item: { -readonly [Part in keyof CommitItem]: CommitItem[Part] } = { op: 'commit', fence }
  if (appends?.length) item.appends = appends.map(append => appendItem(batch, append))
  if (ids?.length) item.ids = ids.map(idItem)
  if (isFresh) item.isFresh = true
  return item
}

const idItem = ({ sessionId, sender, id, digest, firstSeq, lastSeq, at, answer }: IdRow) =>
  [sessionId, sender, id, digest, firstSeq, lastSeq, Math.trunc(at), answer] as const

const recordText = (record: SessionRecord): string => JSON.stringify(record)

const createItem = (row: SessionRow): CreateItem => ({
  id: row.id,
  kind: row.kind,
  owner: row.owner,
  status: row.status,
  life: row.life,
  parent: row.record.parent_session_id,
  createdAt: Math.trunc(row.createdAt),
  activityAt: Math.trunc(row.activityAt),
  head: row.head,
  record: recordText(row.record),
})

function appendItem(batch: Batch, append: Append): AppendItem {
  const offset = batch.bytes
  const bytes = append.body.byteLength
  batch.bodies.push(append.body)
  batch.bytes += bytes
  return { id: append.sessionId, firstSeq: append.firstSeq, lastSeq: append.lastSeq, activityAt: Math.trunc(append.activityAt), offset, bytes }
}

function checkAppend({ sessionId, firstSeq, lastSeq, body }: Append): void {
  let records = -1
  try {
    records = countRecords(body)
  } catch {
    records = -1
  }
  if (records > 0 && records === lastSeq - firstSeq + 1) return
  throw new StoreError('stale', `the seqs and records of an append to ${sessionId} do not fit together`, { sessionId })
}

/** All bodies of a batch in one buffer that can be given away. */
export function packBodies(batch: Batch): ArrayBuffer {
  const buffer = new ArrayBuffer(batch.bytes)
  const bytes = new Uint8Array(buffer)
  let at = 0
  for (const body of batch.bodies) {
    bytes.set(body, at)
    at += body.byteLength
  }
  return buffer
}

/** Names of blobs are digests, so that no name leads out of its folder. */
export const isDigest = (sha256: string): boolean => /^[0-9a-f]{64}$/.test(sha256)
