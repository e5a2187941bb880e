import { parseLossless } from '@holdfast/protocol/wire'
import { digest, type Item, type SessionState } from './session-state.ts'
import { firstTime, isFields, keepClaim, promptClaim, squeeze, takeClaim, toolEventId } from './lines.ts'

/** One call of a hook, parsed: the agent's JSON, and what the spool knows of it. */
export interface HookCall {
  readonly sessionId: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
  /** The spool's name of it, which no other call has. */
  readonly name: string
  readonly atMs: number
  readonly transcript?: string
  readonly transcriptBytes?: number
}

/** Two settings files may call a hook twice within this time; the second is the same call. */
const TWICE_MS = 10_000

/** `holdfast hook retry` queues a refused event under this name. */
export const RETRY = 'HoldfastRetry'

/** Fields of every hook that the session itself has, or that mean something on the agent's machine only. */
const NOT_TOLD = new Set(['session_id', 'hook_event_name', 'transcript_path', 'agent_transcript_path'])

/** True when the call is a copy of the newest one (nothing happened in between); remembers it. */
export function isRepeat(state: SessionState, call: HookCall): boolean {
  const own = digest(call.event, call.fields, call.transcriptBytes ?? null)
  const repeat = state.last?.digest === own && Math.abs(call.atMs - state.last.atMs) <= TWICE_MS
  state.last = { digest: own, atMs: call.atMs }
  return repeat
}

/** Whether a call reopens its session: SessionStart with source resume always; whatever shows that work goes on, where the end was told. */
export function resumeOf(state: SessionState, call: HookCall): 'no' | 'always' | 'if-finished' {
  if (call.event === 'SessionStart') return call.fields.source === 'resume' ? 'always' : 'if-finished'
  if (state.ended && (call.event === 'UserPromptSubmit' || call.event === 'PreToolUse')) return 'if-finished'
  return 'no'
}

/** The answer that a Stop names and the transcript has not shown; undefined where there is none to wait for. */
export function missingAnswer(state: SessionState, call: HookCall): string | undefined {
  if (call.event !== 'Stop' || typeof call.fields.last_assistant_message !== 'string') return undefined
  const text = squeeze(call.fields.last_assistant_message)
  return text === '' || state.answer.text === text || state.answer.text.endsWith(text) ? undefined : call.fields.last_assistant_message
}

/** The events of a hook's call, changing `state` to know what was told; transcript lines before it are told already. */
export function eventsFromCall(state: SessionState, call: HookCall): Item[] {
  const { event, fields } = call
  const details = Object.fromEntries(Object.entries(fields).filter(([key]) => !NOT_TOLD.has(key)))
  const common = { timestamp: new Date(call.atMs).toISOString(), via: 'hook' }
  const own = (...parts: readonly unknown[]): string => `hook-${digest(call.sessionId, event, ...(parts.length > 0 ? parts : [call.name]))}`
  switch (event) {
    case 'SessionStart':
      state.ended = false
      return [{ ...details, event_type: 'session_start', id: own(), ...common }]
    case 'UserPromptSubmit':
      return promptEvents(state, call, common, own)
    case 'PreToolUse':
      return toolEvents(state, call, 'pre', details, common, own)
    case 'PostToolUse':
    case 'PostToolUseFailure':
      return toolEvents(state, call, 'post', details, common, own)
    case 'Stop':
      return [...answerEvents(state, call, common, own), { ...details, event_type: 'agent_stop', id: own(), ...common }]
    case 'SubagentStop':
      return [{ ...details, event_type: 'subagent_stop', id: own(), ...common }]
    case 'Notification':
      return [{ ...details, event_type: 'notification', id: own(), ...common }]
    case 'SessionEnd':
      state.ended = true
      return [{ ...details, event_type: 'session_stop', id: own(), ...common, exit_code: 0 }]
    case RETRY:
      return isFields(fields.event) && typeof fields.event.event_type === 'string' ? [fields.event as Item] : []
    default:
      return [{ ...details, event_type: genericType(event), id: own(), ...common }]
  }
}

type OwnId = (...parts: readonly unknown[]) => string

/** A prompt is told from its transcript line; from the hook only where that line did not come in time. */
function promptEvents(state: SessionState, call: HookCall, common: object, own: OwnId): Item[] {
  const text = typeof call.fields.prompt === 'string' ? call.fields.prompt : ''
  const claim = promptClaim(call.fields.prompt_id, text)
  if (takeClaim(state.promptsFromTranscript, claim)) return []
  if (claim.promptId !== undefined && state.promptsFromHook.some(other => other.promptId === claim.promptId)) return []
  keepClaim(state.promptsFromHook, claim)
  state.answer = { messageId: '', text: '' }
  const id = claim.promptId === undefined ? own() : own(claim.promptId)
  return [{ event_type: 'message', id, ...common, role: 'user', content: text, prompt_id: claim.promptId }]
}

function answerEvents(state: SessionState, call: HookCall, common: object, own: OwnId): Item[] {
  const text = missingAnswer(state, call)
  if (text === undefined) return []
  state.answersFromHook = [...state.answersFromHook.slice(-15), digest(squeeze(text))]
  state.answer = { messageId: '', text: squeeze(text) }
  return [{ event_type: 'message', id: own(call.name, 'answer'), ...common, role: 'assistant', content: [{ type: 'text', text }] }]
}

function toolEvents(state: SessionState, call: HookCall, when: 'pre' | 'post', details: Record<string, unknown>, common: object, own: OwnId): Item[] {
  const toolUseId = typeof call.fields.tool_use_id === 'string' ? call.fields.tool_use_id : undefined
  const type = when === 'pre' ? 'pre_tool' : 'post_tool'
  const failed = call.event === 'PostToolUseFailure' ? { is_error: true } : {}
  if (toolUseId === undefined) return [{ ...details, event_type: type, id: own(), ...common, ...failed }]
  delete state.openTools[toolUseId]
  const events: Item[] = []
  if (when === 'post' && firstTime(state, `pre:${toolUseId}`)) {
    const { tool_response: _response, ...input } = details
    events.push({ ...input, event_type: 'pre_tool', id: toolEventId('pre', toolUseId), ...common })
  }
  if (firstTime(state, `${when}:${toolUseId}`)) events.push({ ...details, event_type: type, id: toolEventId(when, toolUseId), ...common, ...failed })
  return events
}

/** `PreCompact` → `hook.pre_compact`; whatever a later agent calls its hooks fits the form of an event type. */
const genericType = (event: string): string =>
  `hook.${event
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9_.-]/g, '_')
    .slice(0, 58)}`

/** Reads a spooled text as a hook's call; undefined where it is none. */
export function parseCall(text: string, record: { name: string; atMs: number; transcriptBytes?: number }): HookCall | undefined {
  let fields: unknown
  try {
    fields = parseLossless(text)
  } catch {
    return undefined
  }
  if (!isFields(fields) || typeof fields.session_id !== 'string' || typeof fields.hook_event_name !== 'string') return undefined
  const transcript = typeof fields.transcript_path === 'string' && fields.transcript_path !== '' ? { transcript: fields.transcript_path } : {}
  return { sessionId: fields.session_id, event: fields.hook_event_name, fields, ...record, ...transcript }
}
