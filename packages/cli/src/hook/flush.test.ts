import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EngineServer, startEngineServer } from '../../test/engine-server.ts'
import { createApi } from '../api.ts'
import { spoolHook } from './entry.ts'
import { createFlush, type FlushWorld } from './flush.ts'
import { listDeadLetters, listRecords, spoolPlaces } from './spool.ts'
import { readLines } from './transcript.ts'

let folder: string
let spool: string
let transcript: string
let server: EngineServer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-flush-'))
  spool = join(folder, 'spool')
  transcript = join(folder, 'transcript.jsonl')
  server = await startEngineServer()
})
afterEach(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

const SESSION = 'b7462347-afc9-4db8-942b-7dd0fe077f39'

function call(event: string, fields: object = {}): void {
  spoolHook(spool, Buffer.from(JSON.stringify({ session_id: SESSION, transcript_path: transcript, cwd: '/home/me/shop', hook_event_name: event, ...fields })))
}
let uuids = 0
const uuid = () => `0b0e0000-0000-4000-8000-${String(++uuids).padStart(12, '0')}`
function line(value: object): string {
  const own = { uuid: uuid(), sessionId: SESSION, ...value }
  appendFileSync(transcript, `${JSON.stringify(own)}\n`)
  return own.uuid
}
const prompt = (text: string, promptId: string) => line({ type: 'user', promptId, message: { role: 'user', content: text } })
const answer = (text: string) => line({ type: 'assistant', message: { id: `msg-${uuids}`, role: 'assistant', content: [{ type: 'text', text }] } })
const toolUse = (id: string) =>
  line({ type: 'assistant', message: { id: `msg-${uuids}`, role: 'assistant', content: [{ type: 'tool_use', id, name: 'Bash', input: { command: id } }] } })
const toolResult = (id: string) =>
  line({
    type: 'user',
    message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: `out ${id}` }] },
    toolUseResult: { stdout: `out ${id}` },
  })

const flushOf = (world: Partial<FlushWorld> = {}) =>
  createFlush({
    spool,
    apiFor: () => createApi(server.url, undefined),
    read: (path, from, to) => readLines(path, from, to),
    nowMs: Date.now,
    wait: async attempt => attempt(),
    ...world,
  })

async function flush(world: Partial<FlushWorld> = {}): Promise<void> {
  const flushing = flushOf(world)
  await flushing.recover()
  await flushing.round()
  await flushing.catchUp()
}

/** One line per event: its type and what tells it from others. */
async function log(): Promise<string[]> {
  return (await server.events(SESSION)).map(({ type, payload }) => {
    const content = payload.content
    const text =
      typeof content === 'string' ? content : (content as { text?: string; type: string }[] | undefined)?.map(block => block.text ?? block.type).join('|')
    return [type, payload.role, text, payload.tool_use_id].filter(part => part !== undefined).join(' ')
  })
}

/** A turn as Claude Code makes it: hooks and transcript lines in their order. */
function turn(number: number, missed: readonly string[] = []): void {
  const hook = (event: string, fields: object) => {
    if (!missed.includes(event)) call(event, fields)
  }
  hook('UserPromptSubmit', { prompt_id: `p${number}`, prompt: 'go on' })
  prompt('go on', `p${number}`)
  toolUse(`t${number}`)
  hook('PreToolUse', { tool_name: 'Bash', tool_input: { command: `t${number}` }, tool_use_id: `t${number}` })
  hook('PostToolUse', { tool_name: 'Bash', tool_input: { command: `t${number}` }, tool_response: { stdout: 'x' }, tool_use_id: `t${number}` })
  toolResult(`t${number}`)
  answer(`done ${number}`)
  hook('Stop', { prompt_id: `p${number}`, last_assistant_message: `done ${number}` })
}

const turnLog = (number: number) => [
  'run.message user go on',
  'run.message assistant tool_use',
  `run.pre_tool t${number}`,
  `run.post_tool t${number}`,
  `run.message assistant done ${number}`,
  'run.agent_stop',
]

describe('the flush of hooks', () => {
  it('[RUN-12] a whole session arrives in order, each prompt, answer and tool once, and its result is the last answer', async () => {
    call('SessionStart', { source: 'startup' })
    turn(1)
    turn(2)
    call('SessionEnd', { reason: 'other' })
    await flush()
    expect(await log()).toEqual(['run.session_start', ...turnLog(1), ...turnLog(2), 'run.session_stop'])
    expect(listRecords(spool)).toEqual([])
    const { session } = (await createApi(server.url, undefined).request('GET', `/sessions/${SESSION}`)).body as { session: Record<string, unknown> }
    expect(session).toMatchObject({
      session_name: 'shop',
      project_dir: '/home/me/shop',
      working_dir: '/home/me/shop',
      agent_name: 'claude-code',
      state: 'ended',
    })
    const result = await createApi(server.url, undefined).request('GET', `/sessions/${SESSION}/result`)
    expect(result.body).toEqual({ result: 'done 2' })
  })

  it('[RUN-12] the same log comes out when each hook is flushed as it comes, before its transcript lines are there', async () => {
    const flushing = flushOf()
    call('SessionStart', { source: 'startup' })
    await flushing.round()
    call('UserPromptSubmit', { prompt_id: 'p1', prompt: 'go on' })
    await flushing.round()
    prompt('go on', 'p1')
    await flushing.catchUp()
    toolUse('t1')
    call('PreToolUse', { tool_name: 'Bash', tool_input: {}, tool_use_id: 't1' })
    await flushing.round()
    toolResult('t1')
    await flushing.catchUp()
    call('PostToolUse', { tool_name: 'Bash', tool_input: {}, tool_use_id: 't1' })
    await flushing.round()
    call('Stop', { last_assistant_message: 'done 1' })
    await flushing.round()
    answer('done 1')
    await flushing.catchUp()
    expect(await log()).toEqual(['run.session_start', ...turnLog(1)])
  })

  it.each([['UserPromptSubmit'], ['PreToolUse'], ['PostToolUse'], ['PreToolUse', 'PostToolUse'], ['UserPromptSubmit', 'PreToolUse', 'PostToolUse']])(
    '[RUN-12] what missed hooks (%s %s %s) would have said is there from the transcript',
    async (...missed) => {
      call('SessionStart', { source: 'startup' })
      turn(1, missed)
      turn(2)
      await flush()
      expect((await log()).toSorted()).toEqual(['run.session_start', ...turnLog(1), ...turnLog(2)].toSorted())
    },
  )

  it('[RUN-12] a hook of a session that the server does not know creates it', async () => {
    turn(1)
    await flush()
    expect(await log()).toEqual(turnLog(1))
  })

  it('[RUN-12] the state follows: running with a prompt, waiting with a notification, idle after Stop, finished after SessionEnd, running again when resumed', async () => {
    const states: unknown[] = []
    const next = async (event: string, fields: object) => {
      call(event, fields)
      await flush()
      states.push((await server.engine.status({ subject: 'a', scopes: new Set(['admin']) }, SESSION)).state)
    }
    await next('UserPromptSubmit', { prompt_id: 'p1', prompt: 'a' })
    await next('Notification', { message: 'may I?' })
    await next('PreToolUse', { tool_name: 'Bash', tool_use_id: 't1' })
    await next('Stop', { last_assistant_message: 'b' })
    await next('SessionEnd', { reason: 'exit' })
    await next('SessionStart', { source: 'resume' })
    expect(states).toEqual(['running', 'waiting', 'running', 'idle', 'ended', 'running'])
    expect(server.requests.filter(request => request.endsWith('/resume'))).toHaveLength(1)
  })

  it('[RUN-12] a crash at any step, and a lost answer, neither loses nor doubles anything', async () => {
    call('SessionStart', { source: 'startup' })
    turn(1)
    await flush()
    const before = server.requests.length
    const steps: string[] = []
    turn(2)
    await flush({ step: name => void steps.push(name) })
    expect(server.requests.length).toBeGreaterThan(before)
    expect(steps).toEqual(['plan', 'send', 'dead letters', 'save', 'drop plan', 'remove'])
    let expected = ['run.session_start', ...turnLog(1), ...turnLog(2)]
    let number = 2
    for (const crashAt of steps) {
      turn(++number)
      const crashed = flush({
        step: name => {
          if (name === crashAt) throw new Error(`crash at ${name}`)
        },
      })
      await expect(crashed).rejects.toThrow('crash at')
      turn(++number)
      await flush()
      expected = [...expected, ...turnLog(number - 1), ...turnLog(number)]
      expect(await log()).toEqual(expected)
    }
    turn(++number)
    server.fault = method => (method === 'POST' ? 'cut-after' : undefined)
    await expect(flush()).rejects.toThrow('Nothing answers')
    server.fault = () => undefined
    await flush()
    expect(await log()).toEqual([...expected, ...turnLog(number)])
    expect(listDeadLetters(spool)).toEqual([])
  })

  it('[RUN-12] a prompt told from its hook before a crash is not told again from its line after it', async () => {
    call('UserPromptSubmit', { prompt_id: 'p1', prompt: 'go on' })
    await expect(
      flush({
        step: name => {
          if (name === 'save') throw new Error('crash')
        },
      }),
    ).rejects.toThrow('crash')
    prompt('go on', 'p1')
    answer('done 1')
    call('Stop', { last_assistant_message: 'done 1' })
    await flush()
    expect(await log()).toEqual(['run.message user go on', 'run.message assistant done 1', 'run.agent_stop'])
  })

  it('[RUN-12] what is refused for good becomes a dead letter with a warning in the log, and the rest flows on', async () => {
    server.fault = (method, path, body) =>
      method === 'POST' && path.endsWith('/events') && body.includes('"tool_use_id":"t1"') && body.includes('pre_tool')
        ? { status: 400, body: { error: { code: 'invalid_request', message: 'no such tool', retryable: false, details: {} } } }
        : undefined
    turn(1)
    await flush()
    expect(await log()).toEqual(turnLog(1).map(entry => (entry === 'run.pre_tool t1' ? 'run.hook.warning' : entry)))
    const [name, ...others] = listDeadLetters(spool)
    expect(others).toEqual([])
    expect(JSON.parse(readFileSync(join(spoolPlaces(spool).dead, name as string), 'utf8'))).toMatchObject({
      reason: 'no such tool',
      session_id: SESSION,
      event: { event_type: 'pre_tool' },
    })
    expect(listRecords(spool)).toEqual([])
  })

  it('[RUN-12] a wrong token keeps everything until it is mended', async () => {
    server.fault = () => ({ status: 401, body: { error: { code: 'unauthorized', message: 'no', retryable: false, details: {} } } })
    turn(1)
    await expect(flush()).rejects.toMatchObject({ code: 'unauthorized' })
    expect(listRecords(spool)).toHaveLength(4)
    server.fault = () => undefined
    await flush()
    expect(await log()).toEqual(turnLog(1))
  })

  it('[RUN-12] a session that was deleted on the server makes dead letters, and others flow on', async () => {
    turn(1)
    await flush()
    await server.engine.deleteSession({ subject: 'a', scopes: new Set(['admin']) }, SESSION, 'keep')
    call('Notification', { message: 'x' })
    spoolHook(spool, Buffer.from(JSON.stringify({ session_id: 'other', cwd: '/x/y', hook_event_name: 'Notification', message: 'y' })))
    await flush()
    expect(listDeadLetters(spool)).toHaveLength(1)
    expect((await server.events('other')).map(event => event.type)).toEqual(['run.notification'])
  })

  it('[RUN-12] a field that is too large becomes a blob', async () => {
    const stdout = 'x'.repeat(400_000)
    call('PostToolUse', { tool_name: 'Bash', tool_input: { command: 'yes' }, tool_response: { stdout, stderr: '' }, tool_use_id: 't1' })
    await flush()
    const event = (await server.events(SESSION)).find(({ type }) => type === 'run.post_tool')
    const response = event?.payload.tool_response as { stdout: { blob: string } }
    expect(response).toMatchObject({ stdout: { media_type: 'text/plain; charset=utf-8', bytes: 400_000 }, stderr: '' })
    const { blob } = response.stdout
    const stored = await server.engine.getBlob({ subject: 'a', scopes: new Set(['admin']) }, SESSION, blob)
    expect(stored.bytes).toBe(400_000)
  })

  it('[RUN-12] a call that two settings files make twice is told once', async () => {
    for (const event of ['SessionStart', 'SessionEnd', 'SessionStart', 'SessionEnd']) {
      call(event, { source: 'startup' })
      call(event, { source: 'startup' })
    }
    await flush()
    expect(await log()).toEqual(['run.session_start', 'run.session_stop', 'run.session_start', 'run.session_stop'])
  })

  it('[RUN-12] numbers that no double holds stay as the agent wrote them', async () => {
    spoolHook(
      spool,
      Buffer.from(`{"session_id":"${SESSION}","hook_event_name":"PreToolUse","tool_name":"X","tool_use_id":"t1","tool_input":{"n":12345678901234567890}}`),
    )
    const bodies: string[] = []
    server.fault = (_method, _path, body) => void bodies.push(body) as undefined
    await flush()
    expect(bodies.join()).toContain('"n":12345678901234567890')
  })

  it('[RUN-12] a transcript line that is only half written is left for later', async () => {
    const whole = JSON.stringify({ type: 'assistant', uuid: uuid(), message: { role: 'assistant', content: 'late' } })
    writeFileSync(transcript, whole.slice(0, 30))
    call('Notification', {})
    await flush()
    expect(await log()).toEqual(['run.notification'])
    appendFileSync(transcript, `${whole.slice(30)}\n`)
    call('SessionEnd', {})
    await flush()
    expect(await log()).toEqual(['run.notification', 'run.message assistant late', 'run.session_stop'])
  })
})
