import { HoldfastError } from '@holdfast/protocol/wire'
import { type BackoffPolicy, backoffMs } from './backoff.ts'
import { type ClientError, type Failure, failureFromThrown, TransportError } from './failure.ts'
import type { Clock, KeyValueStore, Random } from './ports.ts'

/** An input that the server has not acknowledged yet. */
export interface PendingInput {
  readonly id: string
  readonly type: string
  readonly payload: unknown
  /** Why it was not taken so far, where there is a reason. */
  readonly error?: ClientError
  /** Older than the server keeps ids: it might be there already, so it is not sent. Send it anew or discard it. */
  readonly expired?: true
}

/** The server's answer to an input; `seq` is null for terminal input, which is not in the log. */
export interface Ack {
  readonly id: string
  readonly seq: number | null
  readonly duplicate: boolean
}

/** A way for inputs to the server that may be open or not. */
export interface Carrier {
  readonly ready: boolean
  /** Rejects with a Failure or HoldfastError. */
  deliver(input: PendingInput): Promise<Ack>
}

/** What the user sends, kept until acknowledged: in order, one at a time, each once by its id (CLI-03, faults 5 to 7, 14). */
export interface Outbox {
  readonly pending: readonly PendingInput[]
  send(type: string, payload: unknown, id?: string): Promise<Ack>
  addCarrier(carrier: Carrier): () => void
  /** Takes an input back; false where it is on its way or not there. */
  discard(id: string): boolean
  /** A carrier may have become ready. */
  wake(): void
  /** Rejects what is pending here; what is stored stays for the next start. */
  close(): void
}

export interface OutboxLimits {
  readonly input_bytes: number
  readonly id_retention_ms: number
}

export interface OutboxOptions {
  readonly clock: Clock
  readonly random: Random
  readonly policy: BackoffPolicy
  /** Where pending inputs outlive a reload. */
  readonly store: KeyValueStore | undefined
  readonly key: string
  /** As hello tells them. */
  readonly limits: () => OutboxLimits
  readonly onChange: () => void
}

interface Entry {
  readonly input: PendingInput
  /** When it was sent first, in wall time. */
  readonly atMs: number
  readonly settle?: { readonly resolve: (ack: Ack) => void; readonly reject: (error: ClientError) => void }
}

/** What is typed into a terminal may be a password: it is never written down. */
const isSecret = (type: string): boolean => type === 'terminal.input'

export function createOutbox(options: OutboxOptions): Outbox {
  const { clock, random, policy, store, key } = options
  const wallMs = (): number => clock.wallMs?.() ?? 0
  const carriers = new Set<Carrier>()
  let entries: readonly Entry[] = []
  let pending: readonly PendingInput[] = []
  let busy = false
  let closed = false
  let tries = 0
  let cancelWait: (() => void) | undefined
  let saving = Promise.resolve()
  let loaded = store === undefined
  let sending: Entry | undefined

  const change = (next: readonly Entry[], save = true): void => {
    entries = next
    pending = next.map(entry => entry.input)
    if (save && store) {
      const kept = next.filter(({ input }) => !isSecret(input.type)).map(({ input: { id, type, payload }, atMs }): Kept => ({ id, type, payload, at: atMs }))
      // What can't be stored is still sent; it only would not outlive a reload.
      saving = saving.then(() => (kept.length === 0 ? store.delete(key) : store.set(key, JSON.stringify(kept)))).catch(() => {})
    }
    options.onChange()
  }

  const pump = async (): Promise<void> => {
    if (busy || closed || !loaded) return
    expireOld()
    if (cancelWait) return
    busy = true
    try {
      for (let entry = first(); entry && !closed; entry = first()) {
        const carrier = [...carriers].find(candidate => candidate.ready)
        if (!carrier) break
        try {
          sending = entry
          const ack = await carrier.deliver(entry.input)
          tries = 0
          change(entries.filter(other => other !== entry))
          entry.settle?.resolve(ack)
        } catch (thrown) {
          if (!refused(entry, failureFromThrown(thrown))) break
        }
        expireOld()
      }
    } finally {
      sending = undefined
      busy = false
    }
  }

  const first = (): Entry | undefined => entries.find(entry => !entry.input.expired)

  /** An id is known to the server for so long; after that, a repeat could be stored twice (fault 7). */
  const expireOld = (): void => {
    const bornMs = wallMs() - options.limits().id_retention_ms
    const old = entries.filter(entry => !entry.input.expired && entry !== sending && entry.atMs < bornMs)
    if (old.length === 0) return
    const error = new TransportError('expired', 'The input was kept for longer than the server knows ids.')
    change(
      entries.map(entry => (old.includes(entry) ? { input: { ...entry.input, error, expired: true as const }, atMs: entry.atMs } : entry)),
      false,
    )
    for (const entry of old) entry.settle?.reject(error)
  }

  /** True when the next one may go at once: this one is refused for good. */
  const refused = (entry: Entry, failure: Failure): boolean => {
    if (closed) return false
    const { error } = failure
    if (!failure.retryable) {
      change(entries.filter(other => other !== entry))
      entry.settle?.reject(error)
      return true
    }
    // A connection that was cut wakes the outbox when it is back; all else comes again by itself.
    const cut = error instanceof TransportError && error.reason === 'cut'
    if (!cut)
      change(
        entries.map(other => (other === entry ? { ...entry, input: { ...entry.input, error } } : other)),
        false,
      )
    cancelWait = clock.after(cut ? 0 : (failure.retryInMs ?? backoffMs(++tries, policy, random.next())), () => {
      cancelWait = undefined
      void pump()
    })
    return false
  }

  const load = async (): Promise<void> => {
    const text = await Promise.resolve(store?.get(key)).catch(() => undefined)
    const kept = readKept(text).filter(input => !entries.some(entry => entry.input.id === input.id))
    loaded = true
    if (kept.length > 0) change([...kept.map(({ id, type, payload, at = wallMs() }) => ({ input: { id, type, payload }, atMs: at })), ...entries])
    void pump()
  }
  if (!loaded) void load()

  return {
    get pending() {
      return pending
    },
    send: (type, payload, id = random.id()) => {
      if (closed) return Promise.reject(new TransportError('closed', 'The session is closed here.'))
      const bytes = new TextEncoder().encode(JSON.stringify(payload) ?? '').byteLength
      const max = options.limits().input_bytes
      if (bytes > max) return Promise.reject(new HoldfastError('too_large', 'The input is over the limit.', { limit: 'input_bytes', bytes, max }))
      return new Promise<Ack>((resolve, reject) => {
        change([...entries, { input: { id, type, payload }, atMs: wallMs(), settle: { resolve, reject } }])
        void pump()
      })
    },
    addCarrier: carrier => {
      carriers.add(carrier)
      void pump()
      return () => carriers.delete(carrier)
    },
    discard: id => {
      const found = entries.find(entry => entry.input.id === id)
      if (!found || found === sending) return false
      change(entries.filter(entry => entry !== found))
      found.settle?.reject(new TransportError('closed', 'The input was discarded.', { id }))
      return true
    },
    wake: () => void pump(),
    close: () => {
      if (closed) return
      closed = true
      cancelWait?.()
      for (const entry of entries)
        entry.settle?.reject(new TransportError('closed', 'The session was closed here before the input was acknowledged.', { id: entry.input.id }))
    },
  }
}

/** An input as it outlives a reload. */
interface Kept {
  readonly id: string
  readonly type: string
  readonly payload: unknown
  readonly at?: number
}

function readKept(text: string | null | undefined): Kept[] {
  if (!text) return []
  try {
    const kept: unknown = JSON.parse(text)
    return Array.isArray(kept) ? kept.filter(input => typeof input?.id === 'string' && typeof input.type === 'string') : []
  } catch {
    return []
  }
}
