import { isId } from '@holdfast/protocol/wire'
import { digest, type Item, type PromptClaim, type SessionState } from './session-state.ts'

type Fields = Record<string, unknown>

/** Harness bookkeeping that says nothing of the conversation. */
const QUIET_SYSTEM = new Set(['stop_hook_summary', 'turn_duration'])
const KEPT_CLAIMS = 64
const KEPT_TOOLS = 4000
const INTERRUPTED = /^\[Request interrupted by user/

export const isFields = (value: unknown): value is Fields => value !== null && typeof value === 'object' && !Array.isArray(value)
const blocksOf = (content: unknown): Fields[] => (Array.isArray(content) ? content.filter(isFields) : [])

/** A text without white space: how two copies of it are compared. */
export const squeeze = (text: string): string => text.replace(/\s+/g, '')

/** The text of a message's content. */
export const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : blocksOf(content)
        .map(block => (block.type === 'text' && typeof block.text === 'string' ? block.text : ''))
        .filter(text => text !== '')
        .join('\n')

export const promptClaim = (promptId: unknown, text: string): PromptClaim => ({
  ...(typeof promptId === 'string' ? { promptId } : {}),
  hash: digest(squeeze(text)),
})

/** The same prompt: by id where both have one, else by text. */
export const sameClaim = (a: PromptClaim, b: PromptClaim): boolean =>
  a.promptId !== undefined && b.promptId !== undefined ? a.promptId === b.promptId : a.hash === b.hash

/** Takes the first claim that matches out of a list; false where there is none. */
export function takeClaim(claims: PromptClaim[], claim: PromptClaim): boolean {
  const at = claims.findIndex(other => sameClaim(other, claim))
  if (at < 0) return false
  claims.splice(at, 1)
  return true
}

export function keepClaim(claims: PromptClaim[], claim: PromptClaim): void {
  claims.push(claim)
  if (claims.length > KEPT_CLAIMS) claims.shift()
}

/** Notes that a tool's event is told; false where it was before. */
export function firstTime(state: SessionState, key: string): boolean {
  if (state.tools.includes(key)) return false
  state.tools.push(key)
  if (state.tools.length > KEPT_TOOLS) state.tools.shift()
  return true
}

/** The id of a tool's event when its hook tells it. */
export function toolEventId(when: 'pre' | 'post', toolUseId: string): string {
  const id = `${when}:${toolUseId}`
  return isId(id) ? id : `${when}:${digest(toolUseId)}`
}

/** The prompt of a user line; undefined for tool results, injected context and subagents. */
export function promptOfLine(value: unknown): PromptClaim | undefined {
  if (!isFields(value) || value.type !== 'user' || value.isMeta === true || value.isCompactSummary === true || value.isSidechain === true) return undefined
  const content = isFields(value.message) ? value.message.content : undefined
  if (blocksOf(content).some(block => block.type === 'tool_result')) return undefined
  return content === undefined || content === null ? undefined : promptClaim(value.promptId, textOf(content))
}

/**
 * The events of one transcript line, changing `state` to know what was told.
 * The transcript is the source of messages: each user and assistant line with a uuid is one, under that uuid, unless a hook told it already.
 * Tool results and tool calls are events where their hook was missed.
 */
export function eventsFromLine(state: SessionState, value: unknown): Item[] {
  if (!isFields(value) || typeof value.uuid !== 'string') return []
  const id = isId(value.uuid) ? value.uuid : `line-${digest(value.uuid)}`
  const common = {
    via: 'transcript',
    ...(typeof value.timestamp === 'string' ? { timestamp: value.timestamp } : {}),
    ...(typeof value.parentUuid === 'string' ? { parent_uuid: value.parentUuid } : {}),
  }
  if (value.type === 'system') {
    if (typeof value.subtype === 'string' && QUIET_SYSTEM.has(value.subtype)) return []
    return [{ event_type: 'transcript.system', id, ...common, subtype: value.subtype, content: value.content, level: value.level }]
  }
  if ((value.type !== 'user' && value.type !== 'assistant') || !isFields(value.message)) return []
  const { content } = value.message
  if (content === undefined || content === null) return []
  if (value.isSidechain === true) return [{ event_type: 'subagent_message', id, ...common, role: value.type, content, agent_id: value.agentId }]
  return value.type === 'assistant' ? assistantEvents(state, value.message, id, common) : userEvents(state, value, content, id, common)
}

function assistantEvents(state: SessionState, message: Fields, id: string, common: Fields): Item[] {
  const { content } = message
  for (const block of blocksOf(content)) {
    if (block.type === 'tool_use' && typeof block.id === 'string' && !state.tools.includes(`pre:${block.id}`))
      state.openTools[block.id] = { name: block.name, input: block.input }
  }
  const text = squeeze(textOf(content))
  if (text !== '') {
    const messageId = typeof message.id === 'string' ? message.id : id
    const before = state.answer.messageId === messageId ? state.answer.text : ''
    state.answer = { messageId, text: before + text }
    const told = state.answersFromHook.findIndex(hash => hash === digest(text) || hash === digest(state.answer.text))
    if (told >= 0) {
      state.answersFromHook.splice(told, 1)
      return []
    }
  }
  const details = { message_id: message.id, model: message.model, stop_reason: message.stop_reason ?? undefined, usage: message.usage }
  return [{ event_type: 'message', id, ...common, role: 'assistant', content, ...details }]
}

function userEvents(state: SessionState, line: Fields, content: unknown, id: string, common: Fields): Item[] {
  const results = blocksOf(content).filter(block => block.type === 'tool_result')
  const events = results.flatMap((block, index) => toolEvents(state, block, line, index === 0 ? id : `${id}.${index}`, common))
  const rest = results.length === 0 ? content : blocksOf(content).filter(block => block.type !== 'tool_result')
  if (results.length > 0 && (rest as unknown[]).length === 0) return events
  const own = results.length === 0 ? id : `${id}.text`
  if (line.isMeta === true || line.isCompactSummary === true) return [...events, { event_type: 'context', id: own, ...common, role: 'user', content: rest }]
  const prompt = promptOfLine(line)
  if (prompt && takeClaim(state.promptsFromHook, prompt)) return events
  if (prompt) keepClaim(state.promptsFromTranscript, prompt)
  state.answer = { messageId: '', text: '' }
  const promptId = typeof line.promptId === 'string' ? { prompt_id: line.promptId } : {}
  events.push({ event_type: 'message', id: own, ...common, role: 'user', content: rest, ...promptId })
  // Claude Code calls no hook when the user interrupts a turn; this line is all there is.
  if (INTERRUPTED.test(textOf(rest))) events.push({ event_type: 'agent_stop', id: `${own}.stop`, ...common, reason: 'interrupted' })
  return events
}

/** A tool's result in the transcript: nothing where its hook told it, else the call (where that was missed too) and the result. */
function toolEvents(state: SessionState, block: Fields, line: Fields, id: string, common: Fields): Item[] {
  const toolUseId = typeof block.tool_use_id === 'string' ? block.tool_use_id : undefined
  if (toolUseId === undefined) return []
  const call = state.openTools[toolUseId]
  delete state.openTools[toolUseId]
  const events: Item[] = []
  const tool = { tool_name: call?.name, tool_input: call?.input, tool_use_id: toolUseId }
  if (call && firstTime(state, `pre:${toolUseId}`)) events.push({ event_type: 'pre_tool', id: toolEventId('pre', toolUseId), ...common, ...tool })
  if (firstTime(state, `post:${toolUseId}`)) {
    const failed = block.is_error === true ? { is_error: true } : {}
    events.push({ event_type: 'post_tool', id, ...common, ...tool, tool_response: line.toolUseResult ?? block.content, ...failed })
  }
  return events
}
