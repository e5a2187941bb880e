/** A message of a conversation, as transcript and log can be compared by it. */
export interface Said {
  readonly role: string
  readonly text: string
  readonly calls: readonly string[]
}

interface Block {
  readonly type?: unknown
  readonly text?: unknown
  readonly id?: unknown
  readonly tool_use_id?: unknown
}

export interface RunEvent {
  readonly type: string
  readonly header: { readonly id: string; readonly seq: number }
  readonly payload: Readonly<Record<string, unknown>>
}

const blocksOf = (content: unknown): readonly Block[] => (typeof content === 'string' ? [{ type: 'text', text: content }] : ((content ?? []) as Block[]))

const said = (role: string, content: unknown): Said => ({
  role,
  text: blocksOf(content)
    .flatMap(block => (block.type === 'text' ? [String(block.text)] : []))
    .join('\n'),
  calls: blocksOf(content).flatMap(block => (block.type === 'tool_use' ? [String(block.id)] : [])),
})

const resultsOf = (content: unknown): string[] => blocksOf(content).flatMap(block => (block.type === 'tool_result' ? [String(block.tool_use_id)] : []))

/** What a transcript says, from its lines alone: messages in order, and the tools that were used. */
export function conversationFromTranscript(lines: readonly Record<string, unknown>[]): { messages: Said[]; tools: string[] } {
  const messages: Said[] = []
  const tools: string[] = []
  for (const line of lines) {
    if ((line.type !== 'user' && line.type !== 'assistant') || line.isMeta === true || line.isSidechain === true) continue
    const { content } = line.message as { content: unknown }
    const results = resultsOf(content)
    if (results.length > 0) tools.push(...results)
    else messages.push(said(line.type, content))
  }
  return { messages, tools }
}

/** The same from the log of a run. */
export function conversationFromLog(events: readonly RunEvent[]): { messages: Said[]; tools: string[] } {
  return {
    messages: events.filter(event => event.type === 'run.message').map(event => said(String(event.payload.role), event.payload.content)),
    tools: events.filter(event => event.type === 'run.post_tool').map(event => String(event.payload.tool_use_id)),
  }
}
