import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sayWhatWasSeen } from '@holdfast/testkit/model-endpoint'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../lib/process.ts'
import { type Agent, installAgent } from '../main-job/agent.ts'
import { type ClaudeWorld, startClaudeWorld } from '../main-job/claude-world.ts'
import { blocksOf } from './blocks.ts'

let agent: Agent | { missing: string }
let world: ClaudeWorld | undefined

beforeAll(async () => {
  agent = await installAgent('@anthropic-ai/claude-code', '2.1.330', 'claude')
  if ('missing' in agent) process.stderr.write(`\n!!! NOT TESTED: the commands of docs/guides/claude-code.md. ${agent.missing}\n\n`)
}, 300_000)
afterAll(async () => world?.close())

describe('the guide for Claude Code', () => {
  it('[RUN-12] has commands that do what it says, in its order', async ({ skip }) => {
    if ('missing' in agent) return skip(agent.missing)
    const here = await startClaudeWorld(agent.bin, sayWhatWasSeen)
    world = here
    const steps = blocksOf('claude-code.md')
      .filter(block => block.language === 'sh')
      .map(block => block.text.replaceAll('http://127.0.0.1:8765', here.server.url))
    const taken = new Set<string>()
    let session = ''
    /** The guide's block that begins so; each is run once, and none is left out in the end. */
    const step = (start: string): string => {
      const found = steps.find(text => text.startsWith(start) && !taken.has(text))
      if (found === undefined) throw new Error(`the guide has no command that begins with: ${start}`)
      taken.add(found)
      return found
    }
    const type = (start: string): Promise<string> => finish(here, step(start), session)
    const follow = (start: string, sight: string): Promise<string> => lookFor(here, step(start), session, sight)
    const settings = () => JSON.parse(readFileSync(join(here.project, '.claude', 'settings.json'), 'utf8')) as { hooks?: object }
    const isEnded = async (head: number): Promise<boolean> => {
      const { body } = await here.get(`/sessions/${session}`)
      const { state, head_seq: headSeq } = body.session as { state: string; head_seq: number }
      return state === 'ended' && headSeq >= head
    }

    expect(await type('holdfast hook install')).toContain('Installed.')
    expect(Object.keys(settings().hooks ?? {})).toContain('SessionEnd')
    expect(await type('claude -p "Say hello"')).toContain('saw-1 Say hello')
    session = await until('the session', async () => ((await here.get('/sessions?kind=run')).body.sessions as { session_id: string }[])[0]?.session_id)
    await until('its end', () => isEnded(5))
    expect(await follow('holdfast tail', 'saw-1 Say hello')).toContain('Say hello')

    // The restart that the guide promises to survive.
    await here.kill()
    expect(await type('claude -p -c')).toContain('saw-3 And once more')
    await here.start()
    await until('the second end', () => isEnded(10))

    expect(await follow('curl -sN', '"saw-3 And once more"')).toMatch(/^id: \w+\.1$/m)
    const resumed = await follow('curl -sN', '"saw-3 And once more"')
    expect(resumed.match(/^id: .*$/m)?.[0]).toMatch(/^id: \w+\.3$/)

    const asked = await type('holdfast status')
    expect(asked).toMatch(/State +ended/)
    expect(asked.split('\n')).toContain('saw-3 And once more')
    const log = readFileSync(join(here.project, 'run.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { header: { seq: number } })
    expect(log.map(event => event.header.seq)).toEqual(Array.from({ length: log.length }, (_, index) => index + 1))

    const token = (await type('holdfast token create')).trim()
    expect(await here.holdfast('tail', session, '--no-follow', '--token', token)).toContain('saw-3 And once more')
    await expect(here.holdfast('post', session, '--text', 'x', '--token', token)).rejects.toThrow('produce')

    const status = await type('holdfast hook status')
    expect(status).toMatch(/Installed +in this project/)
    expect(status).toMatch(/Waiting +0/)
    expect(await type('holdfast hook flush')).toContain('Delivering 0 records')
    expect(await type('holdfast hook uninstall')).toContain('Took the hooks out')
    expect(settings().hooks).toBeUndefined()
    expect(steps.filter(text => !taken.has(text))).toEqual([])
    expect(existsSync(join(here.home, '.claude', 'settings.json'))).toBe(false)
  }, 120_000)
})

/** Runs lines to their end and gives what they printed. */
async function finish(world: ClaudeWorld, lines: string, session: string): Promise<string> {
  const child = world.shell(lines, { SESSION: session })
  let out = ''
  let err = ''
  child.stdout?.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr?.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const code = await new Promise(resolve => child.once('close', resolve))
  if (code !== 0) throw new Error(`ended with ${code}: ${lines}\n${err}`)
  return out
}

/** Runs lines that go on until somebody ends them, until the sight is seen. */
async function lookFor(world: ClaudeWorld, lines: string, session: string, sight: string): Promise<string> {
  const child = world.shell(`exec ${lines}`, { SESSION: session })
  let out = ''
  child.stdout?.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr?.resume()
  const closed = new Promise(resolve => child.once('close', resolve))
  try {
    await until(`"${sight}" in the output of ${lines}`, () => out.includes(sight))
    return out
  } finally {
    child.kill('SIGKILL')
    await closed
  }
}
