import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/protocol'
import { UnreachableError } from './api.ts'
import type { Io } from './io.ts'

/** Pauses between tries, ms: a restart of the server takes about this long. */
const PAUSES_MS = [200, 500, 1000, 2000, 4000]
/** Once the server has answered it is known to be there, and is waited for: what comes through a pipe comes only once. */
const PATIENT_PAUSES_MS = [...PAUSES_MS, ...Array<number>(75).fill(4000)]

export interface Persistence {
  readonly pausesMs?: readonly number[]
  /** The server has answered this command before. */
  readonly wasReached?: boolean
}

/** Tries again what failed for a reason that may pass (the caller sees to it that a repeat is harmless); rejects with the last failure. */
export async function persistently<T>(work: () => Promise<T>, io: Pick<Io, 'signal' | 'err'>, { pausesMs, wasReached = false }: Persistence = {}): Promise<T> {
  const pauses = pausesMs ?? (wasReached ? PATIENT_PAUSES_MS : PAUSES_MS)
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const pause = pauses[tries]
      if (pause === undefined || io.signal.aborted || !mayPass(error, wasReached || tries > 0)) throw error
      if (wasReached && tries === PAUSES_MS.length) io.err('— The server does not answer; trying again for five minutes…\n')
      await sleep(pause, undefined, { signal: io.signal })
    }
  }
}

/** A server that was never reached is not waited for: it is not running, and saying so at once is kinder. */
const mayPass = (error: unknown, wasTried: boolean): boolean =>
  error instanceof HoldfastError ? error.retryable : error instanceof UnreachableError && (wasTried || codeOf(error) !== 'ECONNREFUSED')

const codeOf = (error: Error): unknown => (error.cause as { cause?: { code?: unknown } } | undefined)?.cause?.code
