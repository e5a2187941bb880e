import { createManualClock } from '@holdfast/testkit/fake-server'
import { describe, expect, test } from 'vitest'
import { createCreditMeter } from './credit.ts'

describe('credit', () => {
  test('[fault 16] a reader that has taken all says so soon, since a large event may be waiting for the window', () => {
    const clock = createManualClock()
    const sent: number[] = []
    const meter = createCreditMeter(clock, 10_000, seq => sent.push(seq))
    meter.applied(1, 100, false)
    meter.applied(2, 100, true)
    expect(sent).toEqual([])
    clock.advance(50)
    expect(sent).toEqual([2])
  })

  test('[fault 16] half a window is credited at once, counted as the longest UTF-8 that the text could be', () => {
    const sent: number[] = []
    const meter = createCreditMeter(createManualClock(), 6000, seq => sent.push(seq))
    meter.applied(1, 999, false)
    meter.applied(2, 1, false)
    meter.applied(3, 999, false)
    expect(sent).toEqual([2])
  })

  test('[fault 16] a new attachment owes nothing for the one before', () => {
    const clock = createManualClock()
    const sent: number[] = []
    const meter = createCreditMeter(clock, 6000, seq => sent.push(seq))
    meter.applied(1, 10, true)
    meter.reset()
    clock.advance(1000)
    expect(sent).toEqual([])
  })
})
