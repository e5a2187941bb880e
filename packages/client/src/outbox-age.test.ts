import { describe, expect, test } from 'vitest'
import { TransportError } from './failure.ts'
import { type Ack, createOutbox, type Outbox, type PendingInput } from './outbox.ts'
import { createMemoryStore } from './stores.ts'
import type { KeyValueStore } from './ports.ts'

const DAY = 24 * 3600 * 1000
const store0 = (): KeyValueStore => createMemoryStore()
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** An outbox on a day, with what its carrier was given. */
function outboxOn(day: { now: number }, store = store0()) {
  const sent: PendingInput[] = []
  let ids = 0
  const outbox = createOutbox({
    clock: { nowMs: () => 0, wallMs: () => day.now * DAY, after: () => () => {} },
    random: { next: () => 0, id: () => `id-${day.now}-${ids++}` },
    policy: { baseMs: 1, capMs: 1 },
    store,
    key: 'outbox',
    limits: () => ({ input_bytes: 1000, id_retention_ms: 7 * DAY }),
    onChange: () => {},
  })
  const deliver = async (input: PendingInput): Promise<Ack> => {
    sent.push(input)
    return { id: input.id, seq: sent.length, duplicate: false }
  }
  return { outbox, store, sent, online: () => outbox.addCarrier({ ready: true, deliver }) }
}
const shown = (outbox: Outbox) => outbox.pending.map(({ id, expired }) => (expired ? `${id} expired` : id))

describe('the age of pending inputs', () => {
  test('[CLI-03] [fault 7] what was kept for longer than the server keeps ids is shown as expired and not sent; the rest is', async () => {
    const day = { now: 0 }
    const first = outboxOn(day)
    const lost = first.outbox.send('chat.send', { text: 'old' }, 'old').catch(error => error as unknown)
    day.now = 5
    first.outbox.send('chat.send', { text: 'newer' }, 'newer').catch(() => {})
    await settled()
    first.outbox.close()
    expect(await lost).toBeInstanceOf(TransportError)

    day.now = 7.5
    const second = outboxOn(day, first.store)
    second.online()
    await settled()
    expect(second.sent.map(input => input.id)).toEqual(['newer'])
    expect(shown(second.outbox)).toEqual(['old expired'])
    expect(second.outbox.pending[0]).toMatchObject({ payload: { text: 'old' }, error: { reason: 'expired' } })
    second.outbox.close()

    const third = outboxOn(day, first.store)
    third.online()
    await settled()
    expect(shown(third.outbox)).toEqual(['old expired'])
    expect(third.outbox.discard('old')).toBe(true)
    await settled()
    expect(third.outbox.pending).toEqual([])
    expect(await first.store.get('outbox')).toBeUndefined()
    expect(third.sent).toEqual([])
  })

  test('[CLI-03] exactly as old as ids are kept is not too old; a page that stays open is told by its promise', async () => {
    const day = { now: 0 }
    const { outbox, sent, online } = outboxOn(day)
    await settled()
    const sending = outbox.send('chat.send', {}, 'a')
    day.now = 7
    const remove = online()
    expect(await sending).toMatchObject({ id: 'a', seq: 1 })
    remove()
    const late = outbox.send('chat.send', {}, 'b')
    day.now = 14.1
    outbox.wake()
    await expect(late).rejects.toMatchObject({ reason: 'expired' })
    expect(shown(outbox)).toEqual(['b expired'])
    expect(sent.map(input => input.id)).toEqual(['a'])
  })

  test('[CLI-03] a pending input can be taken back, one that is on its way cannot', async () => {
    const { outbox } = outboxOn({ now: 0 })
    await settled()
    outbox.addCarrier({ ready: true, deliver: () => new Promise(() => {}) })
    outbox.send('chat.send', {}, 'a').catch(() => {})
    const taken = outbox.send('chat.send', {}, 'b')
    expect(outbox.discard('a')).toBe(false)
    expect(outbox.discard('b')).toBe(true)
    await expect(taken).rejects.toMatchObject({ reason: 'closed' })
    expect(shown(outbox)).toEqual(['a'])
    expect(outbox.discard('b')).toBe(false)
  })
})
