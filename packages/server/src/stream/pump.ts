import type { Attachment, Delivery } from '@holdfast/core'
import { HoldfastError, TURN_BYTES } from '@holdfast/protocol'

/** One attachment on a shared connection. */
export interface Source {
  readonly attachment: Attachment
}

/** Where deliveries go. */
export interface Outlet<S extends Source> {
  /** Writes a delivery; false when the connection is full, until `drained` is called. */
  send(source: S, delivery: Delivery): boolean
}

export interface Pump<S extends Source> {
  add(source: S): void
  /** Closes the attachment; nothing of it is sent any more. */
  remove(source: S): void
  /** The connection takes bytes again. */
  drained(): void
  close(): void
  readonly isFull: boolean
}

/** After this many turns without a full connection others get the event loop, too. */
const TURNS_PER_RUN = 16

/** Pulls from several attachments in turns of at most 64 KiB, while the connection takes it: no queue besides (decision 2, fault 33). */
export function createPump<S extends Source>(outlet: Outlet<S>): Pump<S> {
  const ready = new Set<S>()
  const pulling = new Set<S>()
  /** Poked while a pull was under way, which may have looked before. */
  const again = new Set<S>()
  const sources = new Set<S>()
  let full = false
  let running = false
  let scheduled = false
  let closed = false

  const deliver = (source: S, delivery: Delivery | undefined): void => {
    if (!delivery || !sources.has(source)) return
    if (delivery.type === 'end') sources.delete(source)
    else ready.add(source)
    if (!outlet.send(source, delivery)) full = true
  }

  const pullLater = (source: S, pending: Promise<Delivery | undefined>): void => {
    pulling.add(source)
    const settle = (delivery: Delivery | undefined): void => {
      pulling.delete(source)
      deliver(source, delivery)
      if (again.delete(source) && sources.has(source)) ready.add(source)
      schedule()
    }
    pending.then(settle, thrown => {
      settle({ type: 'end', error: thrown instanceof HoldfastError ? thrown : new HoldfastError('internal', 'The reader failed.', {}, { cause: thrown }) })
    })
  }

  const run = (): void => {
    if (running || closed) return
    running = true
    for (let turns = 0; !full && !closed; turns++) {
      const source = ready.values().next().value
      if (!source) break
      if (turns === TURNS_PER_RUN) {
        schedule()
        break
      }
      ready.delete(source)
      if (!sources.has(source)) continue
      if (pulling.has(source)) {
        again.add(source)
        continue
      }
      const pulled = source.attachment.pull(TURN_BYTES)
      if (pulled instanceof Promise) pullLater(source, pulled)
      else deliver(source, pulled)
    }
    running = false
  }

  const schedule = (): void => {
    if (scheduled || closed || full || ready.size === 0) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      run()
    })
  }

  const poke = (source: S): void => {
    if (!sources.has(source)) return
    ready.add(source)
    run()
  }

  return {
    add(source) {
      sources.add(source)
      source.attachment.onWake(() => poke(source))
      poke(source)
    },
    remove(source) {
      sources.delete(source)
      ready.delete(source)
      source.attachment.close()
    },
    drained() {
      full = false
      run()
    },
    close() {
      closed = true
      for (const source of sources) source.attachment.close()
      sources.clear()
      ready.clear()
    },
    get isFull() {
      return full
    },
  }
}
