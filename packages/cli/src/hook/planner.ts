import { type HookCall, eventsFromCall, isRepeat, missingAnswer, resumeOf } from './calls.ts'
import { eventsFromLine, promptClaim, promptOfLine, sameClaim, squeeze, textOf, isFields } from './lines.ts'
import { copyState, type Item, type Plan, type SessionState } from './session-state.ts'
import type { TranscriptLine } from './transcript.ts'

/** Reads whole transcript lines: those that start after `from` and end before `to`. */
export type ReadLines = (path: string, from: number, to?: number) => { lines: readonly TranscriptLine[]; more: boolean }

/** Calls and lines gathered for one plan. */
export interface Draft {
  readonly sessionId: string
  readonly url: string
  readonly state: SessionState
  readonly events: Item[]
  readonly records: string[]
  resume: Plan['resume']
}

export const newDraft = (sessionId: string, url: string, state: SessionState): Draft => ({
  sessionId,
  url,
  state: copyState(state),
  events: [],
  records: [],
  resume: 'no',
})

/** True when a call must begin a plan of its own: reopening comes before its events and after those in front of it. */
export const opensPlan = (draft: Draft, call: HookCall): boolean => draft.events.length > 0 && resumeOf(draft.state, call) !== 'no'

/** Tells the lines of a transcript that end at or before `to` (its end where absent). */
export function addLines(draft: Draft, read: ReadLines, path: string, to?: number): void {
  for (;;) {
    const from = draft.state.offsets[path] ?? 0
    const { lines, more } = read(path, from, to)
    for (const line of lines) addLine(draft, path, line)
    if (!more) return
  }
}

function addLine(draft: Draft, path: string, line: TranscriptLine): void {
  draft.events.push(...eventsFromLine(draft.state, line.value))
  draft.state.offsets[path] = line.end
}

/** What a call still waits for in its transcript: the prompt's own line, or the answer's. */
export function awaited(draft: Draft, call: HookCall): ((value: unknown) => boolean) | undefined {
  if (call.transcript === undefined) return undefined
  if (call.event === 'UserPromptSubmit' && typeof call.fields.prompt === 'string') {
    const claim = promptClaim(call.fields.prompt_id, call.fields.prompt)
    if (draft.state.promptsFromTranscript.some(other => sameClaim(other, claim))) return undefined
    return value => {
      const other = promptOfLine(value)
      return other !== undefined && sameClaim(other, claim)
    }
  }
  const answer = missingAnswer(draft.state, call)
  if (answer === undefined) return undefined
  return value =>
    isFields(value) &&
    value.type === 'assistant' &&
    isFields(value.message) &&
    squeeze(textOf(value.message.content)) !== '' &&
    squeeze(answer).endsWith(squeeze(textOf(value.message.content)))
}

/** Tells the lines up to and including the awaited one; false, and nothing told, where it is not there yet. */
export function addLinesThrough(draft: Draft, read: ReadLines, path: string, found: (value: unknown) => boolean): boolean {
  const { lines } = read(path, draft.state.offsets[path] ?? 0)
  const at = lines.findIndex(line => found(line.value))
  for (const line of lines.slice(0, at + 1)) addLine(draft, path, line)
  return at >= 0
}

/** Takes up a call: the transcript before it, then (unless it is a copy of the newest call) what `wait` finds of its own line, then itself. */
export async function addCall(draft: Draft, call: HookCall, read: ReadLines, wait: (attempt: () => boolean) => Promise<boolean>): Promise<void> {
  draft.records.push(call.name)
  if (isRepeat(draft.state, call)) return
  if (typeof call.fields.cwd === 'string') draft.state.cwd ??= call.fields.cwd
  const resume = resumeOf(draft.state, call)
  if (resume !== 'no') draft.resume = resume
  if (call.transcript !== undefined) {
    addLines(draft, read, call.transcript, call.transcriptBytes ?? 0)
    const path = call.transcript
    const found = awaited(draft, call)
    if (found) await wait(() => addLinesThrough(draft, read, path, found))
  }
  draft.events.push(...eventsFromCall(draft.state, call))
  if (resume !== 'no') draft.state.ended = false
}
