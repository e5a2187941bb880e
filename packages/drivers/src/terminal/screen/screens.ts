import { Worker } from 'node:worker_threads'
import type { Attention } from './attention.ts'
import type { Answer, FromWorker, MarkedState, Size, ToWorker } from './messages.ts'
import type { PlainTextOptions } from './plain-text.ts'

/** `lost`: the worker ended, and every screen with it; `unknown`: never opened, or dropped; `failed`: this one could not go on. */
export type ScreenErrorReason = 'lost' | 'unknown' | 'failed' | 'closed'

/** A screen that is not there. It can always be had again: open it from a snapshot and write what followed. */
export class ScreenError extends Error {
  readonly reason: ScreenErrorReason
  constructor(reason: ScreenErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ScreenError'
    this.reason = reason
  }
}

/** Screens on a thread of their own. Whatever is called for one id happens in that order. Every promise may reject with ScreenError. */
export interface Screens {
  /** A blank screen, or one as it was; in place of any of that id. */
  open(id: string, size: Size, from?: MarkedState): Promise<void>
  /**
   * Resolves when less than WINDOW_BYTES of this screen wait: a caller that awaits each write never queues more than that and one
   * write. What fails after that makes the next write reject. `live` lets it answer and call: only for output that was never written before (fault 23).
   */
  write(id: string, mark: number, bytes: Uint8Array, live: boolean): Promise<void>
  resize(id: string, mark: number, size: Size): Promise<void>
  /** With the mark that it stands for; undefined where the screen is inside a sequence: try again after the next write. */
  snapshot(id: string): Promise<MarkedState | undefined>
  text(id: string, options?: PlainTextOptions): Promise<string>
  /** Frees its memory; nothing happens where it is not there. */
  drop(id: string): Promise<void>
  close(): Promise<void>
}

export interface ScreensOptions {
  readonly onReply: (id: string, text: string) => void
  readonly onAttention: (id: string, attention: Attention) => void
  /** The worker ended by itself, and all screens with it. The next `open` starts another. */
  readonly onLost: (error: ScreenError) => void
  /** Of the worker's heap: a screen with its history takes 3 to 6 MB. */
  readonly maxHeapMb?: number
}

/** Enough to keep the worker busy: a few milliseconds of parsing. */
export const WINDOW_BYTES = 256 * 1024

interface Waiting {
  readonly id: string
  readonly bytes: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: ScreenError) => void
}

/** Sources run under Node as they are, so that the worker has this file's extension. */
const workerUrl = (): URL => new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

type Asked<T = ToWorker> = T extends ToWorker ? Omit<T, 'request'> : never

export function createScreens({ onReply, onAttention, onLost, maxHeapMb = 2048 }: ScreensOptions): Screens {
  const waiting = new Map<number, Waiting>()
  const queued = new Map<string, { bytes: number; resume: (() => void)[] }>()
  /** Why a screen takes no more writes: some were answered before they were parsed. */
  const failed = new Map<string, ScreenError>()
  let requests = 0
  let worker: Worker | undefined
  let closed = false

  const release = (id: string, bytes: number): void => {
    const queue = queued.get(id)
    if (!queue) return
    queue.bytes -= bytes
    if (queue.bytes < WINDOW_BYTES) for (const resume of queue.resume.splice(0)) resume()
    if (queue.bytes <= 0) queued.delete(id)
  }

  const settle = (request: number, how: (entry: Waiting) => void): void => {
    const entry = waiting.get(request)
    if (!entry) return
    waiting.delete(request)
    if (waiting.size === 0) worker?.unref()
    how(entry)
    release(entry.id, entry.bytes)
  }

  const receive = (message: FromWorker): void => {
    if (message.type === 'answer') settle(message.request, ({ resolve }) => resolve(message.answer))
    else if (message.type === 'refused') settle(message.request, ({ reject }) => reject(new ScreenError(message.reason, message.message)))
    else if (message.type === 'reply') onReply(message.id, message.text)
    else onAttention(message.id, message.attention)
  }

  const lose = (from: Worker, error: ScreenError): void => {
    if (worker !== from) return
    worker = undefined
    for (const request of [...waiting.keys()]) settle(request, ({ reject }) => reject(error))
    if (!closed) onLost(error)
  }

  const start = (): Worker => {
    const started = new Worker(workerUrl(), { name: 'holdfast screens', execArgv: [], resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } })
    started.on('message', receive)
    started.on('error', cause => lose(started, new ScreenError('lost', 'The screens were lost: their worker failed.', { cause })))
    started.on('exit', () => lose(started, new ScreenError(closed ? 'closed' : 'lost', 'The screens were lost: their worker ended.')))
    started.unref()
    return started
  }

  const ask = (message: Asked, bytes = 0): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (closed) throw new ScreenError('closed', 'The screens are closed.')
      if (!worker && message.type !== 'open') throw new ScreenError('unknown', 'There is no such screen.')
      worker ??= start()
      const request = ++requests
      // Only what waits for an answer keeps the process alive.
      if (waiting.size === 0) worker.ref()
      waiting.set(request, { id: message.id, bytes, resolve, reject })
      if (bytes > 0) {
        const queue = queued.get(message.id) ?? { bytes: 0, resume: [] }
        queue.bytes += bytes
        queued.set(message.id, queue)
      }
      const sent = { ...message, request } as ToWorker
      worker.postMessage(sent, sent.type === 'write' ? [sent.bytes.buffer as ArrayBuffer] : [])
    })

  return {
    async open(id, size, from) {
      failed.delete(id)
      await ask({ type: 'open', id, size, ...(from && { from }) })
    },
    write(id, mark, bytes, live) {
      const failure = failed.get(id)
      if (failure) return Promise.reject(failure)
      // A copy, since the thread takes the memory over.
      const parsed = ask({ type: 'write', id, mark, bytes: new Uint8Array(bytes), live }, bytes.length).then(() => undefined)
      parsed.catch((error: ScreenError) => failed.set(id, error))
      const queue = queued.get(id)
      if (!queue || queue.bytes < WINDOW_BYTES) return Promise.resolve()
      return Promise.race([parsed, new Promise<void>(resolve => queue.resume.push(resolve))])
    },
    async resize(id, mark, size) {
      await ask({ type: 'resize', id, mark, size })
    },
    snapshot: async id => (await ask({ type: 'snapshot', id })) as MarkedState | undefined,
    text: async (id, options = {}) => (await ask({ type: 'text', id, options })) as string,
    async drop(id) {
      failed.delete(id)
      if (worker) await ask({ type: 'drop', id })
    },
    async close() {
      if (closed) return
      closed = true
      await worker?.terminate()
    },
  }
}
