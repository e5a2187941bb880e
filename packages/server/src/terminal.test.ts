// Long: one server after the other, with real programs in real holders.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoreError } from '@holdfast/core'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startTestServer, type TestServer, type TestServerOptions } from './testing/start-test-server.ts'

vi.setConfig({ testTimeout: 60_000 })

const servers: TestServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    const { body } = await server.call('GET', '/sessions?kind=terminal', undefined, { token: server.adminToken })
    for (const session of body.sessions) await server.call('DELETE', `/sessions/${session.session_id}`, undefined, { token: server.adminToken })
    for (const session of body.sessions) await vi.waitFor(() => expect(isAlive(session.terminal.pid)).toBe(false), 10_000)
    await server.stop()
  }
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** For servers that follow each other; gone after the last. */
function keptFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-terminal-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function start(options?: TestServerOptions): Promise<TestServer> {
  const server = await startTestServer(options)
  servers.push(server)
  return server
}

const admin = (server: TestServer) => ({ token: server.adminToken })

function create(server: TestServer, script: string, more: object = {}, terminal: object = {}) {
  return server.call('POST', '/sessions', { kind: 'terminal', terminal: { command: 'sh', args: ['-c', script], ...terminal }, ...more }, admin(server))
}

interface Logged {
  readonly type: string
  readonly header: { readonly seq: number; readonly client_id?: string }
  // biome-ignore lint/suspicious/noExplicitAny: looked into by the tests
  readonly payload: any
}

const eventsOf = async (server: TestServer, id: string): Promise<Logged[]> => (await server.log(id, admin(server))).map(text => JSON.parse(text) as Logged)

const outputOf = (events: readonly Logged[]): Buffer =>
  Buffer.concat(
    events
      .filter(event => event.type === 'terminal.output')
      .map(event => (event.payload.text === undefined ? Buffer.from(event.payload.base64, 'base64') : Buffer.from(event.payload.text))),
  )

const until = (server: TestServer, id: string, holds: (events: Logged[]) => boolean): Promise<Logged[]> =>
  vi.waitFor(
    async () => {
      const events = await eventsOf(server, id)
      if (!holds(events)) throw new Error(`not yet: ${JSON.stringify(events).slice(-500)}`)
      return events
    },
    { timeout: 20_000, interval: 20 },
  )

const hasExited = (events: readonly Logged[]): boolean => events.some(event => event.type === 'terminal.exited')

const input = (server: TestServer, id: string, type: string, payload: object, more: object = {}) =>
  server.call('POST', `/sessions/${id}/inputs`, { type, payload, ...more }, admin(server))

describe('terminals', () => {
  it('[TERM-01] [TERM-06] [TERM-11] a command runs, what it prints is in the log between its start and its exit, and the session says how it ended', async () => {
    const server = await start()
    const made = await create(server, 'printf "héllo\\n"; exit 3', { session_id: 't' })
    expect(made.status).toBe(201)
    const { terminal, head_seq } = made.body.session
    expect(head_seq).toBe(1)
    expect(terminal).toMatchObject({ command: 'sh', alive: true, cols: 80, rows: 24, incarnation: 1, pid: expect.any(Number), start_time: expect.any(String) })
    const events = await until(server, 't', hasExited)
    expect(events[0]).toMatchObject({ type: 'terminal.started', payload: { pid: terminal.pid, command: 'sh', cols: 80, rows: 24, incarnation: 1 } })
    expect(outputOf(events).toString()).toBe('héllo\r\n')
    expect(events.at(-1)).toMatchObject({ type: 'terminal.exited', payload: { exit_code: 3, signal: null } })
    const { session } = (await server.call('GET', '/sessions/t', undefined, admin(server))).body
    expect(session).toMatchObject({ state: 'failed', status: 'finished', terminal: { alive: false } })
    expect(session.ended_at).not.toBeNull()
  })

  it('[TERM-01] a command that can not be started is invalid_request and creates nothing', async () => {
    const server = await start()
    const made = await create(server, '', { session_id: 't' }, { command: 'no-such-command-anywhere' })
    expect([made.status, made.body.error.code]).toEqual([400, 'invalid_request'])
    const nowhere = await create(server, 'true', { session_id: 't' }, { cwd: '/no/such/folder' })
    expect([nowhere.status, nowhere.body.error.code]).toEqual([400, 'invalid_request'])
    expect((await server.call('POST', '/sessions', { kind: 'terminal' }, admin(server))).status).toBe(400)
    expect((await server.call('GET', '/sessions/t', undefined, admin(server))).status).toBe(404)
    expect((await create(server, 'true', { session_id: 't' })).status, 'the id is still free').toBe(201)
  })

  it('[TERM-08] [fault 28] bytes that are not UTF-8 and characters cut between two writes come back byte for byte', async () => {
    const server = await start()
    await create(
      server,
      "stty -opost; printf '\\303'; sleep 0.1; printf '\\251|\\377\\376|'; printf '\\360\\237'; printf '\\230\\200'; sleep 0.1; printf '\\342\\202'",
      {
        session_id: 't',
      },
    )
    const events = await until(server, 't', hasExited)
    expect(outputOf(events).toString('hex')).toBe(Buffer.from('c3a97cfffe7cf09f9880e282', 'hex').toString('hex'))
  })

  it('[TERM-03] [TERM-08] a megabyte of every byte is in the log byte for byte, in events within the limits', async () => {
    const server = await start()
    const generator = new URL('../../drivers/src/holder/testing/generator.mjs', import.meta.url).pathname
    const { generated } = (await import(generator)) as { generated(seed: number, count: number): Buffer }
    await create(server, `stty -opost -echo; ${process.execPath} ${generator} 7 1000000`, { session_id: 't' })
    const events = await until(server, 't', hasExited)
    expect(outputOf(events).equals(generated(7, 1_000_000))).toBe(true)
    expect(events.map(event => event.header.seq)).toEqual(events.map((_, index) => index + 1))
    expect(events.length).toBeLessThan(1000)
  })

  it('[TERM-13] [fault 14] what is typed reaches the program once, its repeat is a duplicate, and neither is in the log', async () => {
    const server = await start()
    await create(server, 'stty -echo; echo ready; while read line; do echo "got $line"; done', { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('ready'))
    const first = await input(server, 't', 'terminal.input', { text: 'one\n' }, { id: 'i1', client_id: 'c' })
    expect([first.status, first.body]).toEqual([202, { ok: true, id: 'i1', seq: null, duplicate: false }])
    const again = await input(server, 't', 'terminal.input', { text: 'one\n' }, { id: 'i1', client_id: 'c' })
    expect(again.body).toMatchObject({ seq: null, duplicate: true })
    await input(server, 't', 'terminal.input', { base64: Buffer.from('two\n\x04').toString('base64') }, { id: 'i2', client_id: 'c' })
    const events = await until(server, 't', hasExited)
    expect(outputOf(events).toString()).toBe('ready\r\ngot one\r\ngot two\r\n')
    expect((await input(server, 't', 'terminal.input', { text: 'x' })).body.error.code).toBe('session_ended')
  })

  it('[TERM-13] resize, signal, take_writer and respawn do what they say, each once', async () => {
    const server = await start()
    await create(server, "trap 'stty size' WINCH; trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.05; done", { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('ready'))
    const resized = await input(server, 't', 'terminal.resize', { cols: 100, rows: 40 }, { id: 'r1', client_id: 'c' })
    expect(resized.body.seq).toBeGreaterThan(0)
    expect((await input(server, 't', 'terminal.resize', { cols: 100, rows: 40 }, { id: 'r1', client_id: 'c' })).body).toMatchObject({
      seq: resized.body.seq,
      duplicate: true,
    })
    const sized = await until(server, 't', events => outputOf(events).includes('40 100'))
    const at = sized.findIndex(event => event.type === 'terminal.resized')
    expect(outputOf(sized.slice(0, at)).includes('40 100')).toBe(false)
    expect((await input(server, 't', 'terminal.respawn', {})).body.error.code).toBe('busy')
    expect((await input(server, 't', 'terminal.signal', { signal: 'SIGNOPE' })).status).toBe(400)
    expect((await input(server, 't', 'terminal.signal', { signal: 'SIGUSR1' }, { id: 's1' })).status).toBe(202)
    await until(server, 't', hasExited)
    const respawned = await input(server, 't', 'terminal.respawn', {}, { id: 'again' })
    expect(respawned.status).toBe(202)
    const events = await until(server, 't', all => outputOf(all.slice(respawned.body.seq)).includes('ready'))
    expect(events[respawned.body.seq - 1]).toMatchObject({ type: 'terminal.started', payload: { incarnation: 2, cols: 100, rows: 40 } })
    expect((await server.call('GET', '/sessions/t', undefined, admin(server))).body.session).toMatchObject({ state: 'running', ended_at: null })
  })

  it('[TERM-02] [TERM-13] the first attachment is the writer, others may look and take over, and input from others is forbidden', async () => {
    const server = await start()
    await create(server, 'stty -echo; echo ready; cat', { session_id: 't' })
    const attach = async (client: string) => {
      const socket = server.socket(`/ws?session_id=t&client_id=${client}`, { headers: { authorization: `Bearer ${server.adminToken}` } })
      return { socket, hello: await socket.next('hello', message => message.type === 'protocol.hello') }
    }
    const a = await attach('a')
    const b = await attach('b')
    expect([a.hello.payload.role, b.hello.payload.role]).toEqual(['writer', 'viewer'])
    const refused = await b.socket.ask('terminal.input', { session_id: 't' }, { text: 'x\n' })
    expect([refused.type, refused.payload.code]).toEqual(['protocol.error', 'forbidden'])
    expect((await a.socket.ask('terminal.input', { session_id: 't' }, { text: 'from a\n' })).payload).toMatchObject({ seq: null, duplicate: false })
    const taken = await b.socket.ask('terminal.take_writer', { session_id: 't' }, {})
    expect(taken.payload.seq).toBeGreaterThan(0)
    expect((await a.socket.ask('terminal.input', { session_id: 't' }, { text: 'x\n' })).payload.code).toBe('forbidden')
    expect((await b.socket.ask('terminal.input', { session_id: 't' }, { text: 'from b\n' })).type).toBe('protocol.ack')
    const events = await until(server, 't', all => outputOf(all).includes('from b'))
    expect(events.find(event => event.type === 'terminal.writer_changed')).toMatchObject({ header: { client_id: 'b' }, payload: { client_id: 'b' } })
    expect(outputOf(events).toString()).toBe('ready\r\nfrom a\r\nfrom b\r\n')
  })

  it('[OPS-01] creating what can execute without a token is 401, and beyond loopback forbidden until it is configured', async () => {
    const server = await start()
    expect((await server.call('POST', '/sessions', { kind: 'terminal', terminal: { command: 'sh' } })).status).toBe(401)
    const open = await start({ flags: { allow_host: ['box.example'] } })
    const refused = await create(open, 'true')
    expect([refused.status, refused.body.error.code]).toEqual([403, 'forbidden'])
    const configured = await start({ flags: { allow_host: ['box.example'] }, env: { EXEC_ALLOW_FOLDERS: '/tmp', EXEC_ALLOW_COMMANDS: 'sh' } })
    expect((await create(configured, 'true', {}, { cwd: '/' })).body.error.code).toBe('forbidden')
    expect((await create(configured, 'true', {}, { cwd: '/tmp', command: 'bash' })).body.error.code).toBe('forbidden')
    expect((await create(configured, 'true', {}, { cwd: '/tmp' })).status).toBe(201)
  })

  it('[OPS-01] a program sees five variables of the server and what it was given', async () => {
    vi.stubEnv('HOLDFAST_TOKEN', 'secret')
    vi.stubEnv('OPENAI_API_KEY', 'secret')
    const server = await start()
    await create(server, 'env', { session_id: 't' }, { env: { MINE: 'yes' } })
    vi.unstubAllEnvs()
    const text = outputOf(await until(server, 't', hasExited)).toString()
    expect(text).toContain('MINE=yes')
    expect(text).toContain('TERM=xterm-256color')
    expect(text).not.toContain('secret')
  })

  it('[TERM-05] ending or deleting a session ends its program, and leaves no folder', async () => {
    const server = await start()
    const made = await create(server, 'echo ready; sleep 1000', { session_id: 't' })
    const gone = await create(server, 'echo ready; sleep 1000', { session_id: 'gone' })
    await server.call('POST', '/sessions/t/end', undefined, admin(server))
    const events = await until(server, 't', hasExited)
    expect(events.map(event => event.type)).toContain('session.ended')
    expect((await server.call('GET', '/sessions/t', undefined, admin(server))).body.session.state).toBe('ended')
    await server.call('DELETE', '/sessions/gone', undefined, admin(server))
    for (const { body } of [made, gone]) await vi.waitFor(() => expect(isAlive(body.session.terminal.pid)).toBe(false), 10_000)
    await vi.waitFor(() => expect(existsSync(`${server.dataDir}/terminals`) ? readdirSync(`${server.dataDir}/terminals`) : []).toEqual([]), 10_000)
  })

  it('[TERM-10] [TERM-12] a snapshot and what follows it show the screen, also of a program that has ended, and at an earlier place', async () => {
    const server = await start()
    await create(server, "printf 'one\\r\\n'; read x; printf '\\033[31mtwo\\033[0m\\r\\n'; read y; printf 'three'", { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('one'))
    const early = (await server.call('GET', '/sessions/t/snapshot', undefined, admin(server))).body
    expect(early.state).toMatchObject({ cols: 80, rows: 24, incarnation: 1 })
    expect(early.state.screen).toContain('one')
    await input(server, 't', 'terminal.input', { text: 'a\n' })
    await until(server, 't', events => outputOf(events).includes('two'))
    const socket = server.socket('/ws?session_id=t&mode=snapshot', { token: server.adminToken })
    const part = await socket.next('a snapshot', message => message.type === 'protocol.snapshot')
    expect(JSON.parse(part.payload.data as string).screen).toContain('two')
    await socket.next('caught up', message => message.type === 'protocol.caught_up')
    await input(server, 't', 'terminal.input', { text: 'b\n' })
    const events = await until(server, 't', hasExited)
    await socket.next('the exit', message => message.type === 'terminal.exited')
    const from = part.payload.seq as number
    expect(socket.seqs('t')).toEqual(Array.from({ length: events.length - from }, (_, index) => from + 1 + index))
    const late = (await server.call('GET', '/sessions/t/snapshot', undefined, admin(server))).body
    expect(late.state.screen).toContain('three')
    const at = (await server.call('GET', `/sessions/t/snapshot?at=${early.seq}`, undefined, admin(server))).body
    expect(at).toEqual(early)
  })

  it('[fault 23] a program that asks its terminal is answered once, with nobody attached, and what is replayed is not answered', async () => {
    const server = await start()
    await create(server, "stty raw -echo; printf '\\033[6n'; head -c 6 | od -An -tx1; sleep 0.3; timeout 0.5 cat | od -An -tx1; stty sane", { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('1b'))
    for (let n = 0; n < 3; n++) {
      const socket = server.socket('/ws?session_id=t&cursor=0', { token: server.adminToken })
      await socket.next('caught up', message => message.type === 'protocol.caught_up')
    }
    const text = outputOf(await until(server, 't', hasExited)).toString()
    expect(text.replaceAll(/\s+/g, ' ').slice(4)).toContain(' 1b 5b 31 3b 31 52')
    expect(text.match(/1b/g)).toHaveLength(1)
  })

  it('[TERM-10] [TERM-12] beyond its bytes the oldest output goes, and who comes from before gets a snapshot', async () => {
    const server = await start({ env: { RETENTION_TERMINAL_MAX_BYTES: '64KiB', TIMES_SWEEP_MS: '100ms' } })
    await create(server, 'i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo "line number $i of a long output"; done; printf \'the end\'', { session_id: 't' })
    await vi.waitFor(async () => {
      const { session } = (await server.call('GET', '/sessions/t', undefined, admin(server))).body
      expect(session).toMatchObject({ state: 'ended' })
      expect(session.floor_seq).toBeGreaterThan(0)
      expect(session.bytes).toBeLessThan(140_000)
    }, 20_000)
    const socket = server.socket('/ws?session_id=t&cursor=0', { token: server.adminToken })
    await socket.next('caught up', message => message.type === 'protocol.caught_up')
    const types = socket.messages.map(message => message.type)
    expect(types.slice(0, 3)).toEqual(['protocol.hello', 'protocol.gap', 'protocol.snapshot'])
    const { session } = (await server.call('GET', '/sessions/t', undefined, admin(server))).body
    const whole = (await server.call('GET', '/sessions/t/snapshot', undefined, admin(server))).body
    expect(whole.state.screen).toContain('the end')
    expect(whole.seq).toBeGreaterThanOrEqual(session.floor_seq)
    const oldest = (await server.call('GET', `/sessions/t/snapshot?at=${session.floor_seq}`, undefined, admin(server))).body
    expect([oldest.seq, oldest.state.screen.includes('line number')]).toEqual([session.floor_seq, true])
    const text = (await server.call('GET', '/sessions/t/export?format=text', undefined, admin(server))).text
    const kept = [...text.matchAll(/line number (\d+) of/g)].map(match => Number(match[1]))
    expect(kept.at(-1)).toBe(4000)
    expect(kept, 'in order').toEqual([...new Set(kept)].toSorted((one, other) => one - other))
    expect(4001 - (kept[0] as number) - kept.length, 'at most the line that the floor cuts').toBeLessThanOrEqual(1)
  })

  it('[TERM-06] a bell makes the session wait for somebody, on the feed too, until something is typed', async () => {
    const server = await start()
    await create(server, "printf 'ready\\a'; cat", { session_id: 't' })
    const state = async () => (await server.call('GET', '/sessions/t', undefined, admin(server))).body.session.state
    await vi.waitFor(async () => expect(await state()).toBe('waiting'), 10_000)
    await input(server, 't', 'terminal.input', { text: 'x\n' })
    await vi.waitFor(async () => expect(await state()).toBe('running'), 10_000)
    const feed = (await server.call('GET', '/feed/events', undefined, admin(server))).body.events as Logged[]
    expect(feed.map(event => `${event.type} ${event.payload.session.state}`)).toEqual([
      'session.created running',
      'session.updated waiting',
      'session.updated running',
    ])
  })

  it('[TERM-17] [TERM-08] the log is exported as asciicast v3 and as text', async () => {
    const server = await start()
    await create(server, "stty -opost; printf '\\033[1mh\\303'; sleep 0.1; printf '\\251llo\\033['; sleep 0.1; printf '0m\\377!'; exit 2", { session_id: 't' })
    await until(server, 't', hasExited)
    const cast = await server.call('GET', '/sessions/t/export?format=asciicast', undefined, admin(server))
    const [head, ...lines] = cast.text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(head).toMatchObject({ version: 3, term: { cols: 80, rows: 24, type: 'xterm-256color' }, timestamp: expect.any(Number), command: 'sh' })
    expect(
      lines
        .filter(line => line[1] === 'o')
        .map(line => line[2])
        .join(''),
    ).toBe('\u001b[1mhéllo\u001b[0m\ufffd!')
    expect(lines.at(-1)?.slice(1)).toEqual(['x', '2'])
    for (const line of lines) expect(line[0]).toBeGreaterThanOrEqual(0)
    expect((await server.call('GET', '/sessions/t/export?format=text', undefined, admin(server))).text).toBe('héllo\ufffd!')
    expect((await server.call('GET', '/sessions/t/export?format=markdown', undefined, admin(server))).status).toBe(400)
  })

  it('[TERM-14] [TERM-15] a full disk is told to who is attached, stops the program in the end, and loses and repeats nothing', async () => {
    let isFull = false
    let refused = 0
    const server = await start({
      store: {
        beforeCommit: commit => {
          if (!isFull || !commit.appends?.length) return
          refused++
          throw new StoreError('full', 'no room')
        },
      },
    })
    await create(server, 'stty -opost; echo ready; read go; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo "line $i"; done; echo over', { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('ready'))
    const socket = server.socket('/ws?session_id=t', { token: server.adminToken })
    await socket.next('caught up', message => message.type === 'protocol.caught_up')
    isFull = true
    await input(server, 't', 'terminal.input', { text: 'go\n' })
    const told = await socket.next('the failure', message => message.type === 'protocol.error')
    expect(told.payload.code).toBe('storage_failed')
    await vi.waitFor(() => expect(refused).toBeGreaterThan(2), 10_000)
    expect(
      socket.messages.some(message => JSON.stringify(message.payload).includes('line 1')),
      'nothing is shown that was not stored',
    ).toBe(false)
    isFull = false
    const events = await until(server, 't', hasExited)
    const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index + 1}\n`).join('')
    expect(outputOf(events).toString().replaceAll('\r', '').replace('go\n', '')).toBe(`ready\n${lines}over\n`)
  })

  it('[TERM-16] input beyond the limit is too_large, and a large paste arrives whole', async () => {
    const server = await start()
    await create(server, 'stty raw -echo; echo ready; head -c 200000 | cksum; sleep 0.2', { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('ready'))
    expect((await input(server, 't', 'terminal.input', { text: 'x'.repeat(300_000) })).body.error.code).toBe('too_large')
    const paste = Array.from({ length: 200_000 }, (_, index) => String.fromCharCode(33 + ((index * 7919) % 90))).join('')
    expect((await input(server, 't', 'terminal.input', { text: paste }, { id: 'paste' })).status).toBe(202)
    const { execFileSync } = await import('node:child_process')
    const sum = execFileSync('cksum', { input: paste, encoding: 'utf8' }).trim()
    expect(outputOf(await until(server, 't', hasExited)).toString()).toContain(sum)
  })

  it('[TERM-02] [TERM-04] [TERM-13] [fault 14] after a restart the program is the same, its writer too, what was typed before is known, and all that it printed is there', async () => {
    const dataDir = keptFolder()
    const flags = { data_dir: dataDir }
    const first = await startTestServer({ flags })
    const made = await create(first, 'stty -echo; echo ready; while read line; do echo "got $line"; sleep 0.1; echo "later"; done', { session_id: 't' })
    const attach = async (server: TestServer, client: string) => {
      const socket = server.socket(`/ws?session_id=t&client_id=${client}&cursor=1`, { token: server.adminToken })
      return { socket, hello: (await socket.next('hello', message => message.type === 'protocol.hello')).payload }
    }
    const a = await attach(first, 'a')
    expect(a.hello['role']).toBe('writer')
    await until(first, 't', events => outputOf(events).includes('ready'))
    const typed = { session_id: 't', id: 'typed' }
    expect((await a.socket.ask('terminal.input', typed, { text: 'x\n' })).payload).toMatchObject({ duplicate: false })
    await first.stop()
    const server = await start({ flags, store: { disk: first.store.disk } })
    expect((await server.call('GET', '/sessions/t', undefined, admin(server))).body.session.terminal).toMatchObject({
      pid: made.body.session.terminal.pid,
      alive: true,
    })
    const b = await attach(server, 'b')
    expect(b.hello).toMatchObject({ role: 'viewer', reconnected: true, session: { session_id: 't' } })
    const again = await attach(server, 'a')
    expect(again.hello['role']).toBe('writer')
    expect((await again.socket.ask('terminal.input', typed, { text: 'x\n' })).payload).toMatchObject({ seq: null, duplicate: true })
    await again.socket.ask('terminal.input', { session_id: 't' }, { text: 'y\n' })
    const events = await until(server, 't', all => outputOf(all).toString().endsWith('got y\r\nlater\r\n'))
    expect(outputOf(events).toString()).toBe('ready\r\ngot x\r\nlater\r\ngot y\r\nlater\r\n')
    expect(events.filter(event => event.type === 'terminal.started')).toHaveLength(1)
  })

  it('[TERM-05] [TERM-06] a holder that is killed takes its program along: the session is lost, its output is there, and it can be started again', async () => {
    const server = await start()
    await create(server, 'echo ready; sleep 1000', { session_id: 't' })
    await until(server, 't', events => outputOf(events).includes('ready'))
    const record = JSON.parse(readFileSync(join(server.dataDir, 'terminals', 't', '1', 'holder.json'), 'utf8')) as { holder: { pid: number } }
    process.kill(record.holder.pid, 'SIGKILL')
    const events = await until(server, 't', hasExited)
    expect(events.at(-1)?.payload).toEqual({ exit_code: null, signal: null })
    expect((await server.call('GET', '/sessions/t', undefined, admin(server))).body.session).toMatchObject({ state: 'lost', terminal: { alive: false } })
    expect((await input(server, 't', 'terminal.respawn', {})).status).toBe(202)
    await until(server, 't', all => outputOf(all).toString() === 'ready\r\nready\r\n')
  })

  it('[TERM-05] what a server started and never stored is ended by the next one', async () => {
    const dataDir = keptFolder()
    const first = await startTestServer({ flags: { data_dir: dataDir } })
    const { pid } = (await create(first, 'echo ready; sleep 1000', { session_id: 't' })).body.session.terminal
    await first.stop()
    // Another store knows nothing of it, as after a crash between start and commit.
    const server = await start({ flags: { data_dir: dataDir } })
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 10_000)
    expect((await create(server, 'echo mine; sleep 1000', { session_id: 't' })).status, 'the id is free').toBe(201)
    await until(server, 't', events => outputOf(events).toString() === 'mine\r\n')
  })
})
