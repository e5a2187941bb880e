import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { linuxProcesses as processes } from './processes.ts'
import { programEnv } from './program-env.ts'
import { held, hold, linkTo, remainsAtEnd, sourceOf, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

const made = useHolder()

describe('a held program', () => {
  it('[TERM-01] runs in a terminal of the size asked for, and its exit code comes after its output', async () => {
    const reading = readAll(await sourceOf(await held(made, 'stty size; tty; echo done; exit 7', { cols: 100, rows: 30 })))
    expect(await reading.over).toMatchObject({ exitCode: 7, signal: null })
    expect(reading.text()).toMatch(/^30 100\r\n\/dev\/\S+\r\ndone\r\n$/)
  })

  it('[TERM-06] tells the signal that ended it, with no code', async () => {
    const link = await linkTo(await held(made, 'echo on; read line; kill -USR1 $$'))
    const reading = readAll(link)
    await link.input('c', '1', Buffer.from('\n'))
    expect(await reading.over).toMatchObject({ exitCode: null, signal: 'SIGUSR1' })
  })

  it('[TERM-11] says in its record and hello who holds what; its files are for nobody else', async () => {
    const folder = await held(made, 'umask; read line', { incarnation: 4, sessionId: 'abc' })
    const { hello } = await linkTo(folder)
    expect(hello).toMatchObject({ protocol: 1, sessionId: 'abc', incarnation: 4, mode: 'pty', cols: 80, rows: 24, streams: [{ start: 0 }] })
    expect(processes.startTime(hello.holder.pid)).toBe(hello.holder.startTime)
    expect(processes.startTime(hello.program.pid)).toBe(hello.program.startTime)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(folder)) expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0])
  })

  it('is over though a child of its own keeps the terminal open', async () => {
    const folder = await held(made, `(trap '' HUP; sleep 100) & echo last; exit 0`)
    const { exit, record } = await remainsAtEnd(folder)
    expect(exit).toMatchObject({ exitCode: 0, endOffset: 6 })
    for (const group of processes.groupsOfSession(record?.program?.pid ?? 0)) process.kill(-group, 'SIGKILL')
  })

  it('has the umask of whoever started it', async () => {
    const before = process.umask(0o027)
    const folder = await held(made, 'umask').finally(() => process.umask(before))
    const text = await readAll(await sourceOf(folder)).until('\n')
    expect(text).toBe('0027\r\n')
  })

  it('sees PATH, HOME, LANG, SHELL, TERM and what it was given, nothing else of the server', async () => {
    process.env['HOLDFAST_TOKEN'] = 'secret'
    process.env['ANTHROPIC_API_KEY'] = 'secret'
    for (const mode of ['pty', 'pipe'] as const) {
      const folder = await held(made, '', { mode, command: 'env', args: [], env: programEnv(process.env, { GIVEN: 'yes', TERM: 'dumb' }) })
      const reading = readAll(await sourceOf(folder))
      await reading.over
      const text = reading.text()
      const names = text
        .trim()
        .split(/\r?\n/)
        .map(line => line.split('=')[0])
      expect(names.sort()).toEqual(['GIVEN', 'HOME', 'LANG', 'PATH', 'SHELL', 'TERM'])
      expect(text).toContain('TERM=dumb')
    }
    delete process.env['HOLDFAST_TOKEN']
    delete process.env['ANTHROPIC_API_KEY']
  })

  it('shows its environment neither in its record nor in the holder', async () => {
    const folder = await held(made, 'read line', { env: programEnv(process.env, { GIVEN: 'a-secret' }) })
    const { hello } = await linkTo(folder)
    const about = ['cmdline', 'environ'].map(name => readFileSync(`/proc/${hello.holder.pid}/${name}`, 'utf8'))
    for (const text of [...about, readFileSync(join(folder, 'holder.json'), 'utf8')]) expect(text).not.toContain('a-secret')
  })

  it('lets go of the stdin, stdout and stderr of whoever started it', async () => {
    const { hello } = await linkTo(await held(made, 'read line'))
    for (const fd of [0, 1, 2]) expect(statSync(`/proc/${hello.holder.pid}/fd/${fd}`).rdev).toBe(statSync('/dev/null').rdev)
  })

  it('[TERM-05] leaves no zombie of itself, and its holder none of it', async () => {
    const folder = await held(made, 'exit 0')
    const { record } = await remainsAtEnd(folder)
    const pids = [record?.holder.pid, record?.program?.pid]
    await vi.waitUntil(() => pids.every(pid => !existsSync(`/proc/${pid}`)))
  })
})

describe('a program that can not be started', () => {
  const cases = [
    ['no such command', { command: 'no-such-command' }, 'command_not_found'],
    ['no such file', { command: './no-such-file' }, 'command_not_found'],
    ['a file that is no program', { command: fileURLToPath(import.meta.url) }, 'not_executable'],
    ['a folder', { command: '/usr' }, 'command_not_found'],
    ['no working folder', { cwd: '/no/such/folder' }, 'bad_cwd'],
    ['a file as working folder', { cwd: fileURLToPath(import.meta.url) }, 'bad_cwd'],
    ['arguments beyond what the kernel takes', { args: ['-c', 'x'.repeat(200_000)] }, 'spawn_failed'],
  ] as const
  for (const [what, options, code] of cases) {
    it(`is a typed failure and leaves nothing: ${what}`, async () => {
      for (const mode of ['pty', 'pipe'] as const) {
        const { folder, result } = await hold(made, 'true', { mode, ...options })
        expect(result).toMatchObject({ state: 'failed', code })
        expect(existsSync(folder)).toBe(false)
      }
    })
  }

  it('is one in a folder that has been used', async () => {
    const folder = await held(made, 'read line')
    const again = await hold(made, 'true', { folder })
    expect(again.result).toMatchObject({ state: 'failed', code: 'folder_in_use' })
    await linkTo(folder)
  })
})

describe('size, signals and the end', () => {
  it('[TERM-13] a resize is answered with the offset from which on the program knows the new size', async () => {
    const script = `trap 'echo "<$(stty size)>"' WINCH; echo ready; while :; do echo tick; sleep 0.02; done`
    const link = await linkTo(await held(made, script))
    const reading = readAll(link)
    await reading.until('ready')
    for (const [cols, rows] of [
      [90, 20],
      [132, 50],
      [40, 10],
    ] as const) {
      const before = reading.end()
      const offset = await link.resize(cols, rows)
      expect(offset).toBeGreaterThanOrEqual(before)
      const said = `<${rows} ${cols}>`
      await reading.until(said)
      expect(reading.bytes().indexOf(said)).toBeGreaterThanOrEqual(offset ?? Number.POSITIVE_INFINITY)
      expect(reading.bytes().subarray(0, offset).includes(said)).toBe(false)
    }
    expect(await link.resize(0, 10)).toBeUndefined()
  })

  it('a signal goes to the foreground of the terminal', async () => {
    const link = await linkTo(
      await held(
        made,
        'set -m; trap "echo the shell has it" TERM; sh -c \'trap "echo caught; exit 5" INT; echo ready; while :; do sleep 0.02; done\'; echo "code $?"',
      ),
    )
    const reading = readAll(link)
    await reading.until('ready')
    expect(await link.signal('SIGNOSUCH')).toBe(false)
    expect(await link.signal('SIGINT')).toBe(true)
    await reading.until('code 5')
    expect(reading.text()).not.toContain('the shell has it')
  })

  it('the kill frame hangs the program up, and kills what does not mind', async () => {
    const folder = await held(made, `trap '' HUP; sh -c 'trap "" HUP TERM; echo ready; while :; do sleep 1; done' & wait`, { killGraceMs: 200 })
    const link = await linkTo(folder)
    const reading = readAll(link)
    await reading.until('ready')
    const { program, holder } = link.hello
    link.kill()
    expect(await reading.over).toMatchObject({ exitCode: null, signal: 'SIGKILL' })
    expect(processes.groupsOfSession(program.pid)).toEqual([])
    await vi.waitUntil(() => processes.startTime(holder.pid) === undefined)
  })

  it('a program that ends when hung up is not killed', async () => {
    const link = await linkTo(await held(made, `trap 'echo bye; exit 4' HUP; echo ready; while :; do sleep 0.02; done`, { killGraceMs: 20_000 }))
    const reading = readAll(link)
    await reading.until('ready')
    link.kill()
    expect(await reading.over).toMatchObject({ exitCode: 4 })
  })
})
