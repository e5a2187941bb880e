import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort, ROOT, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { blocksOf } from './blocks.ts'

const run = promisify(execFile)
const EXAMPLES = join(ROOT, 'examples', 'reporting')

let server: ServerProcess | undefined
const children: ChildProcessWithoutNullStreams[] = []
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await server?.kill()
})

interface Seen {
  readonly type: string
  readonly header: { readonly seq: number }
  readonly payload: Readonly<Record<string, unknown>>
}

const get = async (path: string): Promise<unknown> => (await fetch(new URL(path, server?.url))).json()
const eventsOf = async (id: string): Promise<Seen[]> => ((await get(`/sessions/${id}/events?limit=1000`)) as { events?: Seen[] }).events ?? []
const contentsOf = async (id: string): Promise<unknown[]> => (await eventsOf(id)).map(event => event.payload.content ?? event.type)
const lines = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `Schritt ${from + index}: “ok” \\ 🎉`)

/** A reporter as a user starts it, in a folder of its own. */
function startReporter(
  command: string,
  args: readonly string[],
  cwd: string,
): { child: ChildProcessWithoutNullStreams; end: Promise<{ code: number | null; out: string; err: string }> } {
  const child = spawn(command, args, { cwd, env: { ...process.env, HOLDFAST_URL: server?.url ?? '' } })
  children.push(child)
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  child.stdin.on('error', () => undefined)
  return { child, end: new Promise(resolve => child.once('close', code => resolve({ code, out, err }))) }
}

const write = (child: ChildProcessWithoutNullStreams, texts: readonly string[]): void => void child.stdin.write(texts.map(text => `${text}\n`).join(''))

describe('the guide for reporters', () => {
  it('[RUN-05] shows its files as they are', () => {
    const shown = blocksOf('reporting.md').filter(block => block.file !== undefined)
    expect(shown.map(block => block.file)).toEqual(['curl.sh', 'reporter.py', 'reporter.ts'].map(name => `examples/reporting/${name}`))
    for (const { file, text } of shown) expect(text).toBe(readFileSync(join(ROOT, file ?? ''), 'utf8'))
  })

  it('[RUN-10] [RUN-05] [RUN-04] [SEQ-18] curl.sh reports a run; a second time changes nothing', async () => {
    server = await startServer()
    const env = { ...process.env, HOLDFAST_URL: server.url }
    const first = await run('sh', [join(EXAMPLES, 'curl.sh')], { env })
    expect(
      first.stdout
        .trim()
        .split('\n')
        .slice(-2)
        .map(line => JSON.parse(line) as unknown),
    ).toEqual([{ status: 'finished', state: 'ended' }, { result: 'Two entries: README.md and src.' }])
    await run('sh', [join(EXAMPLES, 'curl.sh')], { env })
    expect((await eventsOf('curl-demo')).map(event => event.type)).toEqual(['run.message', 'run.pre_tool', 'run.post_tool', 'run.message', 'run.session_stop'])
    await expect(run('sh', [join(EXAMPLES, 'curl.sh'), 'not an id'], { env })).rejects.toMatchObject({ stdout: expect.stringContaining('invalid_request') })
  })

  it('[RUN-05] [SEQ-18] [fault 7] reporter.py loses nothing when the server is killed, and when it is killed itself', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    const folder = tempDir()
    const outbox = join(folder, 'py-run.outbox')
    const waiting = (): string => (existsSync(outbox) ? readFileSync(outbox, 'utf8') : '')
    const python = () => startReporter('python3', [join(EXAMPLES, 'reporter.py'), 'py-run'], folder)

    const first = python()
    write(first.child, lines(1, 3))
    await until('the first lines', async () => (await eventsOf('py-run')).length === 3)
    await server.kill()
    write(first.child, [...lines(4, 5), '{"event_type": "post_tool", "tool_name": "Bash", "content": "own"}'])
    await until('the lines in the outbox', () => waiting().split('\n').length === 7)
    first.child.kill('SIGKILL')
    await first.end

    server = await startServer({ dataDir, port })
    const second = python()
    await until('what was left', async () => (await eventsOf('py-run')).length === 6)
    await server.kill()
    write(second.child, lines(6, 250))
    second.child.stdin.end()
    await until('all lines in the outbox', () => waiting().split('\n').length === 6 + 245 + 2)
    server = await startServer({ dataDir, port })
    expect(await second.end).toEqual({ code: 0, out: '', err: '' })
    expect(await contentsOf('py-run')).toEqual([...lines(1, 5), 'own', ...lines(6, 250), 'run.session_stop'])
    expect(await get('/sessions/py-run/status')).toEqual({ status: 'finished', state: 'ended' })
    expect(await get('/sessions/py-run/result')).toEqual({ result: lines(250, 250)[0] })
    expect(existsSync(outbox)).toBe(false)
  }, 60_000)

  it('[RUN-05] reporter.py tells what the server refuses, and sends the rest', async () => {
    server = await startServer()
    const { child, end } = startReporter('python3', [join(EXAMPLES, 'reporter.py'), 'py-run'], tempDir())
    write(child, ['one', '{"event_type": "NO SUCH TYPE"}', 'two'])
    child.stdin.end()
    expect(await end).toMatchObject({ code: 0, err: expect.stringContaining('NO SUCH TYPE') })
    expect(await contentsOf('py-run')).toEqual(['one', 'two', 'run.session_stop'])
  })

  it('[RUN-05] [SEQ-18] [fault 7] reporter.ts loses nothing when the server is killed; the same lines again store nothing twice', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    const node = () => startReporter(process.execPath, [join(EXAMPLES, 'reporter.ts'), 'ts-run'], tempDir())

    const first = node()
    write(first.child, lines(1, 3))
    await until('the first lines', async () => (await eventsOf('ts-run')).length === 3)
    await server.kill()
    write(first.child, lines(4, 400))
    first.child.stdin.end()
    let said = ''
    first.child.stderr.on('data', (data: Buffer) => {
      said += data.toString()
    })
    await until('a retry', () => said.includes('Again in'))
    server = await startServer({ dataDir, port })
    const ended = await first.end
    expect([ended.code, ended.out]).toEqual([0, `${lines(400, 400)[0]}\n`])
    const all = [...lines(1, 400), 'run.session_stop']
    expect(await contentsOf('ts-run')).toEqual(all)
    expect(await get('/sessions/ts-run/status')).toEqual({ status: 'finished', state: 'ended' })

    // As after a crash of the reporter: from the first line on.
    const second = node()
    write(second.child, lines(1, 400))
    second.child.stdin.end()
    expect((await second.end).code).toBe(0)
    expect(await contentsOf('ts-run')).toEqual(all)
  }, 60_000)
})
