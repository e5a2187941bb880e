import { type ChildProcess, fork, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Clock } from '@holdfast/core'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { connectHolder, killHolder } from './connect-holder.ts'
import { bytesFromHolderFrame } from './frames.ts'
import { holderClock } from './holder-clock.ts'
import type { HolderRecord } from './holder-record.ts'
import { readRecord } from './holder-record.ts'
import { listHolders, reapHolder } from './orphans.ts'
import { linuxProcesses as processes } from './processes.ts'
import { connection, held, linkTo, remainsAtEnd, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

const made = useHolder()

const IDLE = 'echo ready; read line'

function rewrite(folder: string, change: (record: HolderRecord) => object): void {
  const path = join(folder, 'holder.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as HolderRecord
  writeFileSync(path, JSON.stringify({ ...record, ...change(record) }))
}

const stateOf = async (folder: string): Promise<string> => {
  const found = await connectHolder(folder, { ...connection, helloMs: 300 })
  if (found.state !== 'live') return `${found.state} ${found.reason}`
  found.link.close()
  return 'live'
}

/** A holder that was killed, and its program with it. */
async function killed(script: string): Promise<string> {
  const folder = await held(made, script)
  const link = await linkTo(folder)
  const reading = readAll(link, { onPiece: () => {} })
  await reading.until('ready')
  process.kill(link.hello.holder.pid, 'SIGKILL')
  expect(await reading.over).toBe('gone')
  return folder
}

describe('who is alive', () => {
  it('[TERM-05] a pid that was given again is not attached to', async () => {
    const folder = await held(made, IDLE)
    const other = spawn('sleep', ['100'])
    onTestFinished(() => void other.kill('SIGKILL'))
    const { holder } = readRecord(folder) ?? { holder: { pid: 0, startTime: '' } }
    expect(await stateOf(folder)).toBe('live')
    rewrite(folder, record => ({ holder: { ...record.holder, startTime: '1' } }))
    expect(await stateOf(folder)).toBe('dead gone')
    rewrite(folder, () => ({ holder: { pid: other.pid ?? 0, startTime: holder.startTime } }))
    expect(await stateOf(folder)).toBe('dead gone')
    // Even where that pid fits: it is another one who answers.
    rewrite(folder, () => ({ holder: { pid: other.pid ?? 0, startTime: processes.startTime(other.pid ?? 0) } }))
    expect(await stateOf(folder)).toBe('unreachable mismatch')
    rewrite(folder, record => ({ holder, program: { ...record.program, startTime: '1' } }))
    expect(await stateOf(folder)).toBe('unreachable mismatch')
  })

  it('[TERM-05] a folder of another boot is not attached to', async () => {
    const folder = await held(made, IDLE)
    rewrite(folder, () => ({ bootId: 'another' }))
    expect(await stateOf(folder)).toBe('dead rebooted')
  })

  it('[TERM-05] a socket that answers as somebody else, or not at all, is not attached to', async () => {
    const folder = await held(made, IDLE)
    const { hello } = await linkTo(folder)
    rmSync(join(folder, 'socket'))
    expect(await stateOf(folder)).toBe('unreachable refused')
    let answer: Uint8Array = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.write(answer)
    })
    await new Promise<void>(resolve => server.listen(join(folder, 'socket'), resolve))
    onTestFinished(() => void server.close())
    expect(await stateOf(folder)).toBe('unreachable mismatch')
    answer = Buffer.alloc(0)
    expect(await stateOf(folder)).toBe('unreachable silent')
    answer = bytesFromHolderFrame({ type: 'hello', hello: { ...hello, holderId: 'another' } })
    expect(await stateOf(folder)).toBe('unreachable mismatch')
    answer = bytesFromHolderFrame({ type: 'hello', hello: { ...hello, protocol: 2 } })
    expect(await stateOf(folder)).toBe('unreachable unknown_protocol')
  })

  it('a socket that is not there yet is waited for a little', async () => {
    const folder = await held(made, IDLE)
    const [path, away] = [join(folder, 'socket'), join(folder, 'away')]
    renameSync(path, away)
    const after: Clock['after'] = (ms, callback) => {
      // The short wait is the one between two tries.
      if (ms < 100) renameSync(away, path)
      return holderClock.after(ms, callback)
    }
    const found = await connectHolder(folder, { clock: { ...holderClock, after } })
    expect(found.state).toBe('live')
    if (found.state === 'live') found.link.close()
  })

  it('[TERM-04] a holder that is killed: its program is hung up, and what it printed is readable', async () => {
    const folder = await killed(`trap 'echo hup > hung-up; exit' HUP; echo ready; while :; do sleep 0.02; done`)
    const found = await connectHolder(folder, connection)
    if (found.state !== 'dead') throw new Error(found.state)
    const { remains } = found
    expect(found.reason).toBe('gone')
    expect(remains.exit).toBeUndefined()
    expect(Buffer.from(remains.read(0, 1000)).toString()).toBe('ready\r\n')
    await vi.waitUntil(() => processes.groupsOfSession(remains.record?.program?.pid ?? 0).length === 0)
    expect(readFileSync(join(made.dataDir, 'hung-up'), 'utf8')).toBe('hup\n')
    const reading = readAll(remains)
    expect(await reading.over).toBe('gone')
    expect(reading.text()).toBe('ready\r\n')
  })

  it('[TERM-03] a new reader takes over from the old, and others only look', async () => {
    const folder = await held(made, 'stty -echo; echo ready; while read line; do echo "got $line"; done')
    const first = await linkTo(folder)
    const old = readAll(first)
    await old.until('ready\r\n')
    await linkTo(folder)
    await first.input('a', '1', Buffer.from('one\n'))
    await old.until('got one\r\n')
    const second = await linkTo(folder)
    const fresh = readAll(second, { from: [old.end()] })
    expect(await old.over).toBe('taken')
    expect(await first.input('a', '2', Buffer.from('two\n'))).toEqual({ ok: false, reason: 'lost' })
    await second.input('a', '3', Buffer.from('three\n'))
    expect(await fresh.until('\r\n')).toBe('got three\r\n')
  })

  it('a connection that does not speak the protocol is closed, and does no harm', async () => {
    const folder = await held(made, IDLE)
    const link = await linkTo(folder)
    const reading = readAll(link)
    await reading.until('ready')
    for (const nonsense of ['GET / HTTP/1.1\r\n\r\n', '\x0a\0\0\0\x02\0\xff\xff\xff\xff\xff\xff\xff\xff', '\x05\0\0\0\x05\x01\0\0\0']) {
      const socket = connect(join(folder, 'socket'))
      socket.resume().end(Buffer.from(nonsense, 'latin1'))
      await new Promise(resolve => socket.once('close', resolve))
    }
    expect(await link.ping()).toBe(true)
  })
})

describe('folders', () => {
  it('with names too long for a socket path work', async () => {
    const folder = join(made.dataDir, 'x'.repeat(100), 'é'.repeat(60), 'held')
    await held(made, IDLE, { folder })
    expect(Buffer.byteLength(folder)).toBeGreaterThan(200)
    const link = await linkTo(folder)
    await readAll(link).until('ready')
    expect(await killHolder(folder)).toBe(true)
    expect((await remainsAtEnd(folder)).exit).toMatchObject({ signal: 'SIGHUP' })
  })

  it('are listed as what they are, without disturbing who reads; the dead are removed when told, and what is left of their programs ends', async () => {
    const root = join(made.dataDir, 'listed')
    const at = (name: string): string => join(root, name)
    mkdirSync(root)
    await held(made, IDLE, { folder: at('live') })
    await held(made, IDLE, { folder: at('foreign') })
    rewrite(at('foreign'), () => ({ bootId: 'another' }))
    mkdirSync(at('empty'))
    symlinkSync(await killed(`trap '' HUP; echo ready; while :; do sleep 0.02; done`), at('link'))
    const stubborn = await held(made, `trap '' HUP; echo ready; while :; do sleep 0.02; done`, { folder: at('dead') })
    const { hello } = await linkTo(stubborn)
    process.kill(hello.holder.pid, 'SIGKILL')
    await remainsAtEnd(stubborn)
    const reader = await linkTo(at('live'))
    const reading = readAll(reader)
    await reading.until('ready')

    const listed = await listHolders(root, connection)
    expect(Object.fromEntries(listed.map(({ folder, state }) => [folder.slice(root.length + 1), state]))).toEqual({
      live: 'live',
      foreign: 'foreign',
      empty: 'dead',
      dead: 'dead',
    })
    expect(await reader.ping()).toBe(true)
    expect(processes.startTime(hello.program.pid)).toBe(hello.program.startTime)
    expect(await reapHolder(at('dead'), connection)).toBe(true)
    await vi.waitUntil(() => processes.groupsOfSession(hello.program.pid).length === 0)
    for (const name of ['empty', 'foreign']) expect(await reapHolder(at(name), connection)).toBe(true)
    expect(await reapHolder(at('live'), connection)).toBe(false)
    expect(await reader.ping()).toBe(true)
    expect(await reapHolder(at('live'), { ...connection, kill: true })).toBe(false)
    expect(await reading.over).toMatchObject({ signal: 'SIGHUP' })
    await remainsAtEnd(at('live'))
    expect(await reapHolder(at('live'), connection)).toBe(true)
    expect(['live', 'foreign', 'empty', 'dead'].filter(name => existsSync(at(name)))).toEqual([])
  })
})

describe('a folder that is removed', () => {
  it('takes its holder and program along', async () => {
    const folder = await held(made, `trap '' HUP; echo ready; while :; do sleep 0.02; done`, { folderCheckMs: 50, killGraceMs: 100 })
    const link = await linkTo(folder)
    // Its files are all there, so that none appears while they are removed.
    await readAll(link, { onPiece: () => {} }).until('ready')
    const { hello } = link
    rmSync(folder, { recursive: true })
    await vi.waitUntil(() => processes.startTime(hello.holder.pid) === undefined, { timeout: 10_000 })
    expect(processes.groupsOfSession(hello.program.pid)).toEqual([])
  })
})

describe('whoever started it', () => {
  it('[TERM-04] is killed with its whole group: the program goes on, nothing is lost', async () => {
    const folder = join(made.dataDir, 'outlives')
    const server: ChildProcess = fork(fileURLToPath(new URL('./testing/starting-server-main.ts', import.meta.url)), [made.installed.main, folder], {
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    onTestFinished(() => void server.kill('SIGKILL'))
    await new Promise(resolve => server.once('message', resolve))
    process.kill(-(server.pid ?? 0), 'SIGKILL')
    await new Promise(resolve => server.once('exit', resolve))
    const link = await linkTo(folder)
    onTestFinished(() => link.kill())
    const reading = readAll(link)
    const before = Number(/tick (\d+)\r\n$/.exec(await reading.until(/tick \d+\r\n$/))?.[1])
    await reading.until(`tick ${before + 5}\r\n`)
    expect(reading.text()).toBe(Array.from({ length: reading.text().split('\n').length - 1 }, (_, n) => `tick ${n}\r\n`).join(''))
    link.kill()
    await reading.over
  })
})
