import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { BIN, type ServerProcess, startServer } from '../lib/process.ts'

const run = promisify(execFile)

let server: ServerProcess | undefined
afterEach(async () => {
  await server?.kill()
})

/** curl as a person types it: fails on a refusal, prints the body. */
async function curl(...args: string[]): Promise<unknown> {
  const { stdout } = await run('curl', ['-sS', '--fail-with-body', '--max-time', '10', ...args])
  return JSON.parse(stdout)
}

describe('the first minute', () => {
  it('[RUN-10] [RUN-01] [RUN-03] [RUN-04] create, post a message, read status and result with curl', async () => {
    server = await startServer()
    const { url } = server
    const json = ['-H', 'content-type: application/json', '-d']
    expect(await curl(`${url}/sessions`, ...json, '{"session_id": "demo", "session_name": "Demo"}')).toMatchObject({
      ok: true,
      session: { session_id: 'demo', status: 'running', head_seq: 0 },
    })
    const message = '{"event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "Grüße"}, {"type": "text", "text": "and done."}]}'
    expect(await curl(`${url}/sessions/demo/events`, ...json, message)).toEqual({ ok: true, first_seq: 1, last_seq: 1, duplicate: false })
    expect(await curl(`${url}/sessions/demo/status`)).toEqual({ status: 'running', state: 'running' })
    expect(await curl(`${url}/sessions/demo/result?partial=true`)).toEqual({ result: 'Grüße\nand done.' })
    await expect(curl(`${url}/sessions/demo/result`)).rejects.toMatchObject({ stdout: expect.stringContaining('"not_finished"') })
    await curl(`${url}/sessions/demo/events`, ...json, '{"event_type": "session_stop", "exit_code": 0}')
    expect(await curl(`${url}/sessions/demo/status`)).toEqual({ status: 'finished', state: 'ended' })
    expect(await curl(`${url}/sessions/demo/result`)).toEqual({ result: 'Grüße\nand done.' })
    expect(await curl(`${url}/sessions/nobody/status`)).toEqual({ status: 'not_existent', state: null })
  })

  it('[RUN-10] the default port is 8765, for the server and for its clients', async () => {
    const holdfast = async (...args: string[]): Promise<string> => (await run(process.execPath, [BIN, ...args])).stdout
    expect(await holdfast('config', '--defaults')).toMatch(/^port = 8765$/m)
    expect(await holdfast('serve', '--help')).toContain('8765')
    expect(await holdfast('status', '--help')).toContain('http://127.0.0.1:8765')
  })
})
