import type { Clock, DriverSession } from '@holdfast/core'

/** A program that printed and then is silent for this long waits for somebody. */
const SILENCE_MS = 10_000
/** What is printed right after a bell belongs to it. */
const SETTLE_MS = 2000

/** Whether somebody should look: after a bell, a notification, or output that stopped; until something is typed or printed. */
export interface AttentionState {
  called(): void
  printed(): void
  typed(): void
  stop(): void
}

export function createAttentionState({ session, clock }: { readonly session: DriverSession; readonly clock: Clock }): AttentionState {
  let isWaiting = session.state === 'waiting'
  let sinceMs = clock.steadyMs()
  let stopSilence: () => void = () => undefined
  let isStopped = false

  const set = (waiting: boolean): void => {
    if (waiting === isWaiting || isStopped) return
    isWaiting = waiting
    sinceMs = clock.steadyMs()
    session.commit({ state: waiting ? 'waiting' : 'running' }).catch(() => undefined)
  }
  return {
    called: () => set(true),
    printed() {
      if (isStopped) return
      if (isWaiting && clock.steadyMs() - sinceMs >= SETTLE_MS) set(false)
      stopSilence()
      stopSilence = clock.after(SILENCE_MS, () => set(true))
    },
    typed: () => set(false),
    stop() {
      isStopped = true
      stopSilence()
    },
  }
}
