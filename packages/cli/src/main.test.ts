import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type EngineServer, startEngineServer } from '../test/engine-server.ts'
import { type FakeIo, fakeIo } from '../test/fake-io.ts'
import { registerServe } from './commands/serve.ts'
import { createProgram, main } from './main.ts'

let server: EngineServer
let dataDir: string
beforeEach(async () => {
  server = await startEngineServer()
  dataDir = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))
})
afterEach(async () => {
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function run(args: readonly string[], options: { stdin?: string; env?: NodeJS.ProcessEnv } = {}): Promise<{ code: number; out: string; err: string }> {
  const io = fakeIo({ ...options, env: { HOLDFAST_URL: server.url, HOLDFAST_DATA_DIR: dataDir, ...options.env } })
  const code = await main(args, io)
  return { code, ...io.printed }
}

/** A port that nobody listens on. */
async function closedUrl(): Promise<string> {
  const other = await startEngineServer()
  await other.stop()
  return other.url
}

describe('holdfast', () => {
  it('[RUN-10] create, post, status and result make the smoke', async () => {
    expect(await run(['create', '--name', 'Build', '--id', 'b', '--meta', 'n=1', '--meta', 'branch=main'])).toEqual({ code: 0, out: 'b\n', err: '' })
    expect((await run(['post', 'b', '--role', 'assistant', '--text', 'All green.'])).out).toBe('Posted: event 1 of b.\n')
    expect((await run(['post', 'b', '--type', 'session_stop', '--field', 'exit_code=0'])).code).toBe(0)
    expect(JSON.parse((await run(['status', 'b', '--json'])).out)).toMatchObject({
      status: 'finished',
      state: 'ended',
      session: { metadata: { n: 1, branch: 'main' } },
    })
    expect((await run(['result', 'b'])).out).toBe('All green.\n')
    expect((await run(['ls'])).out).toMatch(/^ID +KIND +NAME +STATE +EVENTS +LAST ACTIVITY\nb +run +Build +ended +2 +just now\n$/)
  })

  it('[RUN-01] the same create with the same id is the same session', async () => {
    for (let i = 0; i < 2; i++) expect((await run(['create', '--name', 'B', '--id', 'b'])).out).toBe('b\n')
  })

  it('[RUN-05] [SEQ-18] events on standard input come as lines or as one value, and a lost answer doubles none', async () => {
    const lines = '{"event_type":"a","n":12345678901234567890}\n\n{"event_type":"b"}'
    const array = '[\n  {"event_type": "c"},\n  {"event_type": "d", "id": "own"}\n]\n'
    let lost = false
    server.fault = (method, path) => {
      if (lost || method !== 'POST' || !path.endsWith('/events')) return undefined
      lost = true
      return 'cut-after'
    }
    expect(await run(['post', 's', '--create', '--name', 'S'], { stdin: lines })).toMatchObject({ code: 0, err: '' })
    expect(await run(['post', 's', '--create'], { stdin: array })).toMatchObject({ code: 0, err: '' })
    const events = await server.events('s')
    expect(events.map(event => event.type)).toEqual(['run.a', 'run.b', 'run.c', 'run.d'])
    expect(events[3]?.header.id).toBe('own')
    const session = JSON.parse((await run(['status', 's', '--json'])).out)
    expect(session.session.session_name).toBe('S')
  })

  it('[RUN-07] tail shows all there is with --no-follow, and the stored envelopes with --json', async () => {
    await run(['post', 's', '--create', '--role', 'user', '--text', 'one\ntwo'])
    await run(['post', 's', '--type', 'pre_tool', '--field', 'tool_name=Bash', '--field', 'tool_input={"command":"ls"}'])
    const { out } = await run(['tail', 's', '--no-follow'])
    expect(out.replaceAll(/\d\d:\d\d:\d\d/g, 'TT:TT:TT')).toBe('TT:TT:TT  user       one\n                     two\nTT:TT:TT  → tool     Bash  ls\n')
    const raw = (await run(['tail', 's', '--no-follow', '--json'])).out
    expect(
      raw
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)),
    ).toEqual(await server.events('s'))
    expect((await run(['tail', 's', '--no-follow', '--last', '1', '--json'])).out.split('\n')).toHaveLength(2)
  })

  it('[SEQ-16] tail goes on where it was when the server comes back, and Ctrl-C ends it with 0', async () => {
    const { serve } = await import('@holdfast/server')
    const first = await serve({ port: 0, dataDir })
    const env = { HOLDFAST_URL: first.url, HOLDFAST_DATA_DIR: dataDir }
    await run(['post', 's', '--create', '--text', 'one'], { env })
    const io: FakeIo = fakeIo({ env })
    const done = main(['tail', 's', '--json'], io)
    const seqs = () =>
      io.printed.out
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line).header.seq)
    await vi.waitFor(() => expect(seqs()).toEqual([1]), { timeout: 20_000 })
    await first.stop()
    await vi.waitFor(() => expect(io.printed.err).toContain('Connection lost'), { timeout: 20_000 })
    const second = await serve({ port: Number(new URL(first.url).port), dataDir })
    await run(['post', 's', '--text', 'two'], { env })
    await vi.waitFor(() => expect(seqs()).toEqual([1, 2]), { timeout: 20_000 })
    io.abort.abort()
    expect(await done).toBe(0)
    await second.stop()
  })

  it('[OPS-05] text from a log can not reach the terminal as control sequences', async () => {
    await run(['post', 's', '--create', '--name', 'a\u001b]0;x\u0007b', '--text', 'safe\u001b[2J\u001b[31mred\u0007\u009b1m'])
    for (const args of [['tail', 's', '--no-follow'], ['ls'], ['status', 's']]) expect((await run(args)).out).not.toMatch(/(?!\n)\p{Cc}/u)
  })

  it.each([
    [['frob'], 2],
    [['ls', '--frob'], 2],
    [['ls', '--kind', 'x'], 2],
    [['create'], 2],
    [['create', '--name', 'x', '--meta', 'x'], 2],
    [['create', '--kind', 'terminal'], 2],
    [['tail'], 2],
    [['post', 's'], 2],
    [['token', 'create', '--subject', 'x', '--scope', 'root'], 2],
    [['serve', '--port', 'x'], 2],
    [['serve', '--tls-cert', 'x'], 2],
    [['status', 'nobody'], 1],
    [['result', 'nobody'], 1],
    [['--help'], 0],
    [['--version'], 0],
    [['help', 'post'], 0],
  ])('%j ends with %i', async (args, code) => {
    const result = await run(args)
    expect(result.code).toBe(code)
    expect(code === 0 ? result.out : result.err).not.toBe('')
  })

  it('every command teaches with an example', () => {
    const io = fakeIo()
    const help = (command: Command): string => {
      let text = ''
      command
        .configureOutput({
          writeOut: part => {
            text += part
          },
        })
        .outputHelp()
      return text
    }
    const leaves = (command: Command): Command[] => (command.commands.length === 0 ? [command] : command.commands.flatMap(leaves))
    for (const command of leaves(createProgram(io)))
      if (command.name() !== 'help') expect([command.name(), help(command)]).toEqual([command.name(), expect.stringContaining('Examples:\n  ')])
  })

  it('says how to start a server that is not there, with --json for programs', async () => {
    const env = { HOLDFAST_URL: await closedUrl() }
    const human = await run(['ls'], { env })
    expect(human.code).toBe(1)
    expect(human.err).toContain('No Holdfast server answers at')
    expect(JSON.parse((await run(['ls', '--json'], { env })).err)).toMatchObject({ error: { code: 'unreachable' } })
  })

  it('[OPS-01] sends the data folder’s token to this machine only', async () => {
    writeFileSync(join(dataDir, 'token'), 'secret\n')
    const { apiFor } = await import('./api.ts')
    const env = { HOLDFAST_DATA_DIR: dataDir }
    expect(apiFor({ url: 'http://127.0.0.1:1' }, env).token).toBe('secret')
    expect(apiFor({ url: 'http://[::1]:1' }, env).token).toBe('secret')
    expect(apiFor({ url: 'https://127.0.0.1.example.com' }, env).token).toBeUndefined()
    expect(apiFor({ url: 'https://example.com' }, { ...env, HOLDFAST_TOKEN: 'own' }).token).toBe('own')
  })

  it('a damaged data folder ends with 4, one that is in use with 3', async () => {
    writeFileSync(join(dataDir, 'holdfast.db'), 'this is no database, and long enough to be taken for one by nobody')
    expect((await run(['doctor'])).code).toBe(4)
    const program = new Command()
    const io = fakeIo()
    registerServe(program, io, async () => async () => Promise.reject(Object.assign(new Error('in use'), { name: 'OpenError', code: 'in_use' })))
    const { failureFrom } = await import('./failure.ts')
    const thrown = await program.parseAsync(['serve'], { from: 'user' }).catch(error => error)
    expect(failureFrom(thrown).exitCode).toBe(3)
  })

  it('serve prints one line of JSON once it accepts connections, and stops at a signal', async () => {
    const io = fakeIo()
    const program = new Command()
    const flags: unknown[] = []
    let finish: (code: number) => void = () => undefined
    registerServe(program, io, async () => async given => {
      flags.push(given)
      return {
        url: 'http://127.0.0.1:5',
        pid: 7,
        dataDir: '/d',
        tokenFile: null,
        stop: async () => finish(0),
        done: new Promise<number>(resolve => {
          finish = resolve
        }),
      }
    })
    const done = program.parseAsync(['serve', '--port', '0', '--json', '--allow-host', 'a', '--allow-host', 'b', '--data-dir', '/d'], { from: 'user' })
    await vi.waitFor(() => expect(io.printed.out).toBe('{"url":"http://127.0.0.1:5","pid":7,"data_dir":"/d","token_file":null}\n'))
    expect(flags).toEqual([{ port: 0, allowHost: ['a', 'b'], dataDir: '/d' }])
    io.abort.abort()
    await done
  })
})
