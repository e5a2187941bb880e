import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EngineServer, startEngineServer } from '../../test/engine-server.ts'
import { type FakeIo, fakeIo } from '../../test/fake-io.ts'
import { main } from '../main.ts'

let folder: string
let server: EngineServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-play-'))
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function run(args: readonly string[], stdin?: string): Promise<{ code: number; io: FakeIo }> {
  const io = fakeIo({ env: { HOLDFAST_DATA_DIR: folder, ...(server ? { HOLDFAST_URL: server.url } : {}) }, ...(stdin === undefined ? {} : { stdin }) })
  return { code: await main(args, io), io }
}

const V3 =
  '{"version":3,"term":{"cols":80,"rows":24}}\n# a comment\n[0,"o","é1"]\n[0.01,"i","typed"]\n[0.01,"o","\\u001b[6n2"]\n[3600,"m","here"]\n[0.01,"o","3"]\n[0.01,"x","0"]\n[0.0'

describe('holdfast play', () => {
  it('[TERM-17] plays the output of an asciicast, its questions left out, a broken last line too, no pause longer than asked', async () => {
    const { code, io } = await run(['play', '-', '--speed', '10', '--idle-limit', '0.01'], V3)
    expect({ code, ...io.printed }).toEqual({ code: 0, out: 'é123', err: '' })
  })

  it('[TERM-17] version 2 counts from the start', async () => {
    const file = join(folder, 'two.cast')
    writeFileSync(file, '{"version":2,"width":80,"height":24}\n[1000,"o","a"]\n[1000.05,"o","b"]\n')
    const start = performance.now()
    const { code, io } = await run(['play', file, '--idle-limit', '0.2'])
    expect([code, io.printed.out]).toEqual([0, 'ab'])
    expect(performance.now() - start).toBeGreaterThan(240)
  })

  it('says what is wrong: no file, no recording, no speed, a session that is no terminal', async () => {
    expect((await run(['play', './none.cast'])).io.printed.err).toContain('There is no file "./none.cast".')
    expect((await run(['play', '-'], '{"events": []}\n{}\n')).io.printed.err).toContain('no asciicast')
    expect((await run(['play', '-', '--speed', '0'], V3)).code).toBe(2)
    server = await startEngineServer()
    await run(['create', '--name', 'r', '--id', 'r'])
    for (const name of ['play', 'attach', 'kill']) expect((await run([name, 'r'])).io.printed.err, name).toContain('holdfast tail r')
  })
})

describe('holdfast run', () => {
  it('[TERM-01] without a terminal to attach, or a variable that is not there, it starts nothing', async () => {
    server = await startEngineServer()
    const { code, io } = await run(['run', '--', 'sh'])
    expect([code, io.printed.err]).toEqual([2, expect.stringContaining('--detach')])
    const named = await run(['run', '--detach', '--env', 'NOT_SET', '--', 'sh'])
    expect([named.code, named.io.printed.err]).toEqual([2, expect.stringContaining('NOT_SET=value')])
    expect(server.requests).toEqual([])
  })
})
