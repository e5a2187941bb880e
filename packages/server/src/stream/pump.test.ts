import type { Attachment, Delivery } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import { expect, test } from 'vitest'
import { createPump, type Source } from './pump.ts'

const control = (name: string): Delivery => ({ type: 'control', message: { type: name, header: {}, payload: {} } })
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** An attachment whose pulls are given by the test. */
function scripted(pull: () => ReturnType<Attachment['pull']>): Source & { wake(): void; closed: boolean } {
  let listener = (): void => undefined
  const source = {
    closed: false,
    wake: () => listener(),
    attachment: {
      sessionId: 's',
      head: 0,
      cursor: 0,
      starved: false,
      pull,
      onWake: (added: () => void) => {
        listener = added
      },
      credit: () => undefined,
      close: () => {
        source.closed = true
      },
    },
  }
  return source
}

test('[fault 1] a wake while a pull is under way is not lost, also where that pull then gives nothing', async () => {
  let finish: (delivery: Delivery | undefined) => void = () => undefined
  const given: (Delivery | undefined | 'later')[] = ['later', control('second'), undefined]
  const source = scripted(() => {
    const next = given.shift()
    return next === 'later'
      ? new Promise(resolve => {
          finish = resolve
        })
      : next
  })
  const sent: string[] = []
  const pump = createPump<Source>({ send: (_, delivery) => sent.push(delivery.type === 'control' ? delivery.message.type : delivery.type) > 0 })
  pump.add(source)
  source.wake()
  finish(undefined)
  await turn()
  await turn()
  expect(sent).toEqual(['second'])
})

test('[fault 33] sources take turns, and a full connection stops all of them until it drains', async () => {
  const endless = (name: string): Source => scripted(() => control(name))
  const sent: string[] = []
  let room = 10
  const pump = createPump<Source>({
    send: (_, delivery) => {
      sent.push(delivery.type === 'control' ? delivery.message.type : '')
      return --room > 0
    },
  })
  pump.add(endless('a'))
  expect(pump.isFull).toBe(true)
  pump.add(endless('b'))
  expect(sent).toHaveLength(10)
  room = 20
  pump.drained()
  await turn()
  await turn()
  await turn()
  const rest = sent.slice(10)
  expect(rest).toHaveLength(20)
  expect(rest.filter(name => name === 'a').length).toBe(10)
  expect(rest.some((name, index) => name === rest[index - 1])).toBe(false)
  pump.close()
})

test('a pull that fails ends its source with a typed error, the others go on', async () => {
  const ends: unknown[] = []
  const pump = createPump<Source>({
    send: (_, delivery) => {
      if (delivery.type === 'end') ends.push(delivery.error.code)
      return true
    },
  })
  pump.add(scripted(() => Promise.reject(new Error('odd'))))
  pump.add(scripted(() => Promise.reject(new HoldfastError('storage_failed', 'x'))))
  await turn()
  expect(ends).toEqual(['internal', 'storage_failed'])
})

test('nothing is sent for a source that was removed, or after the close', async () => {
  const sent: unknown[] = []
  const finishers: ((delivery: Delivery) => void)[] = []
  const pump = createPump<Source>({ send: () => sent.push(1) > 0 })
  const pending = (): Promise<Delivery> => new Promise(resolve => finishers.push(resolve))
  const [removed, closed] = [scripted(pending), scripted(pending)]
  pump.add(removed)
  pump.add(closed)
  pump.remove(removed)
  pump.close()
  for (const finish of finishers) finish(control('late'))
  await turn()
  expect([sent, removed.closed, closed.closed]).toEqual([[], true, true])
})
