import { spawn } from 'node:child_process'
import { expect, it, onTestFinished, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { codeOf, createAcked, createRun, item, post, readLog, resultsOf } from './lib/client.ts'
import { noStrace } from './lib/means.ts'
import { watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

/** From now on every sync of the process fails, as on a dying disk. */
async function failSyncs(pid: number): Promise<void> {
  const strace = spawn('strace', ['-f', '-p', String(pid), '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO', '-o', '/dev/null'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void strace.kill('SIGKILL'))
  let said = ''
  strace.stderr.on('data', (part: Buffer) => {
    said += part.toString()
  })
  await until('strace at the server', () => said.includes('attached'))
}

it('[fault 4] a failed sync: writers and everyone attached are told storage_failed, the server exits with 1, and the next start has all that was acked', async context => {
  const missing = noStrace()
  if (missing) return context.skip(missing)
  const dataDir = tempDir()
  const server = await startServer({ dataDir })
  const acked = createAcked()
  await createRun(server, 'a')
  await createRun(server, 'b')
  for (let n = 0; n < 20; n++) acked.note(await post(server, 'a', [item(`i${n}`, `text ${n}`)]))
  const readers = (['ws', 'sse'] as const).flatMap(transport => ['a', 'b'].map(session => watch(transport, { ...server, session })))
  // Waits for what comes: a poll is told too.
  const { epoch, head } = await readLog(server, 'a')
  const poll = watch('poll', { ...server, session: 'a', cursor: `${epoch}.${head}` })
  await until('the readers', () => readers.every(reader => reader.caughtUp))
  await failSyncs(server.pid)

  const refused = await Promise.all([0, 1, 2].map(n => post(server, 'a', [item(`late${n}`, 'never acked')])))
  expect(refused.map(answer => answer.status)).toEqual([503, 503, 503])
  expect(refused.map(codeOf)).toContain('storage_failed')
  // One that came just after the failure meets a server that is stopping.
  for (const code of refused.map(codeOf)) expect(['storage_failed', 'draining']).toContain(code)
  expect(await server.exited).toBe(1)
  for (const reader of readers) {
    expect(reader.errors, `${reader.transport} was told`).toContain('storage_failed')
    expect(reader.seqs.length, 'nothing was shown that was not stored').toBe(reader.hello?.['head_seq'])
  }
  await until('the poll is told', () => poll.errors.includes('storage_failed') || poll.ended)
  expect(poll.errors).toContain('storage_failed')
  for (const reader of [...readers, poll]) reader.close()
  expect(server.stderr()).toMatch(/"level":"error"/)

  const next = await startServer({ dataDir })
  const log = await readLog(next, 'a')
  expect(log.epoch).toBe(epoch)
  expect(acked.missingFrom(log)).toEqual([])
  // What was refused may or may not have reached the disk: the retry makes it once.
  for (let n = 0; n < 3; n++) expect(resultsOf(await post(next, 'a', [item(`late${n}`, 'never acked')]))).toHaveLength(1)
  const ids = (await readLog(next, 'a')).events.map(event => event.payload['id'])
  expect(ids.length).toBe(new Set(ids).size)
  expect(ids.length).toBe(23)
  expect(await next.stop()).toBe(0)
})
