import { percentile } from './figures.ts'
import { openReader, type ReaderOptions, type ReaderSocket } from './reader-socket.ts'

export interface GroupOptions extends ReaderOptions {
  readonly count: number
  /** The number of the first event that they get; 1 by default. */
  readonly first?: number
}

/** From an event's stamp until a reader had it, in ms, over all readers. */
export interface Latencies {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Readers of one log that count alike. */
export interface ReaderGroup {
  /** Resolves when all are attached. */
  readonly opened: Promise<void>
  /** Resolves with the moment (µs) at which the last reader had event `number`. */
  reached(number: number): Promise<number>
  /** Of the events since the last call. */
  latencies(): Latencies
  /** How often one was closed and came again. */
  readonly closes: number
  close(): void
}

/** µs of the monotonic clock, which all processes of a machine share. */
export const nowUs = (): number => Math.round(Number(process.hrtime.bigint()) / 1000)

/** Below the backlog of a listening socket. */
const OPENING = 100
/** A stalled reader finds out this soon that it was closed. */
const PONG_MS = 5000

/** `onFailure` hears of a hole, a repeat or a lost connection: no figure is worth anything then. */
export function openGroup({ count, first = 1, ...options }: GroupOptions, onFailure: (why: string) => void): ReaderGroup {
  const sockets = new Map<number, ReaderSocket>()
  /** The next number of each. */
  const next = new Float64Array(count).fill(first)
  let waiting = 0
  let goal = Number.POSITIVE_INFINITY
  let settle: ((at: number) => void) | undefined
  let samples: number[] = []
  let closes = 0
  let isClosed = false
  let ready = 0
  let started = 0
  let allReady: () => void = () => undefined
  const opened = new Promise<void>(resolve => {
    allReady = resolve
  })

  const open = (index: number): void => {
    let wasReady = false
    sockets.set(
      index,
      openReader(options, {
        onReady() {
          wasReady = true
          if (++ready === count) allReady()
          openNext()
        },
        onEvent(number, stamp) {
          if (options.stalls) return
          if (number !== next[index]) return onFailure(`reader ${index} got event ${number} where ${next[index]} was due`)
          next[index] = number + 1
          if (stamp > 0) samples.push((nowUs() - stamp) / 1000)
          if (number === goal && --waiting === 0) settle?.(nowUs())
        },
        onClose(why) {
          if (isClosed) return
          if (!options.stalls || !wasReady) return onFailure(`reader ${index}: ${why}`)
          closes++
          // Spread over a second, as by a client that takes a random delay.
          setTimeout(() => isClosed || open(index), Math.random() * 1000)
        },
      }),
    )
  }
  const openNext = (): void => {
    if (started < count && !isClosed) open(started++)
  }
  for (let i = 0; i < OPENING; i++) openNext()
  const pongs = options.stalls ? setInterval(() => sockets.forEach(socket => void socket.pong()), PONG_MS) : undefined

  return {
    opened,
    reached(number) {
      goal = number
      waiting = next.reduce((left, due) => left + (due <= number ? 1 : 0), 0)
      return waiting === 0 ? Promise.resolve(nowUs()) : new Promise(resolve => (settle = resolve))
    },
    latencies() {
      const taken = samples
      samples = []
      return { count: taken.length, p50: percentile(taken, 0.5), p99: percentile(taken, 0.99), max: taken.reduce((a, b) => Math.max(a, b), 0) }
    },
    get closes() {
      return closes
    },
    close() {
      isClosed = true
      clearInterval(pongs)
      for (const socket of sockets.values()) socket.close()
    },
  }
}
