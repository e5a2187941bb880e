import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { hasTmux, startTmux, type Tmux } from './tmux.ts'

let server: ServerProcess | undefined
let tmux: Tmux | undefined
let ended: number[] = []
afterEach(async () => {
  tmux?.stop()
  if (server) {
    // The programs outlive every server; deleting their sessions ends them.
    for (const { session_id: id } of (await ask<{ sessions: { session_id: string }[] }>('GET', '/sessions?kind=terminal')).sessions)
      await ask('DELETE', `/sessions/${id}`)
    for (const pid of ended) await until(`the end of ${pid}`, () => !isAlive(pid))
    await server.stop()
  }
  server = undefined
  ended = []
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function ask<T>(method: string, path: string): Promise<T> {
  if (!server) throw new Error('no server')
  const token = readFileSync(server.tokenFile as string, 'utf8').trim()
  return (await (await fetch(server.url + path, { method, headers: { authorization: `Bearer ${token}` } })).json()) as T
}

const pidOf = async (id: string): Promise<number> =>
  (await ask<{ session: { terminal: { pid: number; alive: boolean } } }>('GET', `/sessions/${id}`)).session.terminal.pid
const sizeOf = async (id: string): Promise<string> => {
  const { cols, rows } = (await ask<{ session: { terminal: { cols: number; rows: number } } }>('GET', `/sessions/${id}`)).session.terminal
  return `${cols}x${rows}`
}

describe.skipIf(!hasTmux('terminals from the command line'))('a terminal from the command line', () => {
  it('[TERM-01] [TERM-03] [TERM-04] [TERM-12] [TERM-13] run, kill -9 of the server, attach from a second window, detach: one program all along', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    tmux = startTmux()
    const env = { HOLDFAST_URL: server.url, HOLDFAST_DATA_DIR: dataDir }
    const first = tmux.open(80, 24, env)
    await first.shows('w1>')
    first.type('holdfast run --id t --env PS1=in-t: -- bash --norc --noprofile\n')
    await first.shows('in-t:')
    first.type('echo pid-$((40+2)); stty size\n')
    await first.shows(/pid-42\n24 80\nin-t:/)
    const pid = await pidOf('t')
    ended.push(pid)

    await server.kill()
    await first.shows('No connection to the server')
    first.type('echo typed-$((1+1))-away\n')
    server = await startServer({ dataDir, port })
    const after = await first.shows(/typed-2-away\nin-t:/)
    expect(after, 'the screen of before is still there').toMatch(/pid-42\n24 80\n/)
    expect(after.match(/^typed-2-away$/gm), 'typed once').toHaveLength(1)
    expect(after).not.toContain('No connection')
    expect(await pidOf('t')).toBe(pid)

    const second = tmux.open(100, 30, env)
    await second.shows('w2>')
    second.type('holdfast attach t\n')
    const seen = await second.shows(/typed-2-away\nin-t:/)
    expect(seen.slice(seen.indexOf('pid-42')).trim()).toBe(after.slice(after.indexOf('pid-42')).trim())
    expect(await sizeOf('t'), "the size is the writer's").toBe('80x24')
    second.type('x')
    await second.shows('Another window types here')
    first.type('echo both-$((3+4))\n')
    await first.shows(/both-7\nin-t:/)
    await second.shows(/both-7\nin-t:/)

    second.keys('C-\\')
    await second.shows(/Detached; the program goes on[\s\S]*holdfast attach t\nw2>/)
    second.type('holdfast attach t --take\n')
    await until('the size of the second window', async () => (await sizeOf('t')) === '100x30')
    second.resize(90, 20)
    await until('its new size', async () => (await sizeOf('t')) === '90x20')
    second.type('stty size\n')
    await second.shows(/20 90\nin-t:/)

    first.keys('C-\\')
    await first.shows(/holdfast attach t\nw1>/)
    first.type('stty -a | grep -c -w icanon; echo code-$?\n')
    await first.shows(/\n1\ncode-0\nw1>/)
    expect(isAlive(pid)).toBe(true)

    second.type('exit 7\n')
    await second.shows('The program ended with exit code 7.')
    second.type('echo code-$?\n')
    await second.shows('code-7\n')
    await until('the end of the program', () => !isAlive(pid))
  }, 90_000)

  it('[TERM-13] who only looks does not get the role, types nothing, and sees what the program draws; a full-screen program leaves the window as it was', async () => {
    const dataDir = tempDir()
    server = await startServer({ dataDir })
    tmux = startTmux()
    const env = { HOLDFAST_URL: server.url, HOLDFAST_DATA_DIR: dataDir }
    const first = tmux.open(80, 24, env)
    await first.shows('w1>')
    first.type('ID=$(holdfast run --detach --name screen -- bash --norc --noprofile); echo id-$?\n')
    await first.shows('id-0')
    const [{ session_id: id } = { session_id: '' }] = (await ask<{ sessions: { session_id: string }[] }>('GET', '/sessions?kind=terminal')).sessions
    ended.push(await pidOf(id))
    first.type('holdfast attach $ID --read-only\n')
    await first.shows(/^bash-.*[$#]$/)
    first.type('touched\n')

    const second = tmux.open(80, 24, env)
    await second.shows('w2>')
    second.type(`holdfast attach ${id}\n`)
    await second.shows(/^bash-.*[$#]$/)
    second.type("PS1='now: '; printf '\\033[?1049h\\033[?1000h\\033[?25l\\033[2J\\033[5;5HFULL-%s' $((6*7)); read\n")
    await second.shows('FULL-42')
    const seen = await first.shows('FULL-42')
    expect(seen).not.toContain('touched')
    first.keys('C-\\')
    const back = await first.shows(/Detached; the program goes on[\s\S]*\nw1>/)
    expect(back).not.toContain('FULL')
    second.keys('C-\\')
    await second.shows(/Detached; the program goes on[\s\S]*\nw2>/)
    second.type(`holdfast kill ${id} --signal HUP; holdfast attach ${id}; echo code-$?\n`)
    await second.shows(/ended by SIGHUP\.\ncode-129\n/)
    second.type(
      `holdfast export ${id} --format asciicast > s.cast && holdfast play s.cast --speed 100 && rm s.cast; holdfast play ${id} --speed 100; echo played-$?\n`,
    )
    await second.shows('played-0')
  }, 60_000)
})
