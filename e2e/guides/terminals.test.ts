import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'
import { hasTmux, startTmux, type Tmux } from '../main-job/tmux.ts'
import { blocksOf } from './blocks.ts'

let server: ServerProcess | undefined
let tmux: Tmux | undefined
afterEach(async () => {
  tmux?.stop()
  await server?.stop()
  server = undefined
})

describe.skipIf(!hasTmux('the commands of docs/guides/terminals.md'))('the guide to terminals', () => {
  it('[TERM-01] [TERM-04] [TERM-17] has commands that do what it says, in its order', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    tmux = startTmux()
    const env = { HOLDFAST_URL: server.url, HOLDFAST_DATA_DIR: dataDir }
    const pane = tmux.open(110, 40, env)
    await pane.shows('w1>')
    const steps = blocksOf('terminals.md').filter(block => block.language === 'sh')
    /** The guide's next block, line by line as typed; all are taken, in order. */
    const next = (start: string): string => {
      const text = steps.shift()?.text ?? ''
      expect(text.startsWith(start), `the guide's next command begins with ${start}: ${text}`).toBe(true)
      return text
    }
    const type = async (text: string, ...sights: (string | RegExp)[]): Promise<void> => {
      pane.type('clear\n')
      for (const [at, line] of text.trimEnd().split('\n').entries()) {
        pane.type(`${line}\n`)
        await pane.shows(sights[at] ?? /\nw1>$/)
      }
    }
    const token = readFileSync(server.tokenFile as string, 'utf8').trim()
    const session = async (name: string): Promise<{ session_id: string; state: string; terminal: { pid: number; alive: boolean } }> => {
      const answer = await fetch(`${server?.url}/sessions?kind=terminal`, { headers: { authorization: `Bearer ${token}` } })
      const { sessions } = (await answer.json()) as {
        sessions: { session_name: string; session_id: string; state: string; terminal: { pid: number; alive: boolean } }[]
      }
      const found = sessions.find(candidate => candidate.session_name === name)
      if (!found) throw new Error(`no session ${name}`)
      return found
    }

    await type(next('holdfast run'), /[$#]$/)
    const { session_id: id, terminal } = await session('work')
    pane.type('echo from-$((1+1))\n')
    await pane.shows('from-2\n')
    pane.keys('C-\\')
    await pane.shows(/Detached[\s\S]*w1>$/)
    await type(next('ID='), /w1>$/)
    await type(next('holdfast ls'), /count +running[\s\S]*w1>$/, 'The program ended with exit code 0.')
    pane.type(`COUNT=$ID; ID=${id}\n`)
    const [take = '', look = ''] = next('holdfast attach $ID --take').split('\n')
    await type(take, 'from-2\n')
    pane.keys('C-\\')
    await pane.shows(/Detached[\s\S]*w1>$/)
    await type(look, 'from-2\n')

    // The guide's command would end every server of this machine; this one is ended by its pid.
    expect(next('kill -9')).toContain('serve')
    await server.kill()
    await pane.shows('No connection to the server')
    server = await startServer({ dataDir, port })
    await until('the screen without the line', () => pane.screen().includes('from-2') && !pane.screen().includes('No connection'))
    expect((await session('work')).terminal).toMatchObject({ pid: terminal.pid, alive: true })
    pane.keys('C-\\')
    await pane.shows(/Detached[\s\S]*w1>$/)

    await type(next('holdfast kill'), `Sent SIGINT to ${id}.`, `Ended ${id}.`)
    await until('the end of the program', async () => !(await session('work')).terminal.alive)
    pane.type('ID=$COUNT\n')
    await type(next('holdfast export'), /1\n2\n3\nw1>$/, 'Wrote', /count\.cast[^$]*\n1\n2\n3\n[\s\S]*w1>$/, /play \$ID\n1\n2\n3\n[\s\S]*w1>$/)
    expect(steps).toEqual([])
  }, 90_000)
})
