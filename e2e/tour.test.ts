import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { freePort, ROOT } from './lib/process.ts'

it('[OPS-05] [SEQ-03] the tour of the README does what it says, as it stands there', async () => {
  const block = /<!-- tour -->\n```bash\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1]
  if (block === undefined) throw new Error('README.md has no tour')
  const port = await freePort()
  // Its own port, and what it started is ended by its id: a reader of the page would close the terminal.
  const script = `${block.replaceAll('8799', String(port))}\nkill "$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' "$HOLDFAST_DATA_DIR/server.json")"\nwait\n`
  const shell = spawn('bash', ['-c', script], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  shell.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  shell.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const code = await new Promise<number | null>(resolve => shell.once('close', resolve))
  expect(out.trim().split('\n').at(-1)?.trim(), `${out}\n${err}`).toBe('100')
  for (let step = 1; step <= 100; step++) expect(out.match(new RegExp(`step ${step}\\b`, 'g')), `step ${step} as the watcher saw it`).toHaveLength(1)
  expect(code).toBe(0)
}, 60_000)
