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

/** The first turn, and every one after a connection was full: a reader that takes nothing holds no more than this. */
const LEAST_TURN_BYTES = 16 * 1024

/** Pulls from several attachments in turns of at most 64 KiB, while the connection takes it: no queue besides (decision 2, fault 33). */
export const createPump = <S extends Source>(outlet: Outlet<S>): Pump<S> => new TurnPump(outlet)

/** Sets are made when they are needed: most connections have one attachment, and there are thousands of them. */
class TurnPump<S extends Source> implements Pump<S> {
  readonly #outlet: Outlet<S>
  readonly #sources = new Set<S>()
  readonly #ready = new Set<S>()
  #pulling: Set<S> | undefined
  /** Poked while a pull was under way, which may have looked before. */
  #again: Set<S> | undefined
  #turnBytes = LEAST_TURN_BYTES
  #full = false
  #running = false
  #scheduled = false
  #closed = false
  /** Reads of the store since others had the event loop. */
  #streak = 0

  constructor(outlet: Outlet<S>) {
    this.#outlet = outlet
  }

  get isFull(): boolean {
    return this.#full
  }

  add(source: S): void {
    this.#sources.add(source)
    source.attachment.onWake(() => this.#poke(source))
    this.#poke(source)
  }

  remove(source: S): void {
    this.#sources.delete(source)
    this.#ready.delete(source)
    source.attachment.close()
  }

  drained(): void {
    this.#full = false
    this.#run()
  }

  close(): void {
    this.#closed = true
    for (const source of this.#sources) source.attachment.close()
    this.#sources.clear()
    this.#ready.clear()
  }

  #poke(source: S): void {
    if (!this.#sources.has(source)) return
    this.#ready.add(source)
    this.#run()
  }

  #run(): void {
    if (this.#running || this.#closed) return
    this.#running = true
    for (let turns = 0; !this.#full && !this.#closed; turns++) {
      if (turns === TURNS_PER_RUN) {
        this.#schedule()
        break
      }
      const source = this.#ready.values().next().value
      if (!source) break
      this.#ready.delete(source)
      if (!this.#sources.has(source)) continue
      if (this.#pulling?.has(source)) {
        this.#again ??= new Set()
        this.#again.add(source)
        continue
      }
      const pulled = source.attachment.pull(this.#turnBytes)
      if (pulled instanceof Promise) this.#pullLater(source, pulled)
      else this.#deliver(source, pulled)
    }
    this.#running = false
  }

  #deliver(source: S, delivery: Delivery | undefined): void {
    if (!delivery || !this.#sources.has(source)) return
    if (delivery.type === 'end') this.#sources.delete(source)
    else this.#ready.add(source)
    if (this.#outlet.send(source, delivery)) {
      if (delivery.type === 'events') this.#turnBytes = TURN_BYTES
    } else {
      this.#full = true
      this.#turnBytes = LEAST_TURN_BYTES
    }
  }

  #pullLater(source: S, pending: Promise<Delivery | undefined>): void {
    this.#pulling ??= new Set()
    this.#pulling.add(source)
    const settle = (delivery: Delivery | undefined): void => {
      this.#pulling?.delete(source)
      this.#deliver(source, delivery)
      if (this.#again?.delete(source) && this.#sources.has(source)) this.#ready.add(source)
      if (++this.#streak < TURNS_PER_RUN) this.#run()
      else this.#schedule()
    }
    pending.then(settle, thrown => {
      settle({ type: 'end', error: thrown instanceof HoldfastError ? thrown : new HoldfastError('internal', 'The reader failed.', {}, { cause: thrown }) })
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed || this.#full || this.#ready.size === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#streak = 0
      this.#run()
    })
  }
}
