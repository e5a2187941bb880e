import { describe, expect, it } from 'vitest'
import { createQuestionFilter } from './questions.ts'

/** The whole at once, and byte by byte: the answers must agree. */
function filtered(text: string): string {
  const bytes = Buffer.from(text, 'latin1')
  const whole = createQuestionFilter()
  const cut = createQuestionFilter()
  const at = Buffer.from(whole(bytes)).toString('latin1')
  const pieces = Buffer.concat([...bytes].map(byte => Buffer.from(cut(Uint8Array.of(byte))))).toString('latin1')
  expect(pieces).toBe(at)
  return at
}

const QUESTIONS = [
  '\x1b[c',
  '\x1b[0c',
  '\x1b[>c',
  '\x1b[=0c',
  '\x1b[5n',
  '\x1b[6n',
  '\x1b[?6n',
  '\x1b[?996n',
  '\x1b[?2026$p',
  '\x1b[4$p',
  '\x1b[>q',
  '\x1b[>0q',
  '\x1b[?u',
  '\x1b[x',
  '\x1b[14t',
  '\x1b[18t',
  '\x1b[21t',
  '\x1b[?1;1S',
  '\x1b]10;?\x07',
  '\x1b]11;?\x1b\\',
  '\x1b]4;1;?\x07',
  '\x1b]52;c;?\x07',
  `\x1b]52;c;${'QUJD'.repeat(200)}\x1b\\`,
  '\x1bP$qm\x1b\\',
  '\x1bP+q544e\x1b\\',
  '\x1bZ',
  '\x05',
]

const OTHERS = [
  'plain text, \xc3\xa9',
  '\x1b[31mred\x1b[0m',
  '\x1b[>4;1m',
  '\x1b[>4n',
  '\x1b[2S',
  '\x1b[22;0t\x1b[23;0t',
  '\x1b[0 q',
  '\x1b[>1u\x1b[<u',
  '\x1b[?1049h\x1b[?25l',
  '\x1b]0;a title with ? in it;?x\x07',
  `\x1b]8;;http://example.com/${'x'.repeat(400)}\x1b\\link\x1b]8;;\x1b\\`,
  '\x1b]10;#ffffff\x07',
  '\x1b]4;1;rgb:00/00/00\x1b\\',
  '\x1b]133;A\x07',
  '\x1bPq#0;2;0;0;0#0~~\x1b\\',
  '\x1b(B\x1b7\x1b8\x1b=',
  '\x1b[12\x1b[31m',
  '\x1b[1\x18x',
]

describe('output for a real terminal', () => {
  it.each(QUESTIONS)('[fault 23] the question %j is taken out, however it is cut', question => {
    expect(filtered(`a${question}b`)).toBe('ab')
  })

  it.each(OTHERS)('[TERM-08] %j goes through as it is', text => {
    expect(filtered(`a${text}b`)).toBe(`a${text}b`)
  })

  it('a sequence that another one breaks off hides no question', () => {
    expect(filtered('a\x1b[12\x1b[6nb')).toBe('a\x1b[12b')
    expect(filtered('a\x1b[12\x18\x1b[6nb')).toBe('a\x1b[12\x18b')
  })

  it('all of it in one stream', () => {
    expect(filtered([...QUESTIONS, ...OTHERS].join('|'))).toBe(['', ...QUESTIONS.map(() => ''), ...OTHERS].slice(1).join('|'))
  })
})
