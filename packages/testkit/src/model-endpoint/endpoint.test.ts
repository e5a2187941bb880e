import { afterEach, describe, expect, it } from 'vitest'
import { type ModelEndpoint, startModelEndpoint } from './endpoint.ts'
import { scriptByPrompt } from './script.ts'

let endpoint: ModelEndpoint | undefined
afterEach(async () => endpoint?.close())

const post = async (body: object, path = '/v1/messages'): Promise<Response> =>
  fetch(`${endpoint?.url}${path}`, { method: 'POST', body: JSON.stringify({ model: 'm', ...body }) })
const ask = async (messages: object[]): Promise<{ content: Block[]; stop_reason: string }> => (await post({ messages })).json() as never

interface Block {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
}

interface StreamEvent {
  readonly type: string
  readonly content_block?: Block
  readonly delta?: { readonly text?: string; readonly partial_json?: string; readonly stop_reason?: string }
}

/** A streamed answer put together again, as a client of Anthropic's does. */
async function streamed(messages: object[]): Promise<{ content: Block[]; stop_reason: string | undefined; types: string[] }> {
  const text = await (await post({ messages, stream: true })).text()
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(match => JSON.parse(match[1] ?? '') as StreamEvent)
  const content: Block[] = []
  let parts: string[] = []
  for (const { type, content_block: block, delta } of events) {
    if (type === 'content_block_start') parts = []
    if (type === 'content_block_start' && block) content.push(block)
    if (type === 'content_block_delta') parts.push(delta?.text ?? delta?.partial_json ?? '')
    const last = content.at(-1)
    if (type === 'content_block_stop' && last)
      content[content.length - 1] = last.type === 'text' ? { ...last, text: parts.join('') } : { ...last, input: JSON.parse(parts.join('')) as unknown }
  }
  return { content, stop_reason: events.find(event => event.type === 'message_delta')?.delta?.stop_reason, types: events.map(event => event.type) }
}

const USER = {
  role: 'user',
  content: [
    { type: 'text', text: '<system-reminder>be brief</system-reminder>' },
    { type: 'text', text: 'run it 😀' },
  ],
}

describe('the scripted model', () => {
  it('[RUN-12] says how many messages it saw, and the prompt without what the agent added', async () => {
    endpoint = await startModelEndpoint()
    expect((await ask([USER])).content).toEqual([{ type: 'text', text: 'saw-1 run it 😀' }])
    expect((await ask([USER, { role: 'assistant', content: 'x' }, { role: 'user', content: 'more' }])).content[0]?.text).toBe('saw-3 more')
    expect(endpoint.requests.map(request => request.messages.length)).toEqual([1, 3])
  })

  it('[RUN-12] goes through the steps of a turn, streamed as in one document, and answers a repeated request the same', async () => {
    endpoint = await startModelEndpoint({
      script: scriptByPrompt({ 'run it': [{ text: 'I run it.', tools: [{ name: 'Bash', input: { command: 'echo “é” 😀'.repeat(40) } }] }, { text: 'Done.' }] }),
    })
    const first = await ask([USER])
    expect(first.stop_reason).toBe('tool_use')
    const { content, stop_reason: stop, types } = await streamed([USER])
    expect({ content, stop_reason: stop }).toEqual({ content: first.content, stop_reason: first.stop_reason })
    expect([types[0], types.at(-1)]).toEqual(['message_start', 'message_stop'])
    const call = first.content[1] as Block
    const second = [
      USER,
      { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'out', is_error: false }] },
    ]
    expect((await ask(second)).content).toEqual([{ type: 'text', text: 'Done.' }])
    expect(endpoint.requests.at(-1)?.messages.at(-1)?.toolResults).toEqual([{ id: call.id, text: 'out', isError: false }])
  })

  it('[RUN-12] fails when it is told to, and names what it does not know', async () => {
    endpoint = await startModelEndpoint({ script: () => ({ status: 529 }) })
    expect((await post({ messages: [] })).status).toBe(529)
    expect((await post({}, '/v1/nothing')).status).toBe(404)
    expect(endpoint.unknown).toEqual(['POST /v1/nothing'])
    expect(((await (await fetch(`${endpoint.url}/v1/models`)).json()) as { data: unknown[] }).data).toHaveLength(1)
  })
})
