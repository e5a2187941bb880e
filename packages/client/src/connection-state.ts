import { HoldfastError } from '@holdfast/protocol/wire'
import { type BackoffPolicy, backoffMs } from './backoff.ts'
import type { Failure } from './failure.ts'

/** How a client's connection behaves; every number can be set. Durations in ms. */
export interface ConnectionPolicy extends BackoffPolicy {
  /** Failures in a row without progress, after which only `reconnect()` tries again. */
  readonly maxTries: number
  /** Strikes of a transport that never worked, after which the next one is tried; one that did work gets twice as many. */
  readonly strikes: number
  /** From the start of a try until the server's first message. */
  readonly connectMs: number
  /** A connection that lived this long was a good one. */
  readonly stableMs: number
  /** A lesser transport gives the first one another chance after this long (`stableMs` where that has worked before); doubled after each vain chance. */
  readonly upgradeMs: number
  /** Without any message for this many heartbeats the connection counts as dead (contract section 3). */
  readonly silentHeartbeats: number
  /** After `online` or becoming visible, an open connection must show life within this time. */
  readonly probeMs: number
}

export const DEFAULT_POLICY: ConnectionPolicy = {
  baseMs: 250,
  capMs: 30_000,
  maxTries: 30,
  strikes: 2,
  connectMs: 10_000,
  stableMs: 5_000,
  upgradeMs: 5 * 60_000,
  silentHeartbeats: 2.5,
  probeMs: 5_000,
}

interface Common {
  /** Counts connections begun; each one has its own channel. */
  readonly attempt: number
  /** Place in the list of transports. */
  readonly transport: number
  /** Failures in a row, without progress between them. */
  readonly tries: number
  /** What speaks against the current transport. */
  readonly strikes: number
  /** Bit set of the transports that have delivered something before. */
  readonly proven: number
  /** The transport to go back to when this chance for the first one fails. */
  readonly returnTo: number | undefined
  /** Vain chances given to the first transport. */
  readonly upgrades: number
  /** Why the last connection ended; gone once there is progress. */
  readonly failure: Failure | undefined
}

/** A connection's state: immutable, each input gives the next one. */
export type ConnectionState =
  | (Common & { readonly phase: 'idle' })
  | (Common & { readonly phase: 'connecting' })
  | (Common & { readonly phase: 'open'; readonly heard: boolean })
  | (Common & { readonly phase: 'waiting'; readonly delayMs: number })
  | (Common & { readonly phase: 'failed'; readonly failure: Failure })
  | (Common & { readonly phase: 'closed' })

export type ConnectionInput =
  /** Somebody wants to be connected. */
  | { readonly type: 'wanted' }
  /** Nobody does any more. */
  | { readonly type: 'unwanted' }
  | { readonly type: 'opened' }
  /** The server's first message. */
  | { readonly type: 'heard' }
  /** Somebody got further than before, or the connection has lived long. */
  | { readonly type: 'progress' }
  | { readonly type: 'lost'; readonly failure: Failure; readonly roll: number; readonly online: boolean }
  /** The wait is over, or there is reason to hope (online, visible). */
  | { readonly type: 'due' }
  /** The first transport gets another chance. */
  | { readonly type: 'upgrade' }
  /** Asked for by hand. */
  | { readonly type: 'reconnect' }
  | { readonly type: 'close' }

export interface ConnectionRules {
  readonly policy: ConnectionPolicy
  /** How many transports there are. */
  readonly transports: number
}

export const initialConnection: ConnectionState = {
  phase: 'idle',
  attempt: 0,
  transport: 0,
  tries: 0,
  strikes: 0,
  proven: 0,
  returnTo: undefined,
  upgrades: 0,
  failure: undefined,
}

const connecting = (state: ConnectionState, change: Partial<Common> = {}): ConnectionState => ({
  ...common(state),
  ...change,
  phase: 'connecting',
  attempt: state.attempt + 1,
})

const common = (state: ConnectionState): Common => ({
  attempt: state.attempt,
  transport: state.transport,
  tries: state.tries,
  strikes: state.strikes,
  proven: state.proven,
  returnTo: state.returnTo,
  upgrades: state.upgrades,
  failure: state.failure,
})

/**
 * How long to stay on a lesser transport before the first one gets another chance. Where that has worked before, it was
 * most likely the server that was away, and no proxy is in the way: then soon.
 */
export function upgradeInMs(state: ConnectionState, policy: ConnectionPolicy): number {
  const worked = (state.proven & 1) !== 0
  const most = policy.upgradeMs * 16
  return Math.min(most, (worked ? Math.min(policy.stableMs, policy.upgradeMs) : policy.upgradeMs) * 2 ** Math.min(state.upgrades, 40))
}

function progressed(state: Extract<ConnectionState, { phase: 'open' }>): ConnectionState {
  const upgrades = state.transport === 0 ? 0 : state.upgrades
  if (state.tries === 0 && state.strikes === 0 && !state.failure && upgrades === state.upgrades) return state
  return { ...state, tries: 0, strikes: 0, failure: undefined, upgrades }
}

/** The next state; inputs that mean nothing in a state leave it as it is (CLI-01). */
export function connectionAfter(state: ConnectionState, input: ConnectionInput, rules: ConnectionRules): ConnectionState {
  if (state.phase === 'closed') return state
  switch (input.type) {
    case 'wanted':
      return state.phase === 'idle' ? connecting(state) : state
    case 'unwanted':
      return state.phase === 'idle' ? state : { ...common(state), phase: 'idle', tries: 0, failure: undefined }
    case 'opened':
      return state.phase === 'connecting' ? { ...common(state), phase: 'open', heard: false } : state
    case 'heard':
      if (state.phase !== 'open' || state.heard) return state
      return {
        ...state,
        heard: true,
        proven: state.proven | (1 << state.transport),
        returnTo: undefined,
        upgrades: state.returnTo === undefined ? state.upgrades : state.upgrades + 1,
      }
    case 'progress':
      return state.phase === 'open' ? progressed(state) : state
    case 'lost':
      return state.phase === 'connecting' || state.phase === 'open' ? lost(state, input, rules) : state
    case 'due':
      return state.phase === 'waiting' ? connecting(state) : state
    case 'upgrade':
      return state.phase === 'open' && state.transport > 0 ? connecting(state, { transport: 0, strikes: 0, returnTo: state.transport }) : state
    case 'reconnect':
      return connecting(state, { transport: 0, tries: 0, strikes: 0, returnTo: undefined, failure: undefined })
    case 'close':
      return { ...common(state), phase: 'closed' }
  }
}

function lost(state: ConnectionState, input: Extract<ConnectionInput, { type: 'lost' }>, { policy, transports }: ConnectionRules): ConnectionState {
  const { failure } = input
  const heard = state.phase === 'open' && state.heard
  if (!failure.retryable) return { ...common(state), phase: 'failed', failure }
  if (failure.planned) return { ...common(state), phase: 'waiting', failure, delayMs: failure.retryInMs ?? 0 }
  if (state.returnTo !== undefined && !heard) return connecting(state, { transport: state.returnTo, returnTo: undefined, upgrades: state.upgrades + 1 })
  const tries = state.tries + 1
  if (tries >= policy.maxTries && input.online) return { ...common(state), tries, phase: 'failed', failure }
  const strikes = state.strikes + strikeOf(failure, heard)
  const proven = (state.proven & (1 << state.transport)) !== 0
  const next = transports > 1 && strikes >= policy.strikes * (proven ? 2 : 1)
  const delayMs = failure.retryInMs ?? backoffMs(next ? 1 : tries, policy, input.roll)
  return {
    ...common(state),
    phase: 'waiting',
    tries,
    failure,
    delayMs,
    strikes: next ? 0 : strikes,
    transport: next ? (state.transport + 1) % transports : state.transport,
  }
}

/** A server that refuses in words was reached: its transport is fine. */
const strikeOf = (failure: Failure, heard: boolean): number => (failure.error instanceof HoldfastError ? 0 : heard ? 0.5 : 1)
