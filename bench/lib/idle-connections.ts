import { readFileSync } from 'node:fs'
import { openReader, type ReaderSocket } from './reader-socket.ts'

export interface IdleOptions {
  readonly kind: 'ws' | 'sse'
  readonly count: number
  /** Where the n-th goes, from 0. */
  readonly urlOf: (n: number) => string
  readonly headers?: Readonly<Record<string, string>>
  /** What tells that it is attached; without it the answer's head does. */
  readonly ready?: string
}

/** Below the backlog of a listening socket. */
const OPENING = 100

/** Opens so many connections that are attached and then have nothing to read; rejects where one is refused, throws where one ends later. */
export async function openIdle({ kind, count, urlOf, headers = {}, ready }: IdleOptions): Promise<{ close(): void }> {
  const allowed = Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  // Node raises the soft limit to the hard one by itself.
  if (allowed < count + 100) throw new Error(`${count} connections need as many file descriptors and some; the limit is ${allowed} (ulimit -Hn)`)
  const sockets: ReaderSocket[] = []
  let isClosed = false
  let started = 0
  const openOne = (n: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let isReady = false
      const socket = openReader(
        { url: urlOf(n), kind, headers, ...(ready === undefined ? {} : { ready }), marks: { number: ',"seq":' } },
        {
          onReady() {
            isReady = true
            resolve()
          },
          onEvent: () => undefined,
          onClose(why) {
            if (isReady && !isClosed) throw new Error(`connection ${n} ended: ${why}`)
            reject(new Error(`connection ${n}: ${why}`))
          },
        },
      )
      sockets.push(socket)
    })
  const opener = async (): Promise<void> => {
    while (started < count) await openOne(started++)
  }
  await Promise.all(Array.from({ length: Math.min(OPENING, count) }, opener))
  return {
    close() {
      isClosed = true
      for (const socket of sockets) socket.close()
    },
  }
}
