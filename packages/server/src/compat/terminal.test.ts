import { afterEach, describe, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../testing/start-test-server.ts'
import { until } from '../testing/until.ts'

let server: TestServer
afterEach(async () => {
  await server.call('DELETE', '/sessions/t', undefined, { token: server.adminToken })
  await server.stop()
})

describe('the plain old terminal socket', () => {
  it('[TERM-18] [TERM-02] gives metadata, the replay marked as one, then live output, and takes input and sizes', async () => {
    server = await startTestServer()
    const made = await server.call(
      'POST',
      '/sessions',
      {
        session_id: 't',
        kind: 'terminal',
        terminal: { command: 'sh', args: ['-c', 'stty -echo; printf \'h\\303\\251\\n$ \'; read line; echo "got $line"; stty size; exec cat'] },
      },
      { token: server.adminToken },
    )
    expect(made.status).toBe(201)
    const open = () => server.socket('/compat/terminal/ws?session_id=t', { token: server.adminToken, isPlain: true })
    // biome-ignore lint/suspicious/noExplicitAny: plain messages are looked into
    const outputs = (client: ReturnType<typeof open>): any[] => client.messages.filter(message => message.type === 'output')
    const textOf = (client: ReturnType<typeof open>): string =>
      outputs(client)
        .map(message => message.text)
        .join('')
    const first = open()
    await until('the prompt', () => textOf(first).endsWith('$ '))
    expect(first.messages[0]).toMatchObject({
      type: 'session',
      session_id: 't',
      reconnected: false,
      age_seconds: expect.any(Number),
      created_at: expect.any(Number),
    })
    expect(outputs(first).at(-1)).toMatchObject({ is_prompt: true })
    const second = open()
    await until('its replay', () => textOf(second) === 'hé\r\n$ ')
    expect(second.messages[0]).toMatchObject({ reconnected: true })
    expect(outputs(second).every(message => message.is_replay)).toBe(true)
    second.socket.send(JSON.stringify({ type: 'resize', rows: 30, cols: 100 }))
    second.socket.send(JSON.stringify({ type: 'input', text: 'hello\n' }))
    await until('live output', () => textOf(second).endsWith('got hello\r\n30 100\r\n'))
    expect(outputs(second).at(-1)).toMatchObject({ is_replay: false })
    await until('the same elsewhere', () => textOf(first) === textOf(second))
    second.socket.send('nonsense')
    await until('an error', () => second.messages.some(message => message.type === 'error'))
  })

  it('[TERM-18] without a token it is refused, and an unknown session is not found', async () => {
    server = await startTestServer()
    expect((await server.socket('/compat/terminal/ws?session_id=none', { token: server.adminToken, isPlain: true }).closed).code).toBe(4404)
    expect((await server.socket('/compat/terminal/ws', { token: server.adminToken, isPlain: true }).closed).code).toBe(4400)
  })
})
