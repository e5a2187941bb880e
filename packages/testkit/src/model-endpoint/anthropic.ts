import { type AnswerIds, type ModelAnswer, type ModelFormat, type ModelMessage, type ModelRequest, piecesOf, tokensOf } from './model.ts'

interface Block {
  readonly type?: unknown
  readonly text?: unknown
  readonly id?: unknown
  readonly name?: unknown
  readonly input?: unknown
  readonly tool_use_id?: unknown
  readonly content?: unknown
  readonly is_error?: unknown
}

const REMINDER = /<system-reminder>[\s\S]*?<\/system-reminder>/g

/** Anthropic's `POST /v1/messages`, as a document or as its stream of events. */
export const anthropicFormat: ModelFormat = { name: 'anthropic', path: '/v1/messages', parse, document, stream }

function parse(body: unknown): ModelRequest {
  const { model, stream: streams, messages, tools } = body as { model?: unknown; stream?: unknown; messages?: unknown; tools?: unknown }
  return {
    format: 'anthropic',
    model: String(model),
    stream: streams === true,
    messages: (Array.isArray(messages) ? messages : []).map(messageFrom),
    tools: (Array.isArray(tools) ? (tools as { name?: unknown }[]) : []).map(tool => String(tool.name)),
    body,
  }
}

function messageFrom(value: unknown): ModelMessage {
  const { role, content } = value as { role?: unknown; content?: unknown }
  const blocks = blocksOf(content)
  return {
    role: role === 'assistant' ? 'assistant' : role === 'system' ? 'system' : 'user',
    text: textOf(blocks),
    toolCalls: blocks.filter(block => block.type === 'tool_use').map(block => ({ id: String(block.id), name: String(block.name), input: block.input })),
    toolResults: blocks
      .filter(block => block.type === 'tool_result')
      .map(block => ({ id: String(block.tool_use_id), text: textOf(blocksOf(block.content)), isError: block.is_error === true })),
  }
}

const blocksOf = (content: unknown): readonly Block[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? (content as Block[]) : []

const textOf = (blocks: readonly Block[]): string =>
  blocks
    .filter(block => block.type === 'text' && typeof block.text === 'string')
    .map(block => (block.text as string).replace(REMINDER, '').trim())
    .filter(text => text !== '')
    .join('\n')

const callsOf = (answer: ModelAnswer, ids: AnswerIds) =>
  (answer.tools ?? []).map((tool, index) => ({ type: 'tool_use', id: tool.id ?? ids.tool(index), name: tool.name, input: tool.input }))

const stopReason = (answer: ModelAnswer): string => (answer.tools && answer.tools.length > 0 ? 'tool_use' : 'end_turn')

const usageOf = (request: ModelRequest, answer: ModelAnswer) => ({
  input_tokens: tokensOf(request.body),
  output_tokens: tokensOf([answer.text, answer.tools]),
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
})

function document(answer: ModelAnswer, request: ModelRequest, ids: AnswerIds): unknown {
  const text = answer.text === undefined ? [] : [{ type: 'text', text: answer.text }]
  const content = [...text, ...callsOf(answer, ids)]
  return {
    id: ids.message,
    type: 'message',
    role: 'assistant',
    model: request.model,
    content,
    stop_reason: stopReason(answer),
    stop_sequence: null,
    usage: usageOf(request, answer),
  }
}

async function* stream(answer: ModelAnswer, request: ModelRequest, ids: AnswerIds): AsyncGenerator<string> {
  const say = (type: string, fields: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  const usage = usageOf(request, answer)
  yield say('message_start', {
    message: {
      id: ids.message,
      type: 'message',
      role: 'assistant',
      model: request.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...usage, output_tokens: 1 },
    },
  })
  let index = 0
  if (answer.text !== undefined) {
    yield say('content_block_start', { index, content_block: { type: 'text', text: '' } })
    for (const [at, text] of piecesOf(answer.text).entries()) {
      await answer.beforePiece?.(at)
      yield say('content_block_delta', { index, delta: { type: 'text_delta', text } })
    }
    yield say('content_block_stop', { index })
    index++
  }
  for (const { input, ...call } of callsOf(answer, ids)) {
    yield say('content_block_start', { index, content_block: { ...call, input: {} } })
    for (const partial_json of piecesOf(JSON.stringify(input))) yield say('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json } })
    yield say('content_block_stop', { index })
    index++
  }
  yield say('message_delta', { delta: { stop_reason: stopReason(answer), stop_sequence: null }, usage: { output_tokens: usage.output_tokens } })
  yield say('message_stop', {})
}
