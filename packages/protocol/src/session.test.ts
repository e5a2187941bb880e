import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { clientFrameSchema } from './control.ts'
import { INPUTS } from './inputs.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { createSessionSchema, patchSessionSchema, STATES, statusFromState } from './session.ts'

test('[RUN-03] status is a view of state: what may still happen is running', () => {
  expect(STATES.map(state => [state, statusFromState(state)])).toEqual([
    ['running', 'running'],
    ['idle', 'running'],
    ['waiting', 'running'],
    ['ended', 'finished'],
    ['failed', 'finished'],
    ['expired', 'finished'],
    ['lost', 'finished'],
  ])
})

test('[RUN-01] a run needs a name, the other kinds do not, and run is the default', () => {
  expect(createSessionSchema.safeParse({}).success).toBe(false)
  expect(createSessionSchema.safeParse({ session_name: '' }).success).toBe(false)
  expect(createSessionSchema.parse({ session_name: 'a' }).kind).toBe('run')
  for (const kind of ['chat', 'terminal', 'ui']) expect(createSessionSchema.safeParse({ kind }).success).toBe(true)
})

test('[CHAT-03] folders and project ids are kept as the strings that they were', () => {
  const body = { kind: 'chat', working_dir: '/a/../b ', project_id: '007' }
  expect(createSessionSchema.parse(body)).toMatchObject({ working_dir: '/a/../b ', project_id: '007' })
})

test.each([
  null,
  [],
  'x',
  { session_name: 7 },
  { session_name: 'a', kind: 'room' },
  { session_name: 'a', kind: 'feed' },
  { session_name: 'a', session_id: '_feed' },
  { session_name: 'a', session_id: '' },
  { session_name: 'a', metadata: [] },
  { session_name: 'a', working_dir: 7 },
  { session_name: 'x'.repeat(4097) },
  { kind: 'terminal', terminal: {} },
  { kind: 'terminal', terminal: { command: '' } },
  { kind: 'terminal', terminal: { command: 'sh', cols: 0 } },
  { kind: 'terminal', terminal: { command: 'sh', rows: 1.5 } },
])('a creation of %j is refused', body => {
  expect(createSessionSchema.safeParse(body).success).toBe(false)
})

test('a patch ignores fields that it does not know', () => {
  expect(patchSessionSchema.parse({ session_name: 'b', state: 'ended', owner: 'me' })).toEqual({ session_name: 'b' })
})

test('[TERM-16] inputs say what they need', () => {
  expect(INPUTS['terminal.input'].payload.safeParse({}).success).toBe(false)
  for (const payload of [{ text: '' }, { base64: '/w==' }]) expect(INPUTS['terminal.input'].payload.safeParse(payload).success).toBe(true)
  expect(INPUTS['terminal.resize'].payload.safeParse({ cols: 0, rows: 1 }).success).toBe(false)
  expect(INPUTS['session.append'].payload.safeParse({ events: [] }).success).toBe(false)
  expect(INPUTS['chat.approve'].payload.safeParse({ approval_id: 'a', decision: 'allow' }).success).toBe(true)
})

test('a client’s frame needs a type; header and payload may be missing, unknown parts pass', () => {
  for (const frame of [{ type: 'protocol.ping' }, { type: 'x', header: { id: 'a', later: 1 }, payload: null, later: 2 }])
    expect(clientFrameSchema.safeParse(frame).success).toBe(true)
  for (const frame of [{}, { type: '' }, { type: 7 }, { type: 'x', header: 7 }, { type: 'x', header: { id: '-' } }, [], null, 'x'])
    expect(clientFrameSchema.safeParse(frame).success).toBe(false)
})

test('[OPS-03] the defaults are those of docs/protocol.md', () => {
  const docs = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')
  const rowOf = (name: string): string => new RegExp(`^\\| ${name}[^|]*\\| ([^|]*) \\|$`, 'm').exec(docs)?.[1] ?? 'none'
  const KiB = 1024
  expect(rowOf('event, encoded')).toBe(`${DEFAULT_LIMITS.event_bytes / KiB} KiB`)
  expect(rowOf('input')).toBe(`${DEFAULT_LIMITS.input_bytes / KiB} KiB`)
  expect(rowOf('request body')).toBe(`${DEFAULT_LIMITS.body_bytes / KiB / KiB} MiB`)
  expect(rowOf('blob')).toBe(`${DEFAULT_LIMITS.blob_bytes / KiB / KiB} MiB`)
  expect(rowOf('batch')).toBe(`${DEFAULT_LIMITS.batch_events} events`)
  expect(rowOf('WebSocket frame')).toBe(`${DEFAULT_LIMITS.frame_bytes / KiB} KiB`)
  expect(rowOf('connections')).toBe(`${DEFAULT_LIMITS.connections}`)
  expect(rowOf('sessions per')).toBe('10 000')
  expect(DEFAULT_LIMITS.sessions).toBe(10_000)
  expect(rowOf('inputs or posts')).toBe(`${DEFAULT_LIMITS.requests_per_second}`)
})
