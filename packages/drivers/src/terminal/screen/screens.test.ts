import { afterEach, describe, expect, test } from 'vitest'
import type { Attention } from './attention.ts'
import { createMarkedScreen } from './marked-screen.ts'
import type { FromWorker } from './messages.ts'
import { createScreen } from './screen.ts'
import { ScreenError, WINDOW_BYTES, createScreens, type Screens } from './screens.ts'
import { createShelf } from './shelf.ts'
import { bytesOf } from './testing/twins.ts'

const SIZE = { cols: 20, rows: 6 }

let opened: Screens | undefined
afterEach(() => opened?.close())

function start(options: { maxHeapMb?: number } = {}): { screens: Screens; replies: string[]; calls: Attention[]; lost: Promise<ScreenError> } {
  const replies: string[] = []
  const calls: Attention[] = []
  let onLost: (error: ScreenError) => void = () => undefined
  const lost = new Promise<ScreenError>(resolve => {
    onLost = resolve
  })
  const screens = createScreens({
    onReply: (id, text) => replies.push(`${id} ${text}`),
    onAttention: (_id, attention) => calls.push(attention),
    onLost: error => onLost(error),
    ...options,
  })
  opened = screens
  return { screens, replies, calls, lost }
}

describe('screens on their thread', () => {
  test('[TERM-12] are written, resized, read and restored, each under its own id', async () => {
    const { screens } = start()
    await Promise.all([screens.open('a', SIZE), screens.open('b', SIZE)])
    await screens.write('a', 1, bytesOf('one \x1b[31mred'), false)
    await screens.write('b', 7, bytesOf('two'), false)
    await screens.resize('a', 2, { cols: 30, rows: 5 })
    const snapshot = await screens.snapshot('a')
    const expected = createScreen(SIZE)
    expected.write(bytesOf('one \x1b[31mred'))
    expected.resize(30, 5)
    expect(snapshot).toEqual({ mark: 2, state: expected.snapshot() })
    await screens.drop('a')
    await screens.open('a', SIZE, snapshot)
    await screens.write('a', 3, bytesOf(' still'), false)
    expect(await screens.text('a')).toBe('one red still\n')
    expect(await screens.text('b')).toBe('two\n')
    expect((await screens.snapshot('a'))?.mark).toBe(3)
  })

  test('[fault 23] answer and call at the live edge only', async () => {
    const { screens, replies, calls } = start()
    await screens.open('a', SIZE)
    await screens.write('a', 1, bytesOf('\x1b[c\x07'), false)
    await screens.text('a')
    expect([replies, calls]).toEqual([[], []])
    await screens.write('a', 2, bytesOf('\x1b[5n\x07'), true)
    await screens.text('a')
    expect(replies).toEqual(['a \x1b[0n'])
    expect(calls).toEqual([{ reason: 'bell' }])
  })

  test('[TERM-14] a writer waits once the window is full, and is let go as it drains', async () => {
    const { screens } = start()
    await screens.open('a', SIZE)
    const chunk = bytesOf('y\r\n'.repeat(16 * 1024))
    let settled = 0
    const writes = Array.from({ length: 40 }, (_, index) => screens.write('a', index + 1, chunk, false).then(() => settled++))
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
    // Nothing was parsed yet: only what fits was taken.
    expect(settled).toBeLessThanOrEqual(Math.ceil(WINDOW_BYTES / chunk.length))
    expect(settled).toBeGreaterThan(0)
    await Promise.all(writes)
    expect((await screens.snapshot('a'))?.mark).toBe(40)
  })

  test('leave the memory of the caller alone', async () => {
    const { screens } = start()
    await screens.open('a', SIZE)
    const bytes = Buffer.from('kept')
    await screens.write('a', 1, bytes, false)
    bytes.fill(0x78)
    expect(bytes.toString()).toBe('xxxx')
    expect(await screens.text('a')).toBe('kept\n')
  })

  test('an unknown one is an error by name', async () => {
    const { screens } = start()
    await expect(screens.text('none')).rejects.toMatchObject({ reason: 'unknown' })
    await screens.open('a', SIZE)
    await expect(screens.snapshot('none')).rejects.toMatchObject({ reason: 'unknown' })
    await screens.drop('none')
    await screens.drop('a')
    await screens.write('a', 1, bytesOf('x'), false)
    await expect(screens.text('a')).rejects.toMatchObject({ reason: 'unknown' })
    await expect(screens.write('a', 2, bytesOf('x'), false)).rejects.toMatchObject({ reason: 'unknown' })
  })

  test('a crash of the thread fails what waits, says so once, and the next open starts another', async () => {
    const { screens, lost } = start({ maxHeapMb: 16 })
    // More screens than the heap has room for.
    const many = Array.from({ length: 150 }, async (_, index) => {
      await screens.open(`s${index}`, { cols: 200, rows: 50 })
      for (let part = 0; part < 8; part++) await screens.write(`s${index}`, part + 1, bytesOf('漢e\u0301\x1b[31mx\r\n'.repeat(4000)), false)
      return screens.text(`s${index}`)
    })
    const outcomes = await Promise.allSettled(many)
    expect((await lost).reason).toBe('lost')
    const refused = outcomes.filter(outcome => outcome.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const { reason } of refused) expect(reason).toBeInstanceOf(ScreenError)
    await screens.open('again', SIZE)
    await screens.write('again', 1, bytesOf('rebuilt'), false)
    expect(await screens.text('again')).toBe('rebuilt\n')
  })

  test('closed ones refuse', async () => {
    const { screens } = start()
    await screens.open('a', SIZE)
    const waits = screens.snapshot('a')
    const closing = screens.close()
    await Promise.allSettled([waits])
    await closing
    await expect(screens.text('a')).rejects.toMatchObject({ reason: 'closed' })
    await screens.close()
  })
})

describe('[TERM-12] [fault 28] a snapshot is cut', () => {
  test('at the last mark at which nothing was left over', () => {
    const screen = createMarkedScreen(SIZE)
    screen.write(1, bytesOf('one'), false)
    // Nothing of this can be shown yet: the cut stays where it was.
    screen.write(2, bytesOf('\x1b['), false)
    screen.write(3, bytesOf('3'), false)
    expect(screen.snapshot()?.mark).toBe(1)
    screen.write(4, bytesOf('1mtwo'), false)
    expect(screen.snapshot()?.mark).toBe(4)
    // Here some was shown, and the rest was not.
    screen.write(5, bytesOf('three\x1b[0'), false)
    expect(screen.snapshot()).toBeUndefined()
    screen.write(6, bytesOf('m'), false)
    expect(screen.snapshot()?.mark).toBe(6)
  })

  test('not inside a sequence too long to be held, and after it again', () => {
    const screen = createMarkedScreen(SIZE)
    screen.write(1, bytesOf('image'), false)
    for (let part = 2; part < 12; part++) screen.write(part, bytesOf(`${part === 2 ? '\x1bPq' : ''}${'#0;2;0;0;0'.repeat(1000)}`), false)
    expect(screen.snapshot()).toBeUndefined()
    screen.write(12, bytesOf('\x1b\\done'), false)
    expect(screen.snapshot()?.mark).toBe(12)
    expect(screen.text({})).toBe('imagedone\n')
  })

  test('after a resize', () => {
    const screen = createMarkedScreen(SIZE)
    screen.write(1, bytesOf('one'), false)
    screen.resize(2, { cols: 10, rows: 4 })
    expect(screen.snapshot()).toMatchObject({ mark: 2, state: { cols: 10, rows: 4 } })
    screen.write(3, bytesOf('\x1b[3'), false)
    screen.resize(4, { cols: 12, rows: 4 })
    expect(screen.snapshot()).toBeUndefined()
    screen.write(5, bytesOf('1m'), false)
    expect(screen.snapshot()).toMatchObject({ mark: 5, state: { cols: 12, rows: 4 } })
  })
})

test('a screen that fails takes no other with it', () => {
  const posted: FromWorker[] = []
  const receive = createShelf(message => posted.push(message))
  receive({ type: 'open', id: 'good', request: 1, size: SIZE })
  receive({ type: 'open', id: 'bad', request: 2, size: SIZE, from: { mark: 1, state: { ...SIZE, screen: undefined as unknown as string } } })
  receive({ type: 'text', id: 'bad', request: 3, options: {} })
  receive({ type: 'text', id: 'good', request: 4, options: {} })
  expect(posted.map(message => message.type)).toEqual(['answer', 'refused', 'refused', 'answer'])
})
