import { describe, expect, it } from 'vitest'
import type { Summary } from './kind.ts'
import { terminalKind } from './terminal.ts'

const begun: Summary = { state: 'running', endedAt: null, resultSeq: 0 }
const after = (summary: Summary, type: string, payload: unknown = {}): Summary => terminalKind.summarize(summary, { type, seq: 2, payload }, 100)
const exited = (code: number | null, signal: string | null): Summary => after(begun, 'terminal.exited', { exit_code: code, signal })

describe('terminal events', () => {
  it.each([
    ['ended', exited(0, null)],
    ['failed', exited(1, null)],
    ['failed', exited(null, 'SIGKILL')],
    ['lost', exited(null, null)],
    ['ended', after(begun, 'session.ended')],
  ] as const)('[TERM-06] the state is %s, and says since when', (state, summary) => {
    expect(summary).toEqual({ state, endedAt: 100, resultSeq: 0 })
  })

  it('[TERM-06] an exit after the end changes nothing, a start begins anew, and output is not news', () => {
    const ended = after(begun, 'session.ended')
    expect(after(ended, 'terminal.exited', { exit_code: null, signal: 'SIGHUP' })).toBe(ended)
    expect(after(ended, 'terminal.started')).toEqual(begun)
    expect(after(begun, 'terminal.started')).toBe(begun)
    expect(after(begun, 'terminal.output', { text: 'x' })).toBe(begun)
  })

  it('[SEQ-11] a producer may append what is well formed, and nothing else', () => {
    expect(terminalKind.parseEvent({ type: 'terminal.output', id: 'a', payload: { text: 'x' } })).toEqual({
      type: 'terminal.output',
      id: 'a',
      payload: { text: 'x' },
    })
    const wrong = [
      null,
      [],
      {},
      { type: 'run.message', payload: {} },
      { type: 'toString', payload: {} },
      { type: 'terminal.output', payload: {} },
      { type: 'terminal.output' },
      { type: 'terminal.resized', payload: { cols: 0, rows: 1 } },
      { type: 'terminal.output', id: 'no id!', payload: { text: 'x' } },
    ]
    for (const item of wrong) expect(() => terminalKind.parseEvent(item), JSON.stringify(item)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})
