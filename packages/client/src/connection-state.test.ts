import { HoldfastError } from '@holdfast/protocol/wire'
import { describe, expect, test } from 'vitest'
import { type ConnectionInput, type ConnectionState, connectionAfter, DEFAULT_POLICY, initialConnection, upgradeInMs } from './connection-state.ts'
import { type Failure, transportFailure } from './failure.ts'

const rules = { policy: { ...DEFAULT_POLICY, baseMs: 100, capMs: 1000, maxTries: 5 }, transports: 3 }
const cut = transportFailure('cut', 'cut')
const refusal = (code: 'unauthorized' | 'rate_limited', retryable: boolean): Failure => ({ error: new HoldfastError(code, code), retryable })
const lost = (failure: Failure = cut, online = true): ConnectionInput => ({ type: 'lost', failure, roll: 0.5, online })
const run = (inputs: readonly ConnectionInput[], from: ConnectionState = initialConnection): ConnectionState =>
  inputs.reduce((state, input) => connectionAfter(state, input, rules), from)

const open: readonly ConnectionInput[] = [{ type: 'wanted' }, { type: 'opened' }, { type: 'heard' }]

describe('connection state', () => {
  test('[CLI-01] a transport that does not open gives way to the next one, around and around', () => {
    const names: number[] = []
    let state = run([{ type: 'wanted' }])
    for (let tries = 0; tries < 4; tries++) {
      state = run([lost(), { type: 'due' }], state)
      names.push(state.transport)
    }
    expect(names).toEqual([0, 1, 1, 2])
  })

  test('[CLI-01] a transport that has worked before is given twice the chances', () => {
    const patient = { ...rules, policy: { ...rules.policy, maxTries: 30 } }
    let state = run([...open, { type: 'progress' }])
    const names: number[] = []
    for (let tries = 0; tries < 5; tries++) {
      state = connectionAfter(connectionAfter(state, lost(), patient), { type: 'due' }, patient)
      names.push(state.transport)
    }
    expect(names).toEqual([0, 0, 0, 0, 1])
  })

  test('[CLI-01] after the maximum of tries it has failed, and only reconnect() tries again, with the first transport', () => {
    const failed = run([{ type: 'wanted' }, ...Array.from({ length: 5 }, () => [lost(), { type: 'due' } as const]).flat()])
    expect(failed).toMatchObject({ phase: 'failed', tries: 5, failure: cut })
    expect(run([{ type: 'due' }, { type: 'wanted' }], failed)).toBe(failed)
    expect(run([{ type: 'reconnect' }], failed)).toMatchObject({ phase: 'connecting', tries: 0, transport: 0 })
  })

  test('[CLI-01] tries are not used up while the machine is offline', () => {
    const away = run([{ type: 'wanted' }, ...Array.from({ length: 9 }, () => [lost(cut, false), { type: 'due' } as const]).flat()])
    expect(away.phase).toBe('connecting')
  })

  test('[CLI-01] only progress starts the count again: a connection that opens and dies does not', () => {
    const again = [lost(), { type: 'due' } as const, { type: 'opened' } as const, { type: 'heard' } as const]
    expect(run([...open, ...again, ...again])).toMatchObject({ phase: 'open', tries: 2 })
    expect(run([...open, ...again, ...again, { type: 'progress' }])).toMatchObject({ tries: 0, failure: undefined })
  })

  test('[CLI-01] the wait is full jitter of the tries, or what the server says', () => {
    expect(run([...open, lost()])).toMatchObject({ phase: 'waiting', delayMs: 50 })
    expect(run([...open, lost({ ...cut, retryInMs: 777 })])).toMatchObject({ delayMs: 777, tries: 1 })
  })

  test('[CLI-01] a goaway costs no try and no strike', () => {
    expect(run([...open, lost({ ...cut, planned: true, retryInMs: 12 })])).toMatchObject({ phase: 'waiting', delayMs: 12, tries: 0, strikes: 0 })
  })

  test('[CLI-01] what the table calls final fails at once; a refusal in words is no strike against the transport', () => {
    expect(run([{ type: 'wanted' }, lost(refusal('unauthorized', false))]).phase).toBe('failed')
    expect(run([{ type: 'wanted' }, lost(refusal('rate_limited', true)), { type: 'due' }, lost(refusal('rate_limited', true))])).toMatchObject({
      transport: 0,
      strikes: 0,
    })
  })

  test('[CLI-01] a chance for the first transport that fails goes back to the one that worked, at once', () => {
    const fallen = run([{ type: 'wanted' }, lost(), { type: 'due' }, lost(), { type: 'due' }, { type: 'opened' }, { type: 'heard' }])
    expect(fallen.transport).toBe(1)
    const chance = run([{ type: 'upgrade' }], fallen)
    expect(chance).toMatchObject({ phase: 'connecting', transport: 0 })
    expect(run([lost()], chance)).toMatchObject({ phase: 'connecting', transport: 1, upgrades: 1 })
    const taken = run([{ type: 'opened' }, { type: 'heard' }], chance)
    expect(taken).toMatchObject({ transport: 0, returnTo: undefined, upgrades: 1 })
    expect(run([{ type: 'progress' }], taken)).toMatchObject({ transport: 0, upgrades: 0 })
  })

  test('[CLI-01] where the first transport has worked before, its chance comes soon; later after each that was vain', () => {
    const policy = { ...DEFAULT_POLICY, stableMs: 5_000, upgradeMs: 300_000 }
    const patient = { policy: { ...policy, maxTries: 100 }, transports: 3 }
    const fall = (from: ConnectionState, times: number): ConnectionState => {
      let state = from
      for (let tries = 0; tries < times; tries++) state = connectionAfter(connectionAfter(state, lost(), patient), { type: 'due' }, patient)
      return connectionAfter(connectionAfter(state, { type: 'opened' }, patient), { type: 'heard' }, patient)
    }
    const never = fall(run([{ type: 'wanted' }]), 2)
    expect([never.transport, upgradeInMs(never, policy)]).toEqual([1, 300_000])
    let state = fall(run([...open, { type: 'progress' }]), 5)
    const waits: number[] = []
    for (let chance = 0; chance < 12; chance++) {
      waits.push(upgradeInMs(state, policy))
      state = run([{ type: 'upgrade' }, lost(), { type: 'opened' }, { type: 'heard' }], state)
    }
    expect(waits.slice(0, 4)).toEqual([5_000, 10_000, 20_000, 40_000])
    expect(waits.at(-1)).toBe(4_800_000)
    // One that opens and dies again does not start the count anew.
    const dies = run([{ type: 'upgrade' }, { type: 'opened' }, { type: 'heard' }], never)
    expect(dies.upgrades).toBe(1)
  })

  test('[CLI-01] states are values: no input changes one that was given out', () => {
    const inputs: ConnectionInput[] = [
      ...open,
      { type: 'progress' },
      lost(),
      { type: 'due' },
      { type: 'upgrade' },
      { type: 'reconnect' },
      { type: 'unwanted' },
      { type: 'close' },
    ]
    let state: ConnectionState = initialConnection
    for (const input of inputs) {
      const before = JSON.stringify(state)
      const next = connectionAfter(Object.freeze(state), input, rules)
      expect(JSON.stringify(state)).toBe(before)
      state = next
    }
    expect(run([{ type: 'wanted' }, { type: 'reconnect' }], state)).toBe(state)
  })
})
