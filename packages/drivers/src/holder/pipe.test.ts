import { describe, expect, it } from 'vitest'
import { held, linkTo, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

const made = useHolder()

describe('a program with pipes', () => {
  it('speaks lines over stdin and stdout, apart from stderr', async () => {
    const script = 'echo note >&2; while read line; do echo "{\\"got\\":\\"$line\\"}"; done; echo end >&2; exit 2'
    const link = await linkTo(await held(made, script, { mode: 'pipe' }))
    const reading = readAll(link)
    expect(await link.input('server', '1', Buffer.from('one\ntwo\n'))).toEqual({ ok: true, duplicate: false })
    expect(await link.input('server', '1', Buffer.from('one\ntwo\n'))).toEqual({ ok: true, duplicate: true })
    await reading.until('{"got":"two"}\n')
    expect(await link.resize(80, 24)).toBeUndefined()
    expect(await link.endInput()).toEqual({ ok: true, duplicate: false })
    expect(await reading.over).toEqual({ exitCode: 2, signal: null, endOffset: reading.end(0), stderrEndOffset: reading.end(1) })
    expect(reading.text(0)).toBe('{"got":"one"}\n{"got":"two"}\n')
    expect(reading.text(1)).toBe('note\nend\n')
  })

  it('tells the signal that ended it', async () => {
    const link = await linkTo(await held(made, 'echo ready; exec sleep 100', { mode: 'pipe' }))
    const reading = readAll(link)
    await reading.until('ready')
    expect(await link.signal('SIGTERM')).toBe(true)
    expect(await reading.over).toMatchObject({ exitCode: null, signal: 'SIGTERM' })
  })

  it('is over though a child of its own keeps the pipes open', async () => {
    const link = await linkTo(await held(made, 'echo ready; read line; sleep 100 & echo last; exit 0', { mode: 'pipe', exitGraceMs: 50 }))
    const reading = readAll(link)
    await link.input('c', '1', Buffer.from('\n'))
    expect(await reading.over).toMatchObject({ exitCode: 0 })
    expect(reading.text()).toBe('ready\nlast\n')
  })

  it('waits when nobody commits what it prints, on either stream', async () => {
    const link = await linkTo(await held(made, 'echo go; yes >&2', { mode: 'pipe', spoolBytes: 100_000 }))
    const reading = readAll(link, { onPiece: (end, _bytes, stream) => stream === 0 && link.ack(end) })
    await reading.until('go')
    let before = -1
    for (let now = 0; now !== before; ) {
      before = now
      // Twice the same end, with answers from the holder between, is standing still.
      for (let turn = 0; turn < 50; turn++) await link.ping()
      now = reading.end(1)
    }
    expect(before).toBeGreaterThanOrEqual(100_000)
    expect(before).toBeLessThan(500_000)
    link.kill()
    expect(await reading.over).toMatchObject({ signal: 'SIGHUP' })
  })
})
