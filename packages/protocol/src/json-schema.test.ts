import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeControl, encodeEvent } from './envelope.ts'
import { ERRORS, HoldfastError } from './errors.ts'
import { INPUTS } from './inputs.ts'
import { jsonSchema } from './json-schema.ts'
import { CLIENT, CONTROL, DURABLE, outboundClass } from './messages.ts'

interface Document {
  readonly $id: string
  readonly $defs: Record<string, { readonly 'x-holdfast-class'?: string; readonly properties?: Record<string, unknown> }>
}
const document = jsonSchema() as Document
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false, keywords: ['x-holdfast-class'] })
ajv.addSchema(document)

function validator(name: string): ValidateFunction {
  const validate = ajv.getSchema(`${document.$id}#/$defs/${name}`)
  if (!validate) throw new Error(`the schema has no ${name}`)
  return validate
}

function expectValid(name: string, value: unknown): void {
  const validate = validator(name)
  expect(validate(value) ? [] : { value, errors: validate.errors }).toEqual([])
}

const AT = '2026-11-21T12:00:00.123Z'
const event = (type: string, payload: unknown, seq = 1): unknown => JSON.parse(encodeEvent({ type, id: 'i-1', payload }, 's-1', seq, AT))
const control = (type: string, payload: unknown): unknown => JSON.parse(encodeControl({ type, header: { session_id: 's-1' }, payload }))

const session = {
  session_id: 's-1',
  session_name: 'a',
  kind: 'run',
  status: 'running',
  state: 'running',
  owner: 'local',
  project_dir: null,
  working_dir: null,
  project_id: null,
  agent_name: null,
  description: null,
  parent_session_id: null,
  previous_session_id: null,
  is_active: false,
  created_at: AT,
  last_activity_at: AT,
  last_resumed_at: null,
  ended_at: null,
  expires_at: null,
  epoch: 'abcd',
  head_seq: 0,
  floor_seq: 0,
  bytes: 0,
  metadata: {},
}

/** One good payload for every outbound type. */
const GOOD: Record<string, unknown> = {
  'session.resumed': {},
  'session.warning': { message: 'x' },
  'session.ended': {},
  'session.created': { session },
  'session.updated': { session },
  'session.deleted': { session_id: 's-1' },
  'chat.message': { role: 'user', content: 'hi' },
  'chat.turn_started': { turn_id: 't' },
  'chat.delta': { turn_id: 't', message_id: 'm', text: 'x' },
  'chat.thinking': { turn_id: 't', text: 'x' },
  'chat.tool_call': { turn_id: 't' },
  'chat.tool_result': { turn_id: 't' },
  'chat.approval_requested': { approval_id: 'a' },
  'chat.approval_resolved': { approval_id: 'a', decision: 'deny' },
  'chat.usage': { input_tokens: 1 },
  'chat.turn_ended': { turn_id: 't', reason: 'complete' },
  'terminal.started': { pid: 1, command: 'sh', cwd: '/', cols: 80, rows: 24, incarnation: 1 },
  'terminal.output': { base64: '/w==' },
  'terminal.resized': { cols: 80, rows: 24 },
  'terminal.writer_changed': { client_id: null },
  'terminal.exited': { exit_code: null, signal: 'SIGKILL' },
  'ui.message': { version: 'v0.9', createSurface: { surfaceId: 'main', catalogId: 'c' } },
  'ui.action': { name: 'click' },
  'run.message': { event_type: 'message' },
  'run.session_start': { event_type: 'session_start' },
  'run.pre_tool': { event_type: 'pre_tool' },
  'run.post_tool': { event_type: 'post_tool' },
  'run.session_stop': { event_type: 'session_stop', exit_code: 0 },
  'run.agent_stop': { event_type: 'agent_stop' },
  'run.notification': { event_type: 'notification' },
  'protocol.hello': {
    session,
    epoch: 'abcd',
    head_seq: 1,
    floor_seq: 0,
    resume: 'new',
    reconnected: false,
    created_at: AT,
    age_seconds: 1.5,
    role: null,
    protocol: { version: 1, min: 1, max: 1 },
    heartbeat_ms: 10_000,
    limits: { event_bytes: 1 },
    durability: 'full',
  },
  'protocol.gap': { from_seq: 1, to_seq: 2, reason: 'trimmed' },
  'protocol.snapshot': { seq: 1, part: 1, parts: 1, data: '{}' },
  'protocol.caught_up': { seq: 0 },
  'protocol.ack': { id: 'i', seq: null, duplicate: false },
  'protocol.error': new HoldfastError('busy', 'x').body(),
  'protocol.pong': {},
  'protocol.heartbeat': { heads: { 's-1': 4 } },
  'protocol.watching': { kinds: null, sessions: 0 },
  'protocol.goaway': { reconnect_in_ms: 5 },
}

/** One good payload for every message of a client. */
const GOOD_CLIENT: Record<string, unknown> = {
  'protocol.auth': { token: 't' },
  'protocol.resume': { last_seen_seq: 'abcd.4', mode: 'auto' },
  'protocol.detach': {},
  'protocol.credit': { seq: 4 },
  'protocol.ping': undefined,
  'protocol.watch': { kinds: ['run'] },
  'session.end': undefined,
  'session.rename': { session_name: 'x' },
  'session.append': { events: [{ type: 'run.a', payload: {} }] },
  'chat.send': { text: 'hi', when: 'queue' },
  'chat.cancel': {},
  'chat.regenerate': { message_id: 'm' },
  'chat.edit': { message_id: 'm', text: 'x' },
  'chat.approve': { approval_id: 'a', decision: 'allow' },
  'terminal.input': { text: 'ls' },
  'terminal.resize': { cols: 1, rows: 1 },
  'terminal.signal': { signal: 'SIGINT' },
  'terminal.take_writer': {},
  'terminal.respawn': {},
  'ui.action': { name: 'click' },
}

test('[SEQ-07] the examples cover every message of the protocol', () => {
  expect(Object.keys(GOOD).sort()).toEqual([...Object.keys(DURABLE), ...Object.keys(CONTROL)].sort())
  expect(Object.keys(GOOD_CLIENT).sort()).toEqual([...Object.keys(CLIENT), ...Object.keys(INPUTS)].sort())
})

test.each(Object.keys(DURABLE))('[SEQ-07] a %s as the server encodes it is valid, and not without its seq', type => {
  const good = event(type, GOOD[type]) as { header: { seq?: number } }
  for (const name of [type, 'durable', 'outbound']) expectValid(name, good)
  delete good.header.seq
  expect(validator(type)(good)).toBe(false)
  expect(validator('outbound')(good)).toBe(false)
})

test.each(Object.keys(CONTROL))('[SEQ-07] a %s as the server encodes it is valid, and not with a seq', type => {
  const good = control(type, GOOD[type]) as { header: { seq?: number } }
  for (const name of [type, 'control', 'outbound']) expectValid(name, good)
  good.header.seq = 1
  expect(validator(type)(good)).toBe(false)
  expect(validator('outbound')(good)).toBe(false)
})

test.each(Object.keys(GOOD_CLIENT))('[SEQ-07] a client’s %s is valid, with a header or none, and not with a seq of its own', type => {
  const payload = GOOD_CLIENT[type]
  const message = { type, ...(payload === undefined ? {} : { payload }) }
  for (const name of [`client.${type}`, 'inbound']) {
    expectValid(name, message)
    expectValid(name, { ...message, header: { id: 'i', session_id: 's', client_id: 'c', later: true } })
    expect(validator(name)({ ...message, header: { seq: 1 } })).toBe(false)
  }
})

test('[SEQ-12] every outbound type is marked durable or control in the schema, as in code', () => {
  const marked = Object.entries(document.$defs).flatMap(([name, def]) => (def['x-holdfast-class'] ? [[name, def['x-holdfast-class']]] : []))
  const expected = [...Object.keys(DURABLE), 'run.other', ...Object.keys(CONTROL)].map(type => [type, outboundClass(type)])
  expect(marked).toEqual(expected)
})

test('[SEQ-17] no control message has a seq in its header: the schema has no place for one', () => {
  expect(document.$defs.controlHeader?.properties?.seq).toBe(false)
  for (const type of Object.keys(CONTROL)) expect(document.$defs[type]?.properties?.header).toEqual({ $ref: '#/$defs/controlHeader' })
})

test('[SEQ-15] version and seq are two fields, and an event needs both', () => {
  for (const field of ['version', 'seq', 'id', 'session_id', 'timestamp']) {
    const broken = event('run.message', { event_type: 'message' }) as { header: Record<string, unknown> }
    delete broken.header[field]
    expect(validator('event')(broken)).toBe(false)
  }
})

test('[SEQ-01] a seq is an integer from 1 on', () => {
  for (const seq of [0, -1, 1.5, 2 ** 53]) expect(validator('event')(event('x', {}, seq))).toBe(false)
  for (const seq of [1, Number.MAX_SAFE_INTEGER]) expectValid('event', event('x', {}, seq))
})

test('unknown fields are let through everywhere, so that readers of today read servers of tomorrow', () => {
  for (const [type, payload] of Object.entries(GOOD)) {
    const later = { ...(payload as object), later: { a: 1 } }
    const message = (type in DURABLE ? event(type, later) : control(type, later)) as { header: Record<string, unknown>; later?: boolean }
    message.later = true
    message.header.later = true
    expectValid(type, message)
  }
})

test('[RUN-05] a type of a reporter’s own is an event, another unknown type is not of this version', () => {
  expectValid('outbound', event('run.my-own_thing.v2', { event_type: 'my-own_thing.v2' }))
  expect(validator('outbound')(event('run.Bad', {}))).toBe(false)
  expect(validator('outbound')(event('nope', {}))).toBe(false)
  expectValid('event', event('nope', {}))
})

test.each(Object.keys(ERRORS))('[UI-06] the error %s is valid, an unknown code is not', code => {
  const body = new HoldfastError(code as keyof typeof ERRORS, 'why').body()
  expectValid('error', body)
  expectValid('errorAnswer', { error: body })
  expect(validator('error')({ ...body, code: `${code}x` })).toBe(false)
})

test('[UI-06] render and patch messages of A2UI are typed, a broken one is refused by its own schema', () => {
  expectValid('a2ui.createSurface', { version: 'v0.9', createSurface: { surfaceId: 's', catalogId: 'c', theme: { primaryColor: '#fff' } } })
  expectValid('a2ui.updateComponents', { version: 'v0.9', updateComponents: { surfaceId: 's', components: [{ id: 'root', component: 'Text', text: 'x' }] } })
  expectValid('a2ui.updateDataModel', { version: 'v0.9', updateDataModel: { surfaceId: 's', path: '/user/name', value: 'x' } })
  expectValid('a2ui.deleteSurface', { version: 'v0.9', deleteSurface: { surfaceId: 's' } })
  expect(validator('a2ui.createSurface')({ createSurface: {} })).toBe(false)
  expect(validator('a2ui.updateComponents')({ updateComponents: { surfaceId: 's' } })).toBe(false)
  expect(validator('a2ui.updateDataModel')({ updateDataModel: { surfaceId: 's', path: 7 } })).toBe(false)
  expectValid('ui.message', event('ui.message', { version: 'v9', somethingNew: {} }))
})

test.each([
  ['client.terminal.input', { type: 'terminal.input', payload: {} }],
  ['client.chat.approve', { type: 'chat.approve', payload: { approval_id: 'a', decision: 'maybe' } }],
  ['client.protocol.resume', { type: 'protocol.resume', payload: { mode: 'fast' } }],
  ['client.session.append', { type: 'session.append', payload: { events: [] } }],
  ['client.protocol.auth', { type: 'protocol.auth' }],
  ['createSession', { kind: 'room' }],
  ['createSession', { session_id: '-x' }],
  ['session', { ...session, state: 'asleep' }],
  ['gap', { from_seq: 1, to_seq: 2, reason: 'lost' }],
])('%s refuses %j', (name, value) => {
  expect(validator(name)(value)).toBe(false)
})

test('[SEQ-07] the schema and the code’s own parser agree about any payload', () => {
  const types = fc.constantFrom(...Object.keys(DURABLE), ...Object.keys(CONTROL))
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(fc.constantFrom('text', 'turn_id', 'seq', 'message', 'exit_code', 'session_id', 'event_type'), fc.jsonValue()),
  )
  fc.assert(
    fc.property(types, odd, (type, payload) => {
      const durable = type in DURABLE
      const message = durable ? event(type, payload) : control(type, payload)
      const parsed = ((durable ? DURABLE[type] : CONTROL[type]) as { safeParse(value: unknown): { success: boolean } }).safeParse(payload)
      expect(validator(type)(message)).toBe(parsed.success)
    }),
    { numRuns: 2000 },
  )
})

test('the worked example of an envelope in docs/protocol.md is valid', () => {
  const docs = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')
  const [, example] = /```json\n([\s\S]*?)```/.exec(docs) ?? []
  expectValid('run.message', JSON.parse(example ?? 'null'))
})
