import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { INPUTS, isInputType } from './inputs.ts'
import { CLIENT, CONTROL, DURABLE, outboundClass } from './messages.ts'
import { ROUTES } from './routes.ts'

const docs = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')

/** One section of the page, by its heading. */
function section(heading: string): string {
  const [, text] = new RegExp(`\\n#+ ${heading}\\n([\\s\\S]*?)(?=\\n#{1,2} |$)`).exec(docs) ?? []
  if (text === undefined) throw new Error(`docs/protocol.md has no section "${heading}"`)
  return text
}

const outbound = Object.fromEntries([...section('Every outbound message').matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, type, kind]) => [type, kind]))

test('[SEQ-12] docs/protocol.md lists every outbound type with its class, and none that does not exist', () => {
  const inCode = Object.fromEntries([
    ...Object.keys(CONTROL).map(type => [type, 'control']),
    ...Object.keys(DURABLE).map(type => [type, 'durable']),
    ['run.<event_type>', 'durable'],
  ])
  expect(outbound).toEqual(inCode)
})

test('[SEQ-12] no type is both durable and control', () => {
  for (const type of Object.keys(CONTROL)) expect(DURABLE).not.toHaveProperty([type])
  for (const [type, kind] of Object.entries(outbound)) expect(outboundClass(type)).toBe(kind)
  for (const type of ['protocol.resume', 'chat.send', 'toString', '__proto__', '', 'runs.x']) expect(outboundClass(type)).toBeUndefined()
})

test('[SEQ-17] presence, acks, pings and heartbeats are control', () => {
  for (const type of ['protocol.ack', 'protocol.pong', 'protocol.heartbeat', 'protocol.caught_up', 'protocol.goaway'])
    expect(outboundClass(type)).toBe('control')
})

test('docs/protocol.md lists what a client sends, control and inputs by kind, both ways', () => {
  const text = section('What a client sends')
  expect([...text.matchAll(/^\| `(protocol\.\w+)` \|/gm)].map(([, type]) => type)).toEqual(Object.keys(CLIENT))
  const inputs = [...text.matchAll(/^\| (\w+) \| `([a-z_.]+)` \|/gm)].map(([, kind, type]) => [type, kind === 'any' ? null : kind])
  expect(inputs).toEqual(Object.entries(INPUTS).map(([type, input]) => [type, input.kind]))
})

test('docs/protocol.md lists every HTTP call, and none that does not exist', () => {
  const text = `${section('HTTP calls')}${section('Plain old clients')}`
  const documented = [...text.matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/[^`?]*)/g)].map(([, method, path]) => `${method} ${path}`)
  expect(new Set(documented)).toEqual(new Set(ROUTES.map(route => `${route.method.toUpperCase()} ${route.path}`)))
})

test('an input is known by its own name only', () => {
  expect(isInputType('chat.send')).toBe(true)
  for (const type of ['toString', 'constructor', '__proto__', 'chat.delta', '']) expect(isInputType(type)).toBe(false)
})
