import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type EngineServer, startEngineServer } from '../../test/engine-server.ts'
import { spoolHook } from './entry.ts'
import { takeFlushLock } from './lock.ts'
import { listDeadLetters, listRecords, spoolPlaces } from './spool.ts'
import { flushRuns } from './starter.ts'

let folder: string
let spool: string
let server: EngineServer
const children: ChildProcess[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-hook-'))
  spool = join(folder, 'spool')
  server = await startEngineServer()
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await server.stop()
  // A flush that a hook started ends by itself once it has nothing to do.
  await vi.waitFor(() => expect(flushRuns(spool, Date.now())).toBe(false), { timeout: 10_000 })
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

const env = () => ({
  ...process.env,
  HOLDFAST_SPOOL: spool,
  HOLDFAST_DATA_DIR: folder,
  HOLDFAST_URL: server.url,
  HOLDFAST_HOOK_LINGER_MS: '0',
  HOLDFAST_HOOK_PATIENCE_MS: '2000',
})
const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

function start(code: string, args: readonly string[] = []): ChildProcess {
  const child = spawn(process.execPath, ['--conditions=holdfast-source', '--input-type=module', '-e', code, ...args], {
    env: env(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}
const startFlush = () => start(`import { runFlush } from '${source('./flush-main.ts')}'; process.stdout.write(String(await runFlush()))`)
const startHook = (input: string) => {
  const child = start(`import { runHook } from '${source('./entry.ts')}'; await runHook([])`)
  child.stdin?.end(input)
  return child
}
async function outputOf(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', chunk => {
    text += chunk
  })
  await once(child, 'close')
  return text
}
const call = (event: string, fields: object = {}) => JSON.stringify({ session_id: 's', cwd: '/x/shop', hook_event_name: event, ...fields })

describe('the processes of a hook', () => {
  it('[RUN-12] hooks end with 0, say nothing, and what they were told arrives in order', async () => {
    for (const [event, fields] of [
      ['SessionStart', { source: 'startup' }],
      ['UserPromptSubmit', { prompt: 'hi', prompt_id: 'p' }],
      ['Stop', { last_assistant_message: 'ho' }],
      ['SessionEnd', {}],
    ] as const) {
      const hook = startHook(call(event, fields))
      expect(await outputOf(hook)).toBe('')
      expect(hook.exitCode).toBe(0)
    }
    const types = ['run.session_start', 'run.message', 'run.message', 'run.agent_stop', 'run.session_stop']
    await vi.waitFor(async () => expect((await server.events('s')).map(event => event.type)).toEqual(types), { timeout: 10_000 })
  })

  it('[RUN-12] rubbish on standard input ends with 0 too', async () => {
    const hook = startHook('{oh')
    await outputOf(hook)
    expect(hook.exitCode).toBe(0)
    expect(listDeadLetters(spool)).toHaveLength(1)
  })

  it.each(['hang', 'hang-after'] as const)('[RUN-12] a flush that is killed while the server has its events (%s) is made good by the next one', async how => {
    for (let i = 0; i < 5; i++) spoolHook(spool, Buffer.from(call('PreToolUse', { tool_name: 'Bash', tool_use_id: `t${i}` })), server.url)
    const hung = new Promise<void>(resolve => {
      server.onHang = resolve
    })
    server.fault = (method, path) => (method === 'POST' && path.endsWith('/events') ? how : undefined)
    const first = startFlush()
    await hung
    first.kill('SIGKILL')
    await once(first, 'close')
    expect(listRecords(spool)).toHaveLength(5)
    server.fault = () => undefined
    expect(await outputOf(startFlush())).toBe('true')
    expect((await server.events('s')).map(event => event.payload.tool_use_id)).toEqual(['t0', 't1', 't2', 't3', 't4'])
    expect(listRecords(spool)).toEqual([])
  })

  it('[RUN-12] [fault 13] one flush at a time; the lock ends with its process, the hint when it lets go', async () => {
    const lock = takeFlushLock(spool)
    expect(await outputOf(startFlush())).toBe('false')
    expect(flushRuns(spool, Date.now())).toBe(true)
    expect(flushRuns(spool, Date.now() + 60_000)).toBe(false)
    lock?.release()
    expect(existsSync(spoolPlaces(spool).running)).toBe(false)
    expect(await outputOf(startFlush())).toBe('true')
  })

  it('[RUN-12] a server that is away is waited for, then left to the next hook; the reason is kept', async () => {
    spoolHook(spool, Buffer.from(call('Notification')), 'http://127.0.0.1:1')
    expect(await outputOf(startFlush())).toBe('true')
    expect(listRecords(spool)).toHaveLength(1)
    expect(JSON.parse(readFileSync(spoolPlaces(spool).status, 'utf8'))).toMatchObject({ error: 'Nothing answers at http://127.0.0.1:1.' })
  })
})
