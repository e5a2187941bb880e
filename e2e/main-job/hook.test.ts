import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BIN, freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'

let server: ServerProcess | undefined
let flushFile = ''
afterEach(async () => {
  server?.signal('SIGCONT')
  await server?.kill()
  // The flush is a process of its own; with its server gone it would wait.
  try {
    process.kill((JSON.parse(readFileSync(flushFile, 'utf8')) as { pid: number }).pid)
  } catch {}
})

interface HookEnd {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** `holdfast hook` as an agent calls it. */
function callHook(env: NodeJS.ProcessEnv, input: string): Promise<HookEnd> {
  const child = spawn(process.execPath, [BIN, 'hook'], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  child.stdin.end(input)
  return new Promise(resolve => child.once('close', code => resolve({ code, out, err })))
}

const FINE: HookEnd = { code: 0, out: '', err: '' }

describe('holdfast hook', () => {
  it('[RUN-12] [SEQ-18] ends with 0 while the server is up, hangs or is dead; what was spooled arrives in order, once', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    const { url } = server
    flushFile = join(dataDir, 'hook-spool', 'flush.json')
    const env = { ...process.env, HOLDFAST_DATA_DIR: dataDir, HOLDFAST_URL: url, HOLDFAST_HOOK_LINGER_MS: '300' }
    const token = readFileSync(join(dataDir, 'token'), 'utf8').trim()
    let sent = 0
    const call = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index++) {
        const hook = {
          session_id: 'agent',
          hook_event_name: 'PreToolUse',
          cwd: dataDir,
          tool_name: 'Bash',
          tool_input: { command: `echo ${sent} “é”` },
          tool_use_id: `tool-${sent}`,
        }
        sent++
        expect(await callHook(env, JSON.stringify(hook))).toEqual(FINE)
      }
    }
    const arrived = async (): Promise<string[]> => {
      const response = await fetch(new URL('/sessions/agent/events?limit=1000', url), { headers: { authorization: `Bearer ${token}` } }).catch(() => undefined)
      if (!response?.ok) return []
      return ((await response.json()) as { events: { payload: { tool_use_id: string } }[] }).events.map(event => event.payload.tool_use_id)
    }
    const expectAll = async (): Promise<void> => {
      await until(`${sent} events`, async () => (await arrived()).length >= sent, 30_000)
      expect(await arrived()).toEqual(Array.from({ length: sent }, (_, index) => `tool-${index}`))
    }

    await call(3)
    await expectAll()
    // Hangs: it takes the request and never answers.
    server.signal('SIGSTOP')
    await call(4)
    server.signal('SIGCONT')
    await expectAll()
    // Hangs, and dies with the request.
    server.signal('SIGSTOP')
    await call(2)
    await server.kill()
    await call(3)
    server = await startServer({ dataDir, port })
    await expectAll()
    // Dead while several agents call at once: each call is kept.
    await server.kill()
    const parallel = Array.from({ length: 8 }, (_, index) => ({
      session_id: `parallel-${index}`,
      hook_event_name: 'UserPromptSubmit',
      prompt: `p${index}`,
      cwd: dataDir,
    }))
    expect(await Promise.all(parallel.map(hook => callHook(env, JSON.stringify(hook))))).toEqual(parallel.map(() => FINE))
    server = await startServer({ dataDir, port })
    for (const { session_id: id, prompt } of parallel) {
      const read = async () => {
        const response = await fetch(new URL(`/sessions/${id}/events`, url), { headers: { authorization: `Bearer ${token}` } })
        return response.ok ? ((await response.json()) as { events: { type: string; payload: { content: string } }[] }).events : []
      }
      await until(`the prompt of ${id}`, async () => (await read()).length > 0, 30_000)
      expect((await read()).map(event => [event.type, event.payload.content])).toEqual([['run.message', prompt]])
    }
    await expectAll()
  }, 120_000)

  it('[RUN-12] ends with 0, and says why on stderr, where it can keep nothing or was told nonsense', async () => {
    const folder = tempDir()
    const env = { ...process.env, HOLDFAST_DATA_DIR: folder, HOLDFAST_URL: 'http://127.0.0.1:1', HOLDFAST_HOOK_PATIENCE_MS: '100' }
    flushFile = join(folder, 'hook-spool', 'flush.json')
    expect(await callHook(env, '{"session_id": 7')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('not JSON') })
    expect(await callHook(env, '')).toMatchObject({ code: 0, out: '' })
    expect(await callHook({ ...env, HOLDFAST_DATA_DIR: join(BIN, 'not-a-folder') }, '{"session_id":"a","hook_event_name":"Stop"}')).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('holdfast hook:'),
    })
  })
})
