import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseLossless } from '@holdfast/protocol/wire'
import { ownFolder, spoolPlaces, writeWhole } from './spool.ts'

/** An event as it is posted; `id` makes it idempotent. */
export interface Item {
  readonly event_type: string
  readonly id: string
  readonly [field: string]: unknown
}

/** How a prompt is known again: by the agent's id for it, else by its text. */
export interface PromptClaim {
  readonly promptId?: string
  readonly hash: string
}

/** What is known of one agent session: enough to tell each thing once, whether its hook or its transcript line is seen first. */
export interface SessionState {
  readonly v: 1
  /** The server has the session. */
  exists: boolean
  /** Its end was told. */
  ended: boolean
  cwd?: string
  /** Bytes read of each transcript. */
  offsets: Record<string, number>
  /** Prompts told from a hook whose line is still to come, and from a line whose hook is still to come. */
  promptsFromHook: PromptClaim[]
  promptsFromTranscript: PromptClaim[]
  /** The agent's newest message, without white space. */
  answer: { messageId: string; text: string }
  /** Hashes of answers told from a hook whose line is still to come. */
  answersFromHook: string[]
  /** `pre:<tool_use_id>` and `post:<tool_use_id>` that were told. */
  tools: string[]
  /** Tool calls seen in the transcript whose hook was not. */
  openTools: Record<string, { name: unknown; input: unknown }>
  /** The newest hook, to know it again when two settings files call it twice. */
  last?: { digest: string; atMs: number }
}

/** A batch that was decided; it is on disk before the first byte of it is sent, and is sent again as it is until the server has it. */
export interface Plan {
  readonly sessionId: string
  readonly url: string
  /** Reopen the session first: always, or where the server has it as finished. */
  readonly resume: 'no' | 'always' | 'if-finished'
  readonly events: readonly Item[]
  /** Hashes of contents that events refer to, which lie in the spool until the server has them. */
  readonly blobs: readonly string[]
  readonly records: readonly string[]
  readonly next: SessionState
}

export interface SessionFile {
  readonly state: SessionState
  /** Records that are delivered and may still lie in the queue. */
  readonly delivered?: readonly string[]
}

export const newSessionState = (): SessionState => ({
  v: 1,
  exists: false,
  ended: false,
  offsets: {},
  promptsFromHook: [],
  promptsFromTranscript: [],
  answer: { messageId: '', text: '' },
  answersFromHook: [],
  tools: [],
  openTools: {},
})

/** A copy to work on; numbers stay as they were written. */
export const copyState = (state: SessionState): SessionState => parseLossless(JSON.stringify(state)) as SessionState

/** A short stable id from its parts. */
export const digest = (...parts: readonly unknown[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)

const stateName = (url: string, sessionId: string): string => `${digest(url, sessionId)}.json`
const planName = (url: string, sessionId: string): string => `${digest(url, sessionId)}.plan`

function load(path: string): unknown {
  try {
    return parseLossless(readFileSync(path, 'utf8'))
  } catch {
    // No file, or a damaged one: the ids of events keep a repeat harmless.
    return undefined
  }
}

/** What was saved of a session; a new state where nothing was. */
export function loadSession(spool: string, url: string, sessionId: string): SessionFile {
  const file = load(join(spoolPlaces(spool).sessions, stateName(url, sessionId))) as SessionFile | undefined
  return file?.state?.v === 1 ? file : { state: newSessionState() }
}

export const loadPlan = (spool: string, url: string, sessionId: string): Plan | undefined =>
  load(join(spoolPlaces(spool).sessions, planName(url, sessionId))) as Plan | undefined

/** Every plan that was decided and not carried out to its end. */
export function listPlans(spool: string): Plan[] {
  const { sessions } = spoolPlaces(spool)
  return readdirSync(ownFolder(sessions))
    .filter(name => name.endsWith('.plan'))
    .flatMap(name => (load(join(sessions, name)) as Plan | undefined) ?? [])
}

export function saveSession(spool: string, url: string, sessionId: string, file: SessionFile): void {
  const folder = ownFolder(spoolPlaces(spool).sessions)
  writeWhole(join(folder, stateName(url, sessionId)), JSON.stringify(file), folder)
}

export function savePlan(spool: string, plan: Plan): void {
  const folder = ownFolder(spoolPlaces(spool).sessions)
  writeWhole(join(folder, planName(plan.url, plan.sessionId)), JSON.stringify(plan), folder)
}

export const dropPlan = (spool: string, plan: Plan): void => rmSync(join(spoolPlaces(spool).sessions, planName(plan.url, plan.sessionId)), { force: true })
