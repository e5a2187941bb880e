import { connect, type Socket } from 'node:net'
import { resolve } from 'node:path'
import type { Clock } from '@holdfast/core'
import { createFrameReader } from './frame-reader.ts'
import { HOLDER_PROTOCOL, type HolderFrame, holderFrameFrom, KILL_FRAME } from './frames.ts'
import { type HolderHello, type HolderRecord, readExit, readRecord, SOCKET_FILE } from './holder-record.ts'
import { createHolderLink, type HolderLink } from './link.ts'
import { isRunning, type ProcessIdentity, type Processes, processesHere } from './processes.ts'
import { type HolderRemains, remainsOf } from './remains.ts'
import { shortPath } from './short-path.ts'

/** Longer than a holder on a busy machine needs to say hello. */
const HELLO_MS = 5000

/** A holder that starts has its record before its socket, one that ends loses its socket before its process: neither takes this long. */
const PATIENCE_MS = 500
const AGAIN_MS = 20

/** Why there is no link to a holder whose process is there: it says nothing, or it is not who the folder says. */
export type Unreachable = 'silent' | 'refused' | 'mismatch' | 'unknown_protocol'

/** What a folder's holder is. `unreachable` is neither: its process runs, so its program may; ask again. */
export type HolderConnection =
  | { readonly state: 'live'; readonly link: HolderLink }
  | { readonly state: 'dead'; readonly reason: 'exited' | 'gone' | 'rebooted' | 'never_started'; readonly remains: HolderRemains }
  | { readonly state: 'unreachable'; readonly reason: Unreachable; readonly record: HolderRecord }

export interface ConnectOptions {
  readonly clock: Clock
  readonly processes?: Processes
  /** How long a holder may take to answer, in ms. */
  readonly helloMs?: number
}

/** Connects to the holder of a folder, or finds it dead: alive is who answers as the record says, with that pid, that start time, in this boot (TERM-05). */
export async function connectHolder(folder: string, { clock, processes = processesHere, helloMs = HELLO_MS }: ConnectOptions): Promise<HolderConnection> {
  const deadline = clock.steadyMs() + PATIENCE_MS
  for (;;) {
    const found = await lookOnce(folder, clock, processes, helloMs)
    if (found.state !== 'unreachable' || found.reason !== 'refused' || clock.steadyMs() >= deadline) return found
    await new Promise<void>(resolve => void clock.after(AGAIN_MS, resolve))
  }
}

async function lookOnce(folder: string, clock: Clock, processes: Processes, helloMs: number): Promise<HolderConnection> {
  const record = readRecord(folder)
  const dead = deadBecause(folder, record, processes)
  if (dead || !record) return { state: 'dead', reason: dead ?? 'never_started', remains: remainsOf(folder, processes) }
  const answer = await greet(folder, clock, helloMs)
  if (typeof answer === 'object') {
    const { hello, socket, bodiesFrom } = answer
    const known = isHello(hello, record)
    if (known && hello.protocol === HOLDER_PROTOCOL) return { state: 'live', link: createHolderLink({ socket, hello, bodiesFrom, folder }) }
    socket.destroy()
    if (known) return { state: 'unreachable', reason: 'unknown_protocol', record }
  }
  // It may have ended meanwhile.
  const now = deadBecause(folder, record, processes)
  if (now) return { state: 'dead', reason: now, remains: remainsOf(folder, processes) }
  return { state: 'unreachable', reason: typeof answer === 'string' ? answer : 'mismatch', record }
}

/** Ends a holder and its program, whatever version of the protocol it speaks; resolves when it was told. False where its process is not there. */
export async function killHolder(folder: string, { processes = processesHere }: Pick<ConnectOptions, 'processes'> = {}): Promise<boolean> {
  const record = readRecord(folder)
  if (!record || deadBecause(folder, record, processes)) return false
  const { path, release } = shortPath(resolve(folder), SOCKET_FILE)
  return new Promise(resolve => {
    const socket = connect(path)
    const settle = (told: boolean): void => {
      release()
      resolve(told)
    }
    socket.once('error', () => settle(false))
    socket.once('connect', () => socket.end(KILL_FRAME, () => settle(true)))
    socket.resume()
  })
}

function deadBecause(folder: string, record: HolderRecord | undefined, processes: Processes): 'exited' | 'gone' | 'rebooted' | 'never_started' | undefined {
  if (!record) return 'never_started'
  if (readExit(folder)) return 'exited'
  if (record.bootId !== processes.bootId()) return 'rebooted'
  return isRunning(processes, record.holder) ? undefined : 'gone'
}

interface Greeting {
  readonly socket: Socket
  readonly hello: unknown
  readonly bodiesFrom: (chunk: Buffer) => Buffer[]
}

/** Connects and waits for the first frame. A holder says nothing before it is asked to, so nothing follows the hello. */
function greet(folder: string, clock: Clock, helloMs: number): Promise<Greeting | Unreachable> {
  const { path, release } = shortPath(resolve(folder), SOCKET_FILE)
  return new Promise(resolve => {
    const socket = connect(path)
    const bodiesFrom = createFrameReader()
    const settle = (answer: Greeting | Unreachable): void => {
      stop()
      release()
      socket.removeAllListeners()
      socket.on('error', () => {})
      if (typeof answer === 'string') socket.destroy()
      else socket.pause()
      resolve(answer)
    }
    const stop = clock.after(helloMs, () => settle('silent'))
    socket.on('error', () => settle('refused'))
    socket.on('close', () => settle('refused'))
    socket.on('data', chunk => {
      try {
        const [body] = bodiesFrom(chunk)
        if (!body) return
        const frame: HolderFrame | undefined = holderFrameFrom(body)
        settle(frame?.type === 'hello' ? { socket, hello: frame.hello, bodiesFrom } : 'mismatch')
      } catch {
        settle('mismatch')
      }
    })
  })
}

const isSame = (a: ProcessIdentity | null | undefined, b: ProcessIdentity | null): boolean => a?.pid === b?.pid && a?.startTime === b?.startTime

/** Whether this is the hello of the holder in the record; the program may have been started after the record was read. */
function isHello(value: unknown, record: HolderRecord): value is HolderHello {
  const hello = value as Partial<HolderHello> | null
  return (
    typeof hello === 'object' &&
    hello !== null &&
    hello.holderId === record.holderId &&
    hello.bootId === record.bootId &&
    isSame(hello.holder, record.holder) &&
    (record.program === null || isSame(hello.program, record.program)) &&
    Array.isArray(hello.streams)
  )
}
