import { createManualClock, type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from './client.ts'
import { createClient, createTerminal, sseTransport, type Terminal, type TerminalOptions, wsTransport } from './index.ts'

let server: FakeServer
let clients: Client[] = []
beforeEach(async () => {
  server = await startFakeServer()
  server.log.create('t', 'terminal')
})
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await server.close()
})

interface Shown {
  readonly terminal: Terminal
  readonly client: Client
  readonly told: string[]
  readonly bytes: () => string
}

function show(options: Partial<TerminalOptions> = {}, transport = wsTransport()): Shown {
  const client = createClient({ url: server.url, clientId: 'tab-1', transports: [transport], policy: { baseMs: 2, capMs: 20 }, store: null })
  clients.push(client)
  const told: string[] = []
  const printed: Uint8Array[] = []
  const terminal = createTerminal(client, 't', {
    mode: 'replay',
    onSnapshot: state => void told.push(`snapshot ${JSON.stringify(state)}`),
    onStarted: incarnation => void told.push(`started ${incarnation}`),
    onResized: (cols, rows) => void told.push(`resized ${cols}x${rows}`),
    onExited: ({ exitCode, signal }) => void told.push(`exited ${exitCode} ${signal}`),
    onRefused: error => void told.push(`refused ${'code' in error ? error.code : error.reason}`),
    ...options,
    onOutput: (bytes, context) => {
      printed.push(bytes)
      told.push(`output${context.live ? '!' : ''}`)
      return options.onOutput?.(bytes, context)
    },
  })
  return { terminal, client, told, bytes: () => Buffer.concat(printed).toString('latin1') }
}

const live = ({ terminal }: Shown): Promise<void> => until(() => terminal.isLive, 'live')
const print = (payload: object): number => server.log.append('t', payload, { type: 'terminal.output' })
const start = (incarnation = 1): number =>
  server.log.append('t', { pid: 7, command: 'sh', cwd: '/', cols: 80, rows: 24, incarnation }, { type: 'terminal.started' })
const writer = (clientId: string | null): number => server.log.append('t', { client_id: clientId }, { type: 'terminal.writer_changed' })

interface Input {
  readonly type: string
  readonly payload: { readonly text?: string; readonly base64?: string; readonly cols?: number; readonly rows?: number }
}
const inputs = (type: string): Input['payload'][] =>
  (server.log.sessions.get('t')?.texts ?? [])
    .map(text => JSON.parse(text) as Input)
    .filter(event => event.type === type)
    .map(event => event.payload)
const typed = (): Buffer =>
  Buffer.concat(inputs('terminal.input').map(({ text, base64 }) => (text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text))))

describe('a terminal', () => {
  test('[TERM-03] [TERM-08] output comes as the bytes that were printed, in order, over cuts, and live only past caught_up', async () => {
    start()
    print({ text: 'é' })
    print({ base64: Buffer.from([0xff, 0xc3]).toString('base64') })
    const shown = show()
    await live(shown)
    server.cutAll()
    print({ base64: Buffer.from([0xa9]).toString('base64') })
    await until(() => shown.bytes().length === 5, 'the rest')
    print({ text: '\u001b[31m' })
    await until(() => shown.bytes().endsWith('m'), 'live output')
    expect(shown.bytes()).toBe(Buffer.from([0xc3, 0xa9, 0xff, 0xc3, 0xa9, 0x1b, 0x5b, 0x33, 0x31, 0x6d]).toString('latin1'))
    expect(shown.told.slice(0, 3)).toEqual(['started 1', 'output', 'output'])
    expect(shown.told.at(-1)).toBe('output!')
    expect(shown.terminal.view).toMatchObject({ cols: 80, rows: 24, incarnation: 1, pid: 7, exited: undefined })
  })

  test('[TERM-12] with onSnapshot it begins with one; a loss is made good by what was missed, unless resumeMode asks otherwise', async () => {
    start()
    print({ text: 'a' })
    let resumeMode: 'snapshot' | undefined
    const client = createClient({ url: server.url, clientId: 'tab-2', policy: { baseMs: 2, capMs: 20 }, store: null })
    clients.push(client)
    const told: string[] = []
    const terminal = createTerminal(client, 't', {
      resumeMode: () => resumeMode,
      onOutput: () => void told.push('output'),
      onSnapshot: () => void told.push('snapshot'),
    })
    await until(() => terminal.isLive, 'live')
    server.cutAll()
    print({ text: 'b' })
    await until(() => told.length === 2, 'what was missed')
    resumeMode = 'snapshot'
    server.cutAll()
    await until(() => told.length === 3, 'a second snapshot')
    expect(told).toEqual(['snapshot', 'output', 'snapshot'])
    expect(server.attaches.map(attach => attach.mode).filter((mode, index, all) => mode !== all[index - 1])).toEqual(['snapshot', 'auto', 'snapshot'])
  })

  test('[TERM-14] the server is credited when the handler is done, and sends no more than the window before', async () => {
    start()
    for (let n = 0; n < 40; n++) print({ text: 'x'.repeat(1000) })
    let release: () => void = () => {}
    let isHeld = true
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const shown = show({ windowBytes: 5000, onOutput: () => (isHeld ? held : undefined) })
    await until(() => shown.told.includes('output'), 'the first output')
    expect(shown.told.filter(what => what === 'output')).toHaveLength(1)
    isHeld = false
    release()
    await live(shown)
    expect(shown.bytes()).toHaveLength(40_000)
  })

  test.each([
    { name: 'ws', transport: wsTransport() },
    { name: 'sse', transport: sseTransport() },
  ])('[TERM-16] [fault 14] over $name: a large paste comes whole, in pieces within the limit, each once, over lost answers', async ({ transport }) => {
    const shown = show({}, transport)
    await live(shown)
    let losses = 3
    server.faults.loseAck = () => {
      if (losses-- <= 0) return false
      setImmediate(() => server.cutAll())
      return true
    }
    const paste = '€\u0001\n'.repeat(30_000)
    await shown.terminal.write(paste)
    await shown.terminal.write(Uint8Array.from([0xff, 0xfe]))
    expect(typed().equals(Buffer.concat([Buffer.from(paste), Buffer.from([0xff, 0xfe])]))).toBe(true)
    const pieces = inputs('terminal.input')
    expect(pieces.slice(0, -1).every(piece => piece.text !== undefined && !piece.text.includes('\ufffd'))).toBe(true)
    expect(Math.max(...pieces.map(piece => Buffer.byteLength(JSON.stringify(piece))))).toBeLessThan(262_144)
    expect(shown.terminal.waitingBytes).toBe(0)
  })

  test('[TERM-16] what is typed while an input is under way goes together in the next; Ctrl-C goes ahead of it', async () => {
    const shown = show()
    await live(shown)
    const sent = ['a', 'b', 'c', '\u0003'].map(key => shown.terminal.write(key))
    await Promise.all(sent)
    expect(inputs('terminal.input').map(({ text }) => text)).toEqual(['a', '\u0003bc'])
  })

  test('[TERM-16] more than can wait is refused as a whole, with its size, and nothing of it is typed', async () => {
    const shown = show()
    await live(shown)
    await expect(shown.terminal.write(new Uint8Array(17 * 1024 * 1024))).rejects.toMatchObject({ code: 'too_large', details: { max: 16 * 1024 * 1024 } })
    expect(shown.told.at(-1)).toBe('refused too_large')
    await shown.terminal.write('a')
    expect(typed().toString()).toBe('a')
  })

  test('[TERM-13] a refusal is told once and takes what was typed behind it along; later keys go again', async () => {
    const shown = show()
    await live(shown)
    server.faults.refuse = (_method, type) => (type === 'terminal.input' ? { code: 'forbidden' } : undefined)
    const first = shown.terminal.write('a')
    const second = shown.terminal.write('b')
    await expect(first).rejects.toMatchObject({ code: 'forbidden' })
    await expect(second).rejects.toMatchObject({ code: 'forbidden' })
    expect(shown.told.filter(what => what.startsWith('refused'))).toEqual(['refused forbidden'])
    server.faults.refuse = () => undefined
    await shown.terminal.write('c')
    expect(typed().toString()).toBe('c')
  })

  test('[TERM-13] the size is sent while this client is the writer, debounced, and when it becomes one', async () => {
    start()
    writer('somebody')
    const clock = createManualClock()
    const shown = show({ clock })
    await live(shown)
    expect(shown.terminal.view.role, 'hello tells it; a change of before does not').toBeUndefined()
    writer('somebody')
    await until(() => shown.terminal.view.role === 'viewer', 'another writer')
    shown.terminal.resize(100, 30)
    clock.advance(1000)
    expect(inputs('terminal.resize')).toEqual([])
    writer('tab-1')
    await until(() => shown.terminal.view.role === 'writer', 'the role')
    for (let cols = 101; cols <= 120; cols++) shown.terminal.resize(cols, 30)
    clock.advance(1000)
    await until(() => inputs('terminal.resize').length > 0, 'the size')
    expect(inputs('terminal.resize')).toEqual([{ cols: 120, rows: 30 }])
    writer('somebody')
    await until(() => shown.terminal.view.role === 'viewer', 'the role of a viewer')
    shown.terminal.resize(90, 30)
    clock.advance(1000)
    await shown.terminal.takeWriter()
    expect(shown.terminal.view.role).toBe('writer')
    clock.advance(1000)
    await until(() => inputs('terminal.resize').length > 1, 'the size after the takeover')
    expect(inputs('terminal.resize').at(-1)).toEqual({ cols: 90, rows: 30 })
  })

  test('[TERM-06] an exit is told once, a respawn takes it back, and signals and respawns are sent', async () => {
    start()
    server.log.append('t', { exit_code: 3, signal: null }, { type: 'terminal.exited' })
    const shown = show()
    await live(shown)
    expect(shown.terminal.view.exited).toEqual({ exitCode: 3, signal: null })
    await shown.terminal.respawn()
    start(2)
    await until(() => shown.terminal.view.exited === undefined, 'the respawn')
    await shown.terminal.signal('SIGTERM')
    server.log.append('t', { exit_code: null, signal: 'SIGTERM' }, { type: 'terminal.exited' })
    await until(() => shown.terminal.view.exited !== undefined, 'the second exit')
    expect(shown.told).toEqual(['started 1', 'exited 3 null', 'started 2', 'exited null SIGTERM'])
    expect([inputs('terminal.respawn'), inputs('terminal.signal')]).toEqual([[{}], [{ signal: 'SIGTERM' }]])
  })
})
