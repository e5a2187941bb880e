import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/protocol'
import { UnreachableError } from './api.ts'
import type { Io } from './io.ts'

/** Pauses between tries, ms: a restart of the server takes about this long. */
const PAUSES_MS = [200, 500, 1000, 2000, 4000]

/** Tries again what failed for a reason that may pass (the caller sees to it that a repeat is harmless); rejects with the last failure. */
export async function persistently<T>(work: () => Promise<T>, io: Pick<Io, 'signal' | 'err'>, pausesMs: readonly number[] = PAUSES_MS): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const pause = pausesMs[tries]
      if (pause === undefined || io.signal.aborted || !mayPass(error, tries)) throw error
      await sleep(pause, undefined, { signal: io.signal })
    }
  }
}

/** A server that was never reached is not waited for: it is not running, and saying so at once is kinder. */
const mayPass = (error: unknown, tries: number): boolean =>
  error instanceof HoldfastError ? error.retryable : error instanceof UnreachableError && (tries > 0 || codeOf(error) !== 'ECONNREFUSED')

const codeOf = (error: Error): unknown => (error.cause as { cause?: { code?: unknown } } | undefined)?.cause?.code
