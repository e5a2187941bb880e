import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HoldfastError } from '../errors.ts'
import type { Summary } from './kind.ts'
import { messageText, runKind } from './run.ts'

const START: Summary = { state: 'running', endedAt: null, resultSeq: 0 }

/** Folds items as they would be appended, at 1000 ms per event. */
function summaryOf(items: readonly object[], from: Summary = START): Summary {
  return items.reduce<Summary>((summary, item, index) => {
    const { type, payload } = runKind.parseEvent(item)
    return runKind.summarize(summary, { type, seq: index + 1, payload }, (index + 1) * 1000)
  }, from)
}

function refusal(item: unknown): HoldfastError {
  try {
    runKind.parseEvent(item)
  } catch (error) {
    expect(error).toBeInstanceOf(HoldfastError)
    return error as HoldfastError
  }
  throw new Error(`not refused: ${JSON.stringify(item)}`)
}

const assistant = (content: unknown) => ({ event_type: 'message', role: 'assistant', content })

test('[RUN-05] a reporter’s object becomes the payload, whole, fields that nobody knows and its id too', () => {
  const item = { event_type: 'pre_tool', id: 'x-1', tool_name: 'bash', odd: { a: [1] }, timestamp: 'yesterday' }
  expect(runKind.parseEvent(item)).toEqual({ type: 'run.pre_tool', id: 'x-1', payload: item })
  expect(runKind.parseEvent(item).payload).toBe(item)
  expect(runKind.parseEvent({ event_type: 'a' })).toEqual({ type: 'run.a', payload: { event_type: 'a' } })
})

test('[RUN-05] a producer’s form names the type and brings the payload', () => {
  expect(runKind.parseEvent({ type: 'run.custom', id: 'p1', payload: { a: 1 } })).toEqual({ type: 'run.custom', id: 'p1', payload: { a: 1 } })
  expect(runKind.parseEvent({ event_type: 'message', type: 'run.other', payload: {} }).type).toBe('run.message')
})

test.each([
  null,
  'text',
  7,
  [],
  {},
  { event_type: '' },
  { event_type: 5 },
  { event_type: 'Message' },
  { event_type: '1a' },
  { event_type: 'a b' },
  { event_type: `a${'b'.repeat(64)}` },
  { event_type: 'a\n' },
  { event_type: 'a', id: '' },
  { event_type: 'a', id: 7 },
  { event_type: 'a', id: '-x' },
  { event_type: 'a', id: 'x'.repeat(129) },
  { event_type: null },
  { type: 'chat.message', payload: {} },
  { type: 'run.', payload: {} },
  { type: 'run.Bad', payload: {} },
  { type: 'run.a' },
  { type: 'run.a', payload: [] },
  { type: 'run.a', payload: null },
])('[RUN-05] %j is refused as invalid_request', item => {
  expect(refusal(item).code).toBe('invalid_request')
})

test('[RUN-05] every event_type of the form is taken, at both ends of its length', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z][a-z0-9_.-]{0,63}$/), eventType => {
      expect(runKind.parseEvent({ event_type: eventType }).type).toBe(`run.${eventType}`)
    }),
  )
  expect(runKind.parseEvent({ event_type: `a${'b'.repeat(63)}` }).type).toHaveLength(68)
})

test.each([
  ['text', 'text'],
  [
    [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ],
    'a\nb',
  ],
  [[{ type: 'tool_use', text: 'no' }, { type: 'text', text: 'yes' }, 'plain', null, 7], 'yes\nplain'],
  ['', undefined],
  [[], undefined],
  [[{ type: 'text', text: 7 }], undefined],
  [null, undefined],
  [{ text: 'x' }, undefined],
])('[RUN-04] the text of content %j is %j', (content, text) => {
  expect(messageText({ content })).toBe(text)
})

test('[RUN-04] a payload that is null or no object has no text', () => {
  for (const payload of [null, undefined, 'x', 7]) expect(messageText(payload)).toBeUndefined()
})

test('[RUN-04] the result is read from the last assistant message with text, late ones included', () => {
  const items = [assistant('one'), { event_type: 'message', role: 'user', content: 'x' }, assistant(''), assistant([{ type: 'tool_use' }])]
  expect(summaryOf(items).resultSeq).toBe(1)
  expect(summaryOf([...items, assistant('two')]).resultSeq).toBe(5)
  expect(summaryOf([...items, { event_type: 'session_stop' }, assistant('late')])).toMatchObject({ resultSeq: 6, state: 'ended', endedAt: 5000 })
})

test.each([
  [{}, 'ended'],
  [{ exit_code: 0 }, 'ended'],
  [{ exit_code: null }, 'ended'],
  [{ exit_code: 1 }, 'failed'],
  [{ exit_code: -9 }, 'failed'],
  [{ exit_code: 'boom' }, 'failed'],
])('[RUN-06] session_stop with %j: %s', (fields, state) => {
  expect(summaryOf([{ event_type: 'session_stop', ...fields }])).toEqual({ state, endedAt: 1000, resultSeq: 0 })
})

test('[RUN-06] a second stop, and whatever comes later, changes no status', () => {
  const stopped = summaryOf([{ event_type: 'session_stop' }])
  for (const item of [{ event_type: 'session_stop', exit_code: 1 }, { event_type: 'pre_tool' }, { event_type: 'agent_stop' }, { event_type: 'notification' }])
    expect(summaryOf([item], stopped)).toEqual(stopped)
  expect(runKind.summarize(stopped, { type: 'session.ended', seq: 9, payload: {} }, 9000)).toEqual(stopped)
})

test('[RUN-12] a user message and tools mean running, a stop of the agent idle, a notification waiting', () => {
  expect(summaryOf([{ event_type: 'agent_stop' }]).state).toBe('idle')
  expect(summaryOf([{ event_type: 'notification' }]).state).toBe('waiting')
  for (const item of [{ event_type: 'message', role: 'user' }, { event_type: 'pre_tool' }, { event_type: 'post_tool' }])
    expect(summaryOf([{ event_type: 'agent_stop' }, item]).state).toBe('running')
  expect(summaryOf([{ event_type: 'agent_stop' }, { event_type: 'anything' }, assistant('x')]).state).toBe('idle')
})

test('an end from outside ends a run', () => {
  expect(runKind.summarize(START, { type: 'session.ended', seq: 1, payload: {} }, 5)).toEqual({ state: 'ended', endedAt: 5, resultSeq: 0 })
})

test('a summary is never changed in place', () => {
  const frozen = Object.freeze({ ...START })
  expect(() => summaryOf([assistant('x'), { event_type: 'agent_stop' }, { event_type: 'session_stop' }], frozen)).not.toThrow()
})
