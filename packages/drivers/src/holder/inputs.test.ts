import { describe, expect, it } from 'vitest'
import { createInputs } from './inputs.ts'
import type { Program } from './program.ts'
import { held, linkTo, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

/** A program that reads when it is told to. */
function slowProgram() {
  const state = { written: '', wait: undefined as ((written: boolean) => void) | undefined, reads: true, interrupts: 0, ended: false }
  const nothing = (): void => {}
  const program: Program = {
    pid: 1,
    pause: nothing,
    resume: nothing,
    flush: nothing,
    finish: nothing,
    resize: () => true,
    write(bytes, done) {
      const write = (written: boolean): void => {
        if (written) state.written += Buffer.from(bytes).toString()
        done(written)
      }
      if (state.reads) write(true)
      else state.wait = write
    },
    interrupt(done) {
      state.interrupts++
      done(true)
    },
    endInput: () => {
      state.ended = true
      return true
    },
  }
  return { state, program }
}

const answers = () => {
  const list: string[] = []
  return { list, as: (name: string) => (result: string) => void list.push(`${name} ${result}`) }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('inputs', () => {
  it('[TERM-16] are written once each, in order, in pieces', async () => {
    const { state, program } = slowProgram()
    const { list, as } = answers()
    const inputs = createInputs(program)
    inputs.take('a', '1', Buffer.from('x'.repeat(10_000)), as('a1'))
    inputs.take('b', '1', Buffer.from('B'), as('b1'))
    inputs.take('a', '1', Buffer.from('again'), as('a1 again'))
    while (list.length < 3) await turn()
    inputs.take('a', '1', Buffer.from('again'), as('a1 later'))
    expect(state.written).toBe('x'.repeat(10_000) + 'B')
    expect(list).toEqual(['a1 done', 'a1 again duplicate', 'b1 done', 'a1 later duplicate'])
  })

  it('remember the last 1000 ids of each client', async () => {
    const { state, program } = slowProgram()
    const inputs = createInputs(program)
    const { list, as } = answers()
    inputs.take('other', '0', Buffer.from('o'), as('o'))
    for (let id = 0; id <= 1000; id++) inputs.take('a', String(id), Buffer.from('.'), as('a'))
    list.length = 0
    inputs.take('a', '1', Buffer.from('!'), as('1'))
    inputs.take('other', '0', Buffer.from('!'), as('o'))
    expect(list).toEqual(['1 duplicate', 'o duplicate'])
    inputs.take('a', '0', Buffer.from('?'), as('0'))
    expect(list.at(-1)).toBe('0 done')
    expect(state.written).toBe(`o${'.'.repeat(1001)}?`)
  })

  it('pass by with Ctrl-C, wait with everything else, and are refused when too much waits', async () => {
    const { state, program } = slowProgram()
    const inputs = createInputs(program)
    const { list, as } = answers()
    state.reads = false
    inputs.take('a', '1', Buffer.alloc(8 << 20, 'p'), as('paste'))
    inputs.take('a', '2', Buffer.of(3), as('ctrl-c'))
    inputs.take('a', '3', Buffer.from('more'), as('more'))
    inputs.take('a', '2', Buffer.of(3), as('ctrl-c again'))
    expect([state.interrupts, list]).toEqual([1, ['ctrl-c done', 'more full', 'ctrl-c again duplicate']])
    inputs.close()
    expect(list.slice(3)).toEqual(['paste ended'])
    inputs.take('a', '3', Buffer.from('more'), as('more'))
    expect(list.at(-1)).toBe('more ended')
  })

  it('end after what waits', async () => {
    const { state, program } = slowProgram()
    const inputs = createInputs(program)
    const { list, as } = answers()
    state.reads = false
    inputs.take('a', '1', Buffer.from('last words'), as('input'))
    inputs.end(as('end'))
    expect([state.ended, list]).toEqual([false, []])
    state.wait?.(true)
    expect([state.ended, list]).toEqual([true, ['input done', 'end done']])
  })
})

describe('inputs of a real terminal', () => {
  const made = useHolder()

  it('[fault 5] an input that is sent again over another link is typed once', async () => {
    const folder = await held(made, 'stty -echo; echo ready; while read line; do echo "got $line"; done')
    const first = await linkTo(folder)
    // It stores nothing, so that the next one has it all to read.
    await readAll(first, { onPiece: () => {} }).until('ready\r\n')
    expect(await first.input('tab', 'k1', Buffer.from('one\n'))).toEqual({ ok: true, duplicate: false })
    const second = await linkTo(folder)
    const reading = readAll(second)
    expect(await second.input('tab', 'k1', Buffer.from('one\n'))).toEqual({ ok: true, duplicate: true })
    expect(await second.input('another', 'k1', Buffer.from('two\n'))).toEqual({ ok: true, duplicate: false })
    expect(await reading.until('got two\r\n')).toBe('ready\r\ngot one\r\ngot two\r\n')
  })

  it('[TERM-16] a paste of 1 MB reaches a program that reads, byte by byte the same', async () => {
    const link = await linkTo(await held(made, 'stty raw -echo; echo ready; head -c 1000000 | sha256sum'))
    const reading = readAll(link)
    await reading.until('ready')
    const paste = Buffer.alloc(1_000_000, 'every line of this paste is the same\n')
    for (let at = 0, id = 0; at < paste.length; at += 250_000, id++) void link.input('tab', `p${id}`, paste.subarray(at, at + 250_000))
    await reading.over
    const hash = await crypto.subtle.digest('SHA-256', paste)
    expect(reading.text()).toContain(Buffer.from(hash).toString('hex'))
  })

  for (const [what, setting] of [
    ['in lines', 'stty -echo'],
    ['echoed', 'stty echo'],
  ] as const) {
    it(`[TERM-16] Ctrl-C goes past a paste that nobody reads (${what}), and output goes on meanwhile`, async () => {
      const link = await linkTo(await held(made, `${setting}; trap 'echo interrupted; exit 9' INT; echo ready; while :; do echo tick; sleep 0.05; done`))
      const reading = readAll(link)
      await reading.until('ready')
      const paste = link.input('tab', 'paste', Buffer.alloc(400_000, 'a line that nobody reads\n'))
      await reading.until(new RegExp(`(tick[^]*){${(reading.text().match(/tick/g)?.length ?? 0) + 3}}`))
      expect(await link.input('tab', 'ctrl-c', Buffer.of(3))).toEqual({ ok: true, duplicate: false })
      expect(await reading.over).toMatchObject({ exitCode: 9 })
      expect(reading.text()).toContain('interrupted')
      expect(await paste).toEqual({ ok: false, reason: 'ended' })
    })
  }

  it('Ctrl-C is a byte like others where the terminal says so', async () => {
    const link = await linkTo(await held(made, `stty raw -echo; trap 'echo interrupted' INT; echo ready; head -c 5 | od -An -tx1`))
    const reading = readAll(link)
    await reading.until('ready')
    for (const [id, text] of [...'ab\x03cd'].entries()) await link.input('tab', String(id), Buffer.from(text))
    await reading.over
    expect(reading.text()).toMatch(/61 62 03 63 64/)
    expect(reading.text()).not.toContain('interrupted')
  })
})
