import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { HoldfastError } from '@holdfast/protocol/wire'
import { type Api, sessionPath, StrangeAnswerError } from '../api.ts'
import { digest, type Item, type Plan } from './session-state.ts'
import { spoolPlaces } from './spool.ts'

/** A server that says nothing for this long is taken for down. */
const ANSWER_MS = 10_000
const BATCH_EVENTS = 500
const BATCH_BYTES = 1024 * 1024

/** An event that the server refused for good. */
export interface Refused {
  readonly item: Item
  readonly error: Error
}

/** Says whether a refusal is for good; what is not is tried again. */
export type IsFinal = (error: unknown) => error is Error

/** True for refusals that the same request can't get past: 4xx, apart from a wrong token, a wrong address, and rate limits. */
export const isFinal: IsFinal = (error): error is Error => {
  if (error instanceof StrangeAnswerError) return error.status === 400 || error.status === 413 || error.status === 422
  if (!(error instanceof HoldfastError)) return false
  return error.code !== 'unauthorized' && error.code !== 'origin_rejected' && !error.retryable && error.status < 500
}

/** The same, where the server has failed at this request again and again. */
export const isFinalByNow: IsFinal = (error): error is Error => isFinal(error) || (error instanceof HoldfastError && error.code === 'internal')

/**
 * Hands a plan to the server: the session, its reopening, contents, then events in order. Every step can be repeated.
 * Resolves with the events that were refused for good; rejects where the same should be tried later.
 */
export async function deliver(api: Api, spool: string, plan: Plan, final: IsFinal = isFinal): Promise<Refused[]> {
  const path = sessionPath(plan.sessionId)
  let created = false
  try {
    if (!plan.next.exists) created = await ensureSession(api, plan)
    if (plan.resume !== 'no' && !created) await reopen(api, path, plan.resume)
  } catch (error) {
    if (!final(error)) throw error
    return plan.events.map(item => ({ item, error }))
  }
  const gone = await putBlobs(api, spool, path, plan.blobs, final)
  const refused: Refused[] = []
  for (const batch of batches(plan.events)) refused.push(...(await post(api, path, batch, gone, final)))
  return refused
}

/** Creates the session where the server has none; true where it did. */
async function ensureSession(api: Api, plan: Plan): Promise<boolean> {
  const path = sessionPath(plan.sessionId)
  const known = async (): Promise<boolean> => {
    try {
      await api.request('GET', path, { timeoutMs: ANSWER_MS })
      return true
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'not_found') return false
      throw error
    }
  }
  if (await known()) return false
  const cwd = plan.next.cwd
  const name = (cwd === undefined ? '' : basename(cwd)) || plan.sessionId
  const body = { session_id: plan.sessionId, session_name: name, kind: 'run', agent_name: 'claude-code', ...(cwd === undefined ? {} : { project_dir: cwd }) }
  const create = (full: object): Promise<unknown> => api.request('POST', '/sessions', { body: full, timeoutMs: ANSWER_MS })
  try {
    await create(cwd === undefined ? body : { ...body, working_dir: cwd })
  } catch (error) {
    // A token that may not choose where things run may still report where they do.
    const mayNotSetIt = error instanceof HoldfastError && (error.code === 'forbidden' || (error.code === 'unauthorized' && api.token === undefined))
    if (mayNotSetIt && cwd !== undefined) await create(body)
    else if (!(error instanceof HoldfastError && error.code === 'conflict' && (await known()))) throw error
  }
  return true
}

async function reopen(api: Api, path: string, resume: Plan['resume']): Promise<void> {
  if (resume === 'if-finished') {
    const { body } = await api.request('GET', `${path}/status`, { timeoutMs: ANSWER_MS })
    if ((body as { status?: string }).status !== 'finished') return
  }
  await api.request('POST', `${path}/resume`, { body: {}, timeoutMs: ANSWER_MS })
}

/** Stores contents; those that the server refuses for good are named in the answer. */
async function putBlobs(api: Api, spool: string, path: string, blobs: readonly string[], final: IsFinal): Promise<Map<string, Error>> {
  const refused = new Map<string, Error>()
  for (const sha256 of blobs) {
    const bytes = readFileSync(join(spoolPlaces(spool).blobs, sha256))
    try {
      await api.request('PUT', `${path}/blobs/${sha256}`, { content: { bytes, mediaType: 'application/octet-stream' }, timeoutMs: 60_000 })
    } catch (error) {
      if (!final(error)) throw error
      refused.set(sha256, error)
    }
  }
  return refused
}

function* batches(events: readonly Item[]): Generator<Item[]> {
  let batch: Item[] = []
  let bytes = 0
  for (const item of events) {
    const size = Buffer.byteLength(JSON.stringify(item))
    if (batch.length > 0 && (batch.length >= BATCH_EVENTS || bytes + size > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/** Appends a batch; a refused one is taken apart, so that what is good in it flows on and a warning stands where the rest would. */
async function post(api: Api, path: string, items: readonly Item[], gone: ReadonlyMap<string, Error>, final: IsFinal): Promise<Refused[]> {
  const [first] = items
  if (!first) return []
  try {
    const missing = items.length === 1 ? [...gone].find(([sha256]) => JSON.stringify(first).includes(sha256))?.[1] : undefined
    if (missing) throw missing
    if (items.length > 1 && gone.size > 0) throw new HoldfastError('invalid_request', 'Some contents were refused.')
    await api.request('POST', `${path}/events`, { body: items, timeoutMs: ANSWER_MS })
    return []
  } catch (error) {
    if (!final(error) || isMissing(error)) throw error
    if (items.length === 1) {
      await api.request('POST', `${path}/events`, { body: [warning(first, error)], timeoutMs: ANSWER_MS }).catch(failure => {
        if (!final(failure)) throw failure
      })
      return [{ item: first, error }]
    }
    const refused: Refused[] = []
    for (const item of items) refused.push(...(await post(api, path, [item], gone, final)))
    return refused
  }
}

/** The session itself is not there: nothing about one event. */
export const isMissing = (error: unknown): boolean =>
  error instanceof HoldfastError && (error.code === 'not_found' || error.code === 'session_deleted' || error.code === 'session_expired')

const warning = (item: Item, error: Error): Item => ({
  event_type: 'hook.warning',
  id: `warn-${digest(item.id)}`,
  message: `An event (${item.event_type}) was refused and is kept as a dead letter on the machine of the agent: ${error.message}`,
  refused_event_type: item.event_type,
  refused_id: item.id,
  code: error instanceof HoldfastError ? error.code : 'internal',
})
