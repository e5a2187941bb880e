import { DEFAULT_LIMITS, HoldfastError, isId } from '@holdfast/protocol/wire'
import { type BackoffPolicy, backoffMs } from './backoff.ts'
import { type ClientError, type Failure, failureFromResponse, failureFromThrown, TransportError } from './failure.ts'
import type { Clock, Random } from './ports.ts'

export interface ProducerOptions {
  /** Events per request, at most; 1000 is the contract's limit. */
  readonly batchEvents?: number
  /** Bytes of JSON per request, at most; one event always fits. */
  readonly batchBytes?: number
  /** How long a lone item waits for company, in ms. */
  readonly lingerMs?: number
  /** Items unacknowledged at a time: beyond that `ready()` waits, and batches go without lingering. */
  readonly maxPending?: number
  /** Told of every batch that was refused for good; the promises of its items reject too. */
  readonly onError?: (error: ClientError) => void
  /** Told before each further try of a batch. */
  readonly onRetry?: (error: ClientError, inMs: number) => void
}

export interface Appended {
  readonly id: string
  readonly seq: number
  readonly duplicate: boolean
}

/** Appends events to one session from outside: in order, batched, each once whatever gets lost on the way. */
export interface Producer {
  /** Items that were taken and not answered yet. */
  readonly pending: number
  /** Resolves once the event is on the server's disk. An item without an id gets one, so that every repeat is known. */
  append(item: Readonly<Record<string, unknown>>): Promise<Appended>
  /** Resolves when there is room for another item. */
  ready(): Promise<void>
  /** Resolves once everything appended so far is answered; rejects with the first refusal since the last flush. */
  flush(): Promise<void>
  /** Flushes, then takes no more. An aborted `signal` gives up what is left. */
  close(options?: { readonly signal?: AbortSignal }): Promise<void>
}

interface Item {
  readonly id: string
  readonly json: string
  readonly bytes: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: ClientError) => void
}

interface Answer {
  readonly first_seq: number
  readonly duplicate: boolean
  readonly results?: readonly Appended[]
}

export interface ProducerPorts {
  readonly clock: Clock
  readonly random: Random
  readonly policy: BackoffPolicy
  /** Posts the body of `POST /sessions/{id}/events`. */
  readonly post: (body: string, signal: AbortSignal) => Promise<Response>
}

const LIMITS = { batchEvents: 100, batchBytes: 512 * 1024, lingerMs: 5, maxPending: 1000 }

export function createProducer(ports: ProducerPorts, options: ProducerOptions = {}): Producer {
  const { clock, random, policy } = ports
  const limits = { ...LIMITS, ...options }
  const batchEvents = Math.min(limits.batchEvents, DEFAULT_LIMITS.batch_events)
  const batchBytes = Math.min(limits.batchBytes, DEFAULT_LIMITS.body_bytes)
  const abort = new AbortController()
  let queue: Item[] = []
  let taken = 0
  let appended = 0
  let settled = 0
  let queuedBytes = 0
  let sending = false
  let urgent = false
  let closed = false
  let firstError: ClientError | undefined
  let linger: (() => void) | undefined
  let waiters: (() => void)[] = []

  const answered = (count: number): void => {
    taken -= count
    settled += count
    const ready = waiters
    waiters = []
    for (const wake of ready) wake()
  }
  const until = async (fact: () => boolean): Promise<void> => {
    while (!fact()) await new Promise<void>(resolve => waiters.push(resolve))
  }

  const pump = (): void => {
    if (sending || queue.length === 0) return
    const full = queue.length >= batchEvents || queuedBytes >= batchBytes
    if (!full && !urgent && limits.lingerMs > 0) {
      linger ??= clock.after(limits.lingerMs, () => {
        linger = undefined
        urgent = true
        pump()
      })
      return
    }
    linger?.()
    linger = undefined
    sending = true
    const batch = takeBatch()
    urgent = urgent && queue.length > 0
    void send(batch).finally(() => {
      sending = false
      answered(batch.length)
      pump()
    })
  }

  const takeBatch = (): Item[] => {
    let end = 0
    let bytes = 0
    for (const item of queue) {
      if (end > 0 && (end >= batchEvents || bytes + item.bytes > batchBytes)) break
      bytes += item.bytes + 1
      end++
    }
    const batch = queue.slice(0, end)
    queue = queue.slice(end)
    for (const item of batch) queuedBytes -= item.bytes
    return batch
  }

  /** Sends one batch until it is answered: its ids make every repeat the same events (faults 5 to 7). */
  const send = async (batch: readonly Item[]): Promise<void> => {
    const body = `[${batch.map(item => item.json).join(',')}]`
    for (let tries = 1; ; tries++) {
      try {
        const response = await ports.post(body, abort.signal).catch(error => Promise.reject(failureFromThrown(error)))
        if (!response.ok) throw await failureOf(response)
        const answer = (await response.json().catch(error => Promise.reject(failureFromThrown(error)))) as Answer
        const bySent = new Map(answer.results?.map(result => [result.id, result]))
        for (const [index, { id, resolve }] of batch.entries()) resolve(bySent.get(id) ?? { id, seq: answer.first_seq + index, duplicate: answer.duplicate })
        return
      } catch (thrown) {
        const failure = failureFromThrown(thrown)
        if (abort.signal.aborted) return refuse(batch, new TransportError('closed', 'The producer was closed before the event was acknowledged.'))
        if (!failure.retryable) return refuse(batch, failure.error)
        const delayMs = failure.retryInMs ?? backoffMs(tries, policy, random.next())
        options.onRetry?.(failure.error, delayMs)
        await pause(delayMs)
      }
    }
  }

  /** Server faults are worth a repeat here: the ids make it harmless. */
  const failureOf = async (response: Response): Promise<Failure> => {
    const failure = await failureFromResponse(response)
    return response.status >= 500 ? { ...failure, retryable: true } : failure
  }

  const pause = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const stop = clock.after(ms, resolve)
      abort.signal.addEventListener('abort', () => {
        stop()
        resolve()
      })
    })

  /** All or nothing: the batch is refused whole, and the error names the item that is to blame where the server told. */
  const refuse = (batch: readonly Item[], error: ClientError): void => {
    const index = error.details['index']
    const culprit = typeof index === 'number' ? batch[index] : batch.find(item => item.id === error.details['id'])
    const details = { ...error.details, batch_size: batch.length, ...(culprit ? { item_id: culprit.id, index: batch.indexOf(culprit) } : {}) }
    const told =
      error instanceof HoldfastError
        ? new HoldfastError(error.code, error.message, details, { cause: error })
        : new TransportError(error.reason, error.message, details, { cause: error })
    firstError ??= told
    for (const item of batch) item.reject(told)
    options.onError?.(told)
  }

  const itemFrom = (value: Readonly<Record<string, unknown>>): Pick<Item, 'id' | 'json' | 'bytes'> => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new HoldfastError('invalid_request', 'An event is a JSON object.')
    const id = value['id'] ?? random.id()
    if (!isId(id)) throw new HoldfastError('invalid_request', 'id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'id', item_id: id })
    const json = JSON.stringify({ ...value, id })
    const bytes = new TextEncoder().encode(json).byteLength
    if (bytes > DEFAULT_LIMITS.event_bytes)
      throw new HoldfastError('too_large', 'The event is over the limit.', { limit: 'event_bytes', bytes, max: DEFAULT_LIMITS.event_bytes, item_id: id })
    return { id, json, bytes }
  }

  const append = async (value: Readonly<Record<string, unknown>>): Promise<Appended> => {
    if (closed) throw new TransportError('closed', 'The producer is closed.')
    // Read now: what the caller changes later is not what was appended.
    const read = itemFrom(value)
    const full = taken >= limits.maxPending
    taken++
    appended++
    if (full) urgent = true
    return new Promise<Appended>((resolve, reject) => {
      queue.push({ ...read, resolve, reject })
      queuedBytes += read.bytes
      pump()
    })
  }

  const flush = async (): Promise<void> => {
    urgent = true
    pump()
    const goal = appended
    await until(() => settled >= goal)
    const error = firstError
    firstError = undefined
    if (error) throw error
  }

  return {
    get pending() {
      return taken
    },
    append: item => {
      const answer = append(item)
      // Refusals reach flush, close and onError too: an append that nobody awaits is no unhandled rejection.
      answer.catch(() => {})
      return answer
    },
    ready: () => until(() => taken < limits.maxPending),
    flush,
    close: async ({ signal } = {}) => {
      closed = true
      const giveUp = (): void => abort.abort()
      if (signal?.aborted) giveUp()
      signal?.addEventListener('abort', giveUp, { once: true })
      try {
        await flush()
      } finally {
        signal?.removeEventListener('abort', giveUp)
      }
    },
  }
}
