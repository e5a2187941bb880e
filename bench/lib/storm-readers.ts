import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { Context } from './case.ts'
import { BENCH } from './paths.ts'
import type { StormAnswer, StormRequest } from './storm-main.ts'
import type { StormSide } from './storm-reader.ts'

/** Readers in a process of their own. Every wait rejects where one saw a hole, a repeat or a refusal. */
export interface StormReaders {
  /** Resolves with the moment (µs of the monotonic clock) at which the last reader had caught up; at `deadlineMs` from now with undefined. */
  allCaughtUp(deadlineMs: number): Promise<number | undefined>
  /** Call before the kill: from now on all have to catch up again. */
  lose(): void
  /** Resolves with true when all readers of the i-th path have event `heads[i]`; with false after `deadlineMs`. */
  reached(heads: readonly number[], deadlineMs: number): Promise<boolean>
  /** How many have caught up. */
  readonly caughtUp: number
  close(): void
}

/** Opens `count` readers, spread evenly over `paths`. */
export function startStormReaders(context: Context, side: StormSide, paths: readonly string[], count: number): StormReaders {
  const child = fork(join(BENCH, 'lib/storm-main.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  let failure: Error | undefined
  let caughtUp = 0
  let caughtUpAt: number | undefined
  let hasReached = false
  let changed: () => void = () => undefined
  const fail = (why: string): void => {
    failure ??= new Error(why)
    changed()
  }
  child.on('message', (answer: StormAnswer) => {
    if (answer.about === 'failure') return fail(answer.why)
    if (answer.about === 'progress') caughtUp = answer.caughtUp
    else if (answer.about === 'caughtUp') caughtUpAt = answer.atUs
    else hasReached = true
    changed()
  })
  let isClosed = false
  child.once('exit', code => isClosed || fail(`the readers' process ended with ${code}`))
  const send = (request: StormRequest): void => void child.send(request)
  const until = <T>(found: () => T | undefined, deadlineMs: number): Promise<T | undefined> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(undefined), deadlineMs)
      changed = () => {
        const value = found()
        if (!failure && value === undefined) return
        clearTimeout(timer)
        if (failure) reject(failure)
        else resolve(value)
      }
      changed()
    })
  const close = (): void => {
    isClosed = true
    process.off('exit', kill)
    kill()
  }
  context.defer(close)
  send({ act: 'open', side, paths, count })
  return {
    allCaughtUp: deadlineMs => until(() => caughtUpAt, deadlineMs),
    lose() {
      caughtUpAt = undefined
      send({ act: 'lose' })
    },
    async reached(heads, deadlineMs) {
      hasReached = false
      send({ act: 'reach', heads })
      return (await until(() => hasReached || undefined, deadlineMs)) ?? false
    },
    get caughtUp() {
      return caughtUp
    },
    close,
  }
}
