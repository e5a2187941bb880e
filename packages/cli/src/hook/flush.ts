import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isId } from '@holdfast/protocol/wire'
import type { Api } from '../api.ts'
import { type HookCall, parseCall } from './calls.ts'
import { deliver, isFinal, isFinalByNow, isMissing, type Refused } from './delivery.ts'
import { addCall, addLines, type Draft, newDraft, opensPlan, type ReadLines } from './planner.ts'
import { dropPlan, listPlans, loadPlan, loadSession, type Plan, savePlan, saveSession, type SessionState } from './session-state.ts'
import { shrink } from './shrink.ts'
import { addDeadLetter, listRecords, ownFolder, readRecord, removeRecord, sizeOf, spoolPlaces, writeWhole, writeStatus } from './spool.ts'

/** What a flush needs of the world. */
export interface FlushWorld {
  readonly spool: string
  /** The server of a record; its token is looked up anew each time. */
  readonly apiFor: (url: string | undefined) => Api
  readonly read: ReadLines
  readonly nowMs: () => number
  /** Repeats an attempt for a short while, until it is true. */
  readonly wait: (attempt: () => boolean) => Promise<boolean>
  /** Called before each step that a crash could fall on; tests throw here. */
  readonly step?: (name: string) => void
}

const PLAN_RECORDS = 200
const PLAN_EVENTS = 500
/** A call older than this has its transcript lines written already, or never will. */
const YOUNG_MS = 15_000
/** Faults of the server at one and the same plan, after which its events are taken one by one and the guilty one is put aside. */
const FAULTS = 6

/** Delivers what waits; each call makes one round over the queue. */
export interface Flush {
  /** Carries out what an earlier run decided and did not finish. */
  recover(): Promise<void>
  /** True where something was delivered; rejects where the server must be tried again later. */
  round(): Promise<boolean>
  /** Reads on in the transcripts of the sessions that were seen, up to their ends; true where that gave events. */
  catchUp(): Promise<boolean>
}

export function createFlush(world: FlushWorld): Flush {
  const { spool } = world
  const step = (name: string): void => world.step?.(name)
  /** Transcripts seen in this run, with the session that each belongs to. */
  const seen = new Map<string, { url: string; sessionId: string; path: string }>()
  const faults = new Map<string, number>()

  /** Sends a plan that is on disk, then lets go of everything that it stands for, in an order in which each step can be repeated. */
  async function carryOut(plan: Plan): Promise<SessionState> {
    let refused: Refused[]
    const key = `${plan.url} ${plan.sessionId}`
    try {
      step('send')
      refused = await deliver(world.apiFor(plan.url), spool, plan, (faults.get(key) ?? 0) >= FAULTS ? isFinalByNow : isFinal)
    } catch (error) {
      if (isFinalByNow(error) && !isFinal(error)) faults.set(key, (faults.get(key) ?? 0) + 1)
      if (!isMissing(error) || !plan.next.exists) throw error
      // Somebody deleted the session, or the server's folder is new: look again, create it anew where that may be.
      const anew = { ...plan, next: { ...plan.next, exists: false } }
      savePlan(spool, anew)
      return carryOut(anew)
    }
    faults.delete(key)
    step('dead letters')
    for (const { item, error } of refused) {
      const letter = { reason: error.message, at: new Date(world.nowMs()).toISOString(), session_id: plan.sessionId, url: plan.url, event: item }
      addDeadLetter(spool, `${plan.records[0]?.replace(/\.json$/, '') ?? 'transcript'}-${item.id.replaceAll(/[^A-Za-z0-9_.-]/g, '_')}`, letter)
    }
    step('save')
    const lost = plan.events.length > 0 && refused.length === plan.events.length
    const state: SessionState = { ...plan.next, exists: plan.next.exists || !lost }
    saveSession(spool, plan.url, plan.sessionId, { state, delivered: plan.records })
    step('drop plan')
    dropPlan(spool, plan)
    step('remove')
    for (const name of plan.records) removeRecord(spool, name)
    for (const sha256 of plan.blobs) rmSync(join(spoolPlaces(spool).blobs, sha256), { force: true })
    writeStatus(spool, { delivered_at: new Date(world.nowMs()).toISOString() })
    return state
  }

  /** Puts a draft on disk as a plan, then carries it out. */
  async function settle(draft: Draft): Promise<SessionState> {
    const blobs: string[] = []
    const events = draft.events.map(event => {
      const small = shrink(event)
      for (const { sha256, content } of small.blobs) {
        const folder = ownFolder(spoolPlaces(spool).blobs)
        writeWhole(join(folder, sha256), content, folder)
        blobs.push(sha256)
      }
      return small.item
    })
    const plan: Plan = { sessionId: draft.sessionId, url: draft.url, resume: draft.resume, events, blobs, records: draft.records, next: draft.state }
    step('plan')
    savePlan(spool, plan)
    return carryOut(plan)
  }

  /** What is known of a session, with an interrupted plan carried out and delivered records gone. */
  async function open(url: string, sessionId: string): Promise<SessionState> {
    const plan = loadPlan(spool, url, sessionId)
    if (plan) return carryOut(plan)
    const file = loadSession(spool, url, sessionId)
    for (const name of file.delivered ?? []) removeRecord(spool, name)
    return file.state
  }

  async function deliverCalls(url: string, calls: readonly HookCall[]): Promise<void> {
    const { sessionId } = calls[0] as HookCall
    let draft = newDraft(sessionId, url, await open(url, sessionId))
    for (const call of calls) {
      // A crash may have left it in the queue after its delivery.
      if (sizeOf(join(spoolPlaces(spool).queue, call.name)) === undefined) continue
      if (opensPlan(draft, call) || draft.records.length >= PLAN_RECORDS || draft.events.length >= PLAN_EVENTS)
        draft = newDraft(sessionId, url, await settle(draft))
      const young = world.nowMs() - call.atMs < YOUNG_MS
      await addCall(draft, call, world.read, young ? world.wait : async attempt => attempt())
      if (call.transcript !== undefined) seen.set(`${url} ${sessionId} ${call.transcript}`, { url, sessionId, path: call.transcript })
    }
    if (draft.records.length > 0) await settle(draft)
  }

  return {
    async recover() {
      for (const plan of listPlans(spool)) await carryOut(plan)
      // Contents of a draft that never became a plan.
      rmSync(spoolPlaces(spool).blobs, { recursive: true, force: true })
    },
    async round() {
      const names = listRecords(spool)
      for (const { url, calls } of groups(world, names)) await deliverCalls(url, calls)
      return names.length > 0
    },
    async catchUp() {
      let found = false
      for (const { url, sessionId, path } of seen.values()) {
        const size = sizeOf(path)
        if (size === undefined || size === loadSession(spool, url, sessionId).state.offsets[path]) continue
        const draft = newDraft(sessionId, url, await open(url, sessionId))
        addLines(draft, world.read, path)
        if (draft.events.length === 0) continue
        await settle(draft)
        found = true
      }
      return found
    },
  }
}

/** The calls that wait, by session, each session's in order; records that are no calls become dead letters. */
function groups(world: FlushWorld, names: readonly string[]): Iterable<{ url: string; calls: HookCall[] }> {
  const { spool } = world
  const found = new Map<string, { url: string; calls: HookCall[] }>()
  for (const name of names) {
    const record = readRecord(spool, name)
    const known = record && {
      name,
      atMs: record.head.at_ms,
      ...(record.head.transcript_bytes === undefined ? {} : { transcriptBytes: record.head.transcript_bytes }),
    }
    const call = record && known ? parseCall(record.text, known) : undefined
    if (!record || !call || !isId(call.sessionId)) {
      addDeadLetter(spool, name, {
        reason: call ? 'The session_id is not of the form that ids have.' : 'The record can not be read.',
        at: new Date(world.nowMs()).toISOString(),
        ...(record ? { text: record.text } : {}),
      })
      removeRecord(spool, name)
      continue
    }
    const { url } = world.apiFor(record.head.url)
    const key = `${url} ${call.sessionId}`
    const group = found.get(key) ?? { url, calls: [] }
    found.set(key, group)
    group.calls.push(call)
  }
  return found.values()
}
