import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from './case.ts'
import { BENCH } from './paths.ts'
import type { GroupOptions, Latencies } from './reader-group.ts'
import type { ReaderAnswer, ReaderRequest } from './reader-main.ts'

/** A process that holds readers. */
export interface Readers {
  /** Resolves when all of the group are attached. */
  open(options: GroupOptions): Promise<Group>
}

/** Every wait rejects where a reader saw a hole, a repeat or a lost connection. */
export interface Group {
  /** The moment (µs of the monotonic clock) at which the last reader has event `number`. */
  reached(number: number): Promise<number>
  latencies(): Promise<Latencies>
  closes(): Promise<number>
  close(): Promise<void>
}

type Body<T> = T extends ReaderRequest ? Omit<T, 'id'> : never

/** `sockets`: how many there will be at once; throws where a process may not have as many. */
export function startReaders(context: Context, sockets: number): Readers {
  const allowed = Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  // Node raises the soft limit to the hard one by itself.
  if (allowed < sockets + 100) throw new Error(`${sockets} readers need as many file descriptors and some; the limit is ${allowed} (ulimit -Hn)`)
  const child = fork(join(BENCH, 'lib/reader-main.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let failure: Error | undefined
  let requests = 0
  let groups = 0
  const fail = (why: string): void => {
    failure ??= new Error(why)
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  child.on('message', (answer: ReaderAnswer) => {
    if ('failure' in answer) return fail(answer.failure)
    waiting.get(answer.id)?.resolve(answer.value)
    waiting.delete(answer.id)
  })
  child.once('exit', code => fail(`the readers' process ended with ${code}`))
  process.once('exit', () => child.kill('SIGKILL'))
  context.defer(() => child.kill('SIGKILL'))

  const ask = (request: Body<ReaderRequest>): Promise<unknown> => {
    if (failure) return Promise.reject(failure)
    const id = ++requests
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      child.send({ ...request, id })
    })
  }
  return {
    async open(options) {
      const group = ++groups
      await ask({ act: 'open', group, options })
      return {
        reached: async number => (await ask({ act: 'reached', group, number })) as number,
        latencies: async () => (await ask({ act: 'latencies', group })) as Latencies,
        closes: async () => (await ask({ act: 'closes', group })) as number,
        close: async () => void (await ask({ act: 'close', group })),
      }
    },
  }
}
