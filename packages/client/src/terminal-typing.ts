import { HoldfastError } from '@holdfast/protocol/wire'
import type { ClientError } from './failure.ts'
import { cutOf, inputFromBytes, pieceBytes } from './terminal-bytes.ts'

/** Bytes on their way to a program: one input under way, what is typed meanwhile goes together in the next. */
export interface Typing {
  /** Resolves when all of it was taken; rejects where it, or something typed before it, was refused for good. */
  write(bytes: Uint8Array): Promise<void>
  /** Bytes that are not acknowledged. */
  readonly waiting: number
  /** Resolves once nothing waits. */
  settled(): Promise<void>
}

export interface TypingOptions {
  /** Keeps one input until it is acknowledged, over reconnects, under one id. */
  readonly send: (payload: unknown) => Promise<unknown>
  /** The server's limit on one input. */
  readonly inputBytes: () => number
  readonly onRefused: (error: ClientError) => void
}

interface Write {
  readonly bytes: Uint8Array
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What may wait here while the server is away or the program doesn't read. */
const MAX_WAITING = 16 * 1024 * 1024
const CTRL_C = 3

export function createTyping({ send, inputBytes, onRefused }: TypingOptions): Typing {
  let writes: Write[] = []
  let waiting = 0
  let busy = false
  const idle: (() => void)[] = []

  /** The next input: whole writes as far as they fit, else the beginning of the first one. */
  const next = (): { bytes: Uint8Array; done: Write[] } => {
    const max = pieceBytes(inputBytes())
    const done: Write[] = []
    let size = 0
    for (const write of writes) {
      if (size + write.bytes.length > max) break
      done.push(write)
      size += write.bytes.length
    }
    const [first] = writes
    if (done.length === 0 && first) {
      const cut = cutOf(first.bytes, max)
      writes = [{ ...first, bytes: first.bytes.subarray(cut) }, ...writes.slice(1)]
      return { bytes: first.bytes.subarray(0, cut), done }
    }
    writes = writes.slice(done.length)
    const bytes = new Uint8Array(size)
    let at = 0
    for (const write of done) {
      bytes.set(write.bytes, at)
      at += write.bytes.length
    }
    return { bytes, done }
  }

  const pump = async (): Promise<void> => {
    if (busy) return
    busy = true
    while (writes.length > 0) {
      const { bytes, done } = next()
      try {
        await send(inputFromBytes(bytes))
        waiting -= bytes.length
        for (const { resolve } of done) resolve()
      } catch (error) {
        // What was typed behind it was meant to follow it: the rest of a paste alone could be a command.
        const refused = [...done, ...writes]
        writes = []
        waiting = 0
        for (const { reject } of refused) reject(error)
        onRefused(error as ClientError)
      }
    }
    busy = false
    for (const resolve of idle.splice(0)) resolve()
  }

  const refuse = (error: HoldfastError): Promise<void> => {
    const answer = Promise.reject(error)
    answer.catch(() => {})
    onRefused(error)
    return answer
  }

  return {
    get waiting() {
      return waiting
    },
    write: bytes => {
      if (bytes.length === 0) return Promise.resolve()
      if (waiting + bytes.length > MAX_WAITING) return refuse(tooMuch(waiting + bytes.length))
      waiting += bytes.length
      const answer = new Promise<void>((resolve, reject) => {
        const write = { bytes: bytes.slice(), resolve, reject }
        // Ctrl-C overtakes a paste that it is meant to stop.
        if (bytes.length === 1 && bytes[0] === CTRL_C) writes.unshift(write)
        else writes.push(write)
      })
      // Refusals reach onRefused too: a key that nobody awaits is no unhandled rejection.
      answer.catch(() => {})
      void pump()
      return answer
    },
    settled: () => (busy ? new Promise(resolve => idle.push(resolve)) : Promise.resolve()),
  }
}

const tooMuch = (bytes: number): HoldfastError =>
  new HoldfastError('too_large', 'Too much that was typed waits for the program.', { limit: 'input_waiting', bytes, max: MAX_WAITING })
