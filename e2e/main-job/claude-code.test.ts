import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, createHistory } from '@holdfast/testkit/oracle'
import { type ModelAnswer, promptOf, sayWhatWasSeen, stepOf, type Script } from '@holdfast/testkit/model-endpoint'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../lib/process.ts'
import { type LoopReader, startReader, type Transport } from '../lib/readers.ts'
import { type Agent, installAgent } from './agent.ts'
import { conversationFromLog, conversationFromTranscript, type RunEvent } from './claude-log.ts'
import { type ClaudeWorld, startClaudeWorld, writeOwnHook } from './claude-world.ts'

const WATCHED_OVER: readonly Transport[] = ['ws', 'sse', 'poll']
/** How long a delivery may take: it tries again with pauses of up to 10 s. */
const DELIVERY_MS = 60_000
/** More than an event may hold. */
const LARGE = 'é 漢字\n'.repeat(40_000)
const UNSHAKEN = 'Zwei Zeilen:\n\n— “fertig” 🎉 \\ "done"'

let agent: Agent | { missing: string }
let world: ClaudeWorld | undefined

beforeAll(async () => {
  agent = await installAgent('@anthropic-ai/claude-code', '2.1.330', 'claude')
  if ('missing' in agent) process.stderr.write(`\n!!! NOT TESTED: Claude Code's hooks against a real Claude Code. ${agent.missing}\n\n`)
}, 300_000)
afterAll(async () => world?.close())

/** Things that happen while the model answers, set by the test before each turn. */
const during: { firstPiece?: (() => Promise<void>) | undefined; step?: ((step: number) => Promise<void>) | undefined } = {}

const script: Script = async request => {
  const step = stepOf(request)
  await during.step?.(step)
  const answer = promptOf(request).includes('make a file') ? (toolTurn()[step] ?? sayWhatWasSeen(request)) : await sayWhatWasSeen(request)
  return { ...answer, beforePiece: async index => (index === 1 ? during.firstPiece?.() : undefined) }
}

const toolTurn = (): ModelAnswer[] => [
  { text: 'I look around first.', tools: [{ name: 'Bash', input: { command: 'echo out-of-bash', description: 'Say something' } }] },
  {
    tools: [
      { name: 'Write', input: { file_path: join(world?.project ?? '', 'note.txt'), content: LARGE } },
      { name: 'Bash', input: { command: 'wc -c note.txt; exit 3', description: 'A command that fails' } },
      { name: 'Bash', input: { command: 'seq 1 9000', description: 'A long output' } },
    ],
  },
  { text: UNSHAKEN },
]

describe('a real Claude Code', () => {
  it('[RUN-12] [RUN-03] [RUN-04] [SEQ-06] is followed live on three transports while the server is killed, hangs and comes back; the log agrees with the transcript', async ({
    skip,
  }) => {
    if ('missing' in agent) return skip(agent.missing)
    const here = await startClaudeWorld(agent.bin, script)
    world = here
    const { home, project } = here
    const turnMayEnd = join(home, 'turn-may-end')
    writeOwnHook(project, turnMayEnd)
    const mine = JSON.parse(readFileSync(join(project, '.claude', 'settings.json'), 'utf8')) as { hooks: { Stop: unknown[] } }

    expect(await here.holdfast('hook', 'install', '--project')).toContain('Installed.')
    const installed = JSON.parse(readFileSync(join(project, '.claude', 'settings.json'), 'utf8')) as { hooks: Record<string, unknown[]> }
    expect(installed.hooks.Stop).toEqual([...mine.hooks.Stop, expect.anything()])

    // Turn 1: the watchers see the prompt while the answer is still being made.
    const history = createHistory()
    const readers: LoopReader[] = []
    let session = ''
    during.firstPiece = async () => {
      session = await until('the session', async () => (await sessionsOf(here))[0])
      for (const transport of WATCHED_OVER)
        readers.push(startReader({ history, name: transport, session, transport, baseUrl: here.server.url, headers: here.headers, keyOf: () => undefined }))
      await until('the prompt at every watcher', () => readers.every(reader => reader.seq >= 2))
    }
    const state = async () => (await here.get(`/sessions/${session}/status`)).body
    const first = here.claude('-p', 'hello there')
    await until('idle after Stop', async () => session !== '' && (await state()).state === 'idle')
    expect(await state()).toEqual({ status: 'running', state: 'idle' })
    expect((await here.get(`/sessions/${session}/result`)).body).toMatchObject({ error: { code: 'not_finished' } })
    writeFileSync(turnMayEnd, '')
    expect(await first).toContain('saw-1 hello there')
    await until('the end after SessionEnd', async () => (await state()).state === 'ended')
    expect(await state()).toEqual({ status: 'finished', state: 'ended' })
    expect((await here.get(`/sessions/${session}/result`)).body).toEqual({ result: 'saw-1 hello there' })

    // Turn 2: killed between two tools, back before the last answer.
    during.firstPiece = undefined
    during.step = async step => {
      if (step === 1) await here.kill()
      if (step === 2) await here.start()
    }
    expect(await here.claude('-p', '-c', 'please make a file')).toContain(UNSHAKEN)
    during.step = undefined
    await until('the second result', async () => (await here.get(`/sessions/${session}/result`)).body.result === UNSHAKEN, DELIVERY_MS)

    // Turn 3: killed in mid-answer, away until the agent has gone.
    during.firstPiece = () => here.kill()
    expect(await here.claude('-p', '-c', 'and again')).toContain('saw-9 and again')
    during.firstPiece = undefined
    await here.start()

    // Turn 4: it hangs from before the start to after the end; the agent does not notice.
    await until('the third result', async () => (await here.get(`/sessions/${session}/result`)).body.result === 'saw-9 and again', DELIVERY_MS)
    here.server.signal('SIGSTOP')
    expect(await here.claude('-p', '-c', 'another one')).toContain('saw-11 another one')
    here.server.signal('SIGCONT')

    await until('the fourth result', async () => (await here.get(`/sessions/${session}/result`)).body.result === 'saw-11 another one', DELIVERY_MS)

    // Turn 5: no hook is called at all. The next one finds it in the transcript.
    await here.holdfast('hook', 'uninstall', '--project')
    expect(await here.claude('-p', '-c', 'make a file unseen')).toContain(UNSHAKEN)
    await here.holdfast('hook', 'install', '--project')
    expect(await here.claude('-p', '-c', 'seen again')).toContain('saw-19 seen again')

    await until('the last result', async () => (await here.get(`/sessions/${session}/result`)).body.result === 'saw-19 seen again', DELIVERY_MS)
    await until(
      'an empty spool',
      async () => (JSON.parse(await here.holdfast('hook', 'status', '--json')) as { waiting: number; delivering: boolean }).delivering === false,
    )
    expect(JSON.parse(await here.holdfast('hook', 'status', '--json'))).toMatchObject({ waiting: 0, dead_letters: 0, last_error: null, installed: ['project'] })

    // The log against the transcript.
    const lines = here.transcript(session)
    const events = await eventsOf(here, session)
    const told = conversationFromLog(events)
    const written = conversationFromTranscript(lines)
    expect(told.messages).toEqual(written.messages)
    expect(told.messages.filter(message => message.text !== '').map(message => message.text)).toEqual([
      ...['hello there', 'saw-1 hello there', 'please make a file', 'I look around first.', UNSHAKEN],
      ...['and again', 'saw-9 and again', 'another one', 'saw-11 another one'],
      ...['make a file unseen', 'I look around first.', UNSHAKEN, 'seen again', 'saw-19 seen again'],
    ])
    expect(told.tools.toSorted()).toEqual(written.tools.toSorted())
    expect(told.tools).toHaveLength(8)
    for (const tool of told.tools) {
      const around = events.filter(event => event.payload.tool_use_id === tool).map(event => event.type)
      expect(around).toEqual(['run.pre_tool', 'run.post_tool'])
    }
    expect(await contentOfWrite(here, session, events)).toBe(LARGE)
    const ids = events.map(event => event.header.id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(events.filter(event => /session_start|agent_stop|session_stop/.test(event.type)).map(event => event.type)).toEqual(
      Array.from({ length: 5 }, () => ['run.session_start', 'run.agent_stop', 'run.session_stop']).flat(),
    )
    expect(events.at(-1)?.type).toBe('run.session_stop')
    expect(await state()).toEqual({ status: 'finished', state: 'ended' })
    expect((await here.get(`/sessions/${session}`)).body.session).toMatchObject({
      project_dir: project,
      agent_name: 'claude-code',
      last_resumed_at: expect.any(String),
    })

    // Every watcher has the same bytes, each once.
    const head = events.length
    for (const reader of readers) await until(`${reader.name} at ${head}`, () => reader.seq >= head)
    await Promise.all(readers.map(reader => reader.stop()))
    expect(check(history)).toEqual([])
    expect(readers.map(reader => reader.seq)).toEqual([head, head, head])
    expect(await sessionsOf(here)).toEqual([session])
  }, 240_000)
})

async function sessionsOf({ get }: ClaudeWorld): Promise<string[]> {
  const { body } = await get('/sessions?kind=run')
  return (body.sessions as { session_id: string }[]).map(session => session.session_id)
}

/** What the agent wrote into the file, read from the log: too large for an event, so a blob. */
async function contentOfWrite({ server, headers }: ClaudeWorld, session: string, events: readonly RunEvent[]): Promise<string> {
  const input = events.find(event => event.type === 'run.pre_tool' && event.payload.tool_name === 'Write')?.payload.tool_input
  const { blob } = (input as { content: { blob: string } }).content
  return (await fetch(new URL(`/sessions/${session}/blobs/${blob}`, server.url), { headers })).text()
}

async function eventsOf({ get }: Pick<ClaudeWorld, 'get'>, session: string): Promise<RunEvent[]> {
  const { body } = await get(`/sessions/${session}/events?after=0&limit=1000`)
  expect(body.has_more).toBe(false)
  return body.events as RunEvent[]
}
