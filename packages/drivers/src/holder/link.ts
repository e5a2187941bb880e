import type { Socket } from 'node:net'
import { bytesFromClientFrame, type ClientFrame, type HolderFrame, holderFrameFrom, KILL_FRAME, type RequestResult, type StreamId } from './frames.ts'
import { type HolderExit, type HolderHello, readExit } from './holder-record.ts'
import { createTail, type Tail, WINDOW_BYTES } from './tail.ts'

/** What a reader of a holder is told. Nothing comes after onExit or onLost. */
export interface HolderListener {
  /** In order, each byte once. The first may lie beyond the offset asked for, where that was acked before. */
  onOutput(offset: number, bytes: Uint8Array, stream: StreamId): void
  /** The program has ended, and all its output was given. */
  onExit(exit: HolderExit): void
  /** The holder is gone without an exit record, or another reader took over: connectHolder says what there is now. */
  onLost(reason: 'gone' | 'taken' | 'damaged'): void
}

/** How an input ended. `lost`: the link broke, so it is not known; the same id may be sent again to the same holder. */
export type InputResult = { readonly ok: true; readonly duplicate: boolean } | { readonly ok: false; readonly reason: 'ended' | 'full' | 'invalid' | 'lost' }

/** A connection to a live holder. */
export interface HolderLink {
  readonly hello: HolderHello
  /** Reads output from these offsets on (stdout or terminal, stderr), taking over from any other reader. Once. */
  read(from: readonly [number, number?], listener: HolderListener): void
  /** Everything before `offset` is stored for good: the holder drops it. */
  ack(offset: number, stream?: StreamId): void
  /** Resolves once the program's terminal or pipe has all of it. */
  input(client: string, id: string, bytes: Uint8Array): Promise<InputResult>
  /** Closes the program's stdin, in pipe mode. */
  endInput(): Promise<InputResult>
  /** The offset from which on output is for the new size; undefined where there is no terminal any more. */
  resize(cols: number, rows: number): Promise<number | undefined>
  /** To the foreground of the terminal, else the program's group; false where it could not be delivered. */
  signal(name: string): Promise<boolean>
  /** Ends the program and then the holder. */
  kill(): void
  /** Whether the holder answers. */
  ping(): Promise<boolean>
  /** Lets go; the program goes on. Nothing is said after it. */
  close(): void
}

type Answer = RequestResult | { readonly offset: number }

/** A link over a socket that has said this hello. */
export function createHolderLink(given: {
  readonly socket: Socket
  readonly hello: HolderHello
  readonly bodiesFrom: (chunk: Buffer) => Buffer[]
  readonly folder: string
}): HolderLink {
  const { socket, hello, bodiesFrom, folder } = given
  const requests = new Map<number, (answer: Answer | undefined) => void>()
  const received: [number, number] = [0, 0]
  const acked: [number, number] = [0, 0]
  let nextRequest = 1
  let listener: HolderListener | undefined
  let tail: Tail | undefined
  let closed = false
  let over: 'gone' | 'taken' | 'damaged' | undefined

  const send = (frame: ClientFrame): void => void socket.write(bytesFromClientFrame(frame))

  const ask = (frame: (request: number) => ClientFrame): Promise<Answer | undefined> => {
    if (over || closed) return Promise.resolve(undefined)
    const request = nextRequest
    nextRequest = nextRequest === 0xffffffff ? 1 : nextRequest + 1
    return new Promise(resolve => {
      requests.set(request, resolve)
      send(frame(request))
    })
  }
  const settle = (request: number, answer: Answer): void => {
    requests.get(request)?.(answer)
    requests.delete(request)
  }

  const onFrame = (frame: HolderFrame): void => {
    switch (frame.type) {
      case 'output':
        received[frame.stream] = frame.offset + frame.bytes.length
        return listener?.onOutput(frame.offset, frame.bytes, frame.stream)
      case 'done':
        return settle(frame.request, frame.result)
      case 'resized':
        return settle(frame.request, { offset: frame.offset })
      case 'exit':
        return end('gone')
      case 'closing':
        return end(frame.reason === 'taken' ? 'taken' : 'damaged')
      case 'hello':
        return
    }
  }

  /** The socket has said its last. What it did not deliver of an ended program lies in the folder. */
  const end = (reason: 'gone' | 'taken' | 'damaged'): void => {
    if (over) return
    over = reason
    socket.destroy()
    const exit = readExit(folder)
    for (const resolve of requests.values()) resolve(exit ? 'ended' : undefined)
    requests.clear()
    carryOn()
  }

  const carryOn = (): void => {
    if (closed || !listener || !over) return
    const exit = over === 'gone' ? readExit(folder) : undefined
    if (exit) tail = createTail({ folder, exit, from: received, acked, windowBytes: WINDOW_BYTES, listener })
    else listener.onLost(over)
  }

  const framesFrom = (chunk: Buffer): HolderFrame[] | undefined => {
    try {
      return bodiesFrom(chunk).flatMap(body => holderFrameFrom(body) ?? [])
    } catch {
      return undefined
    }
  }
  socket.on('data', chunk => {
    const frames = framesFrom(chunk)
    if (!frames) return end('damaged')
    for (const frame of frames) if (!over && !closed) onFrame(frame)
  })
  socket.on('close', () => end('gone'))
  socket.resume()

  const inputResult = (answer: Answer | undefined): InputResult => {
    if (answer === 'done' || answer === 'duplicate') return { ok: true, duplicate: answer === 'duplicate' }
    return { ok: false, reason: answer === undefined || typeof answer === 'object' ? 'lost' : answer }
  }

  return {
    hello,
    read(from, given) {
      if (listener) throw new TypeError('a link is read once')
      listener = given
      hello.streams.forEach(({ end: known }, index) => {
        const offset = from[index] ?? 0
        if (offset > known) throw new RangeError(`offset ${offset} is beyond the output, which ends at ${known}`)
        received[index as StreamId] = offset
        acked[index as StreamId] = offset
        if (!over) send({ type: 'read-from', stream: index as StreamId, offset, windowBytes: WINDOW_BYTES })
      })
      // It ended before anybody read; nothing is said before this returns.
      if (over) setImmediate(carryOn)
    },
    ack(offset, stream = 0) {
      acked[stream] = Math.max(acked[stream], offset)
      if (tail) tail.pump()
      else if (!over) send({ type: 'ack', stream, offset })
    },
    input: async (client, id, bytes) => inputResult(await ask(request => ({ type: 'input', request, client, id, bytes }))),
    endInput: async () => inputResult(await ask(request => ({ type: 'input-end', request }))),
    async resize(cols, rows) {
      const answer = await ask(request => ({ type: 'resize', request, cols, rows }))
      return typeof answer === 'object' ? answer.offset : undefined
    },
    signal: async name => (await ask(request => ({ type: 'signal', request, name }))) === 'done',
    ping: async () => (await ask(request => ({ type: 'ping', request }))) === 'done',
    kill() {
      if (!over) socket.write(KILL_FRAME)
    },
    close() {
      closed = true
      tail?.stop()
      end('gone')
    },
  }
}
