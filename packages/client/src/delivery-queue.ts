import type { Delivery } from './reader.ts'

/** Called with each delivery; one that returns a promise is waited for before the next. */
export type Apply = (delivery: Delivery) => void | Promise<void>

export interface DeliveryQueue {
  /** Deliveries that are not applied yet, the one at work included. */
  readonly size: number
  push(deliveries: readonly Delivery[]): void
  /** Resolves once no more than `size` are left. */
  below(size: number): Promise<void> | undefined
  /** Forgets what was not applied; the one at work goes on. */
  clear(): void
}

/** Which place a delivery had: nothing waits behind it (`empty`), or its handler took turns of its own (`waited`), in which a page may have gone. */
export interface Applied {
  readonly empty: boolean
  readonly waited: boolean
}

/** Applies deliveries strictly one after the other; `applied` is called after each, `failed` when one threw, and then nothing more. */
export function createDeliveryQueue(apply: Apply, applied: (delivery: Delivery, how: Applied) => void, failed: (thrown: unknown) => void): DeliveryQueue {
  let queue: Delivery[] = []
  let at = 0
  let running = false
  let waiting: { size: number; resolve: () => void }[] = []

  const left = (): number => queue.length - at
  const release = (): void => {
    if (waiting.length === 0) return
    const ready = waiting.filter(waiter => left() <= waiter.size)
    waiting = waiting.filter(waiter => left() > waiter.size)
    for (const waiter of ready) waiter.resolve()
  }
  const clear = (): void => {
    queue = running ? queue.slice(at, at + 1) : []
    at = 0
    release()
  }

  const run = async (): Promise<void> => {
    running = true
    try {
      while (at < queue.length) {
        const delivery = queue[at] as Delivery
        const work = apply(delivery)
        if (work) await work
        at++
        if (at === queue.length || at > 1024) {
          queue = queue.slice(at)
          at = 0
        }
        applied(delivery, { empty: queue.length === 0, waited: work !== undefined })
        release()
      }
      running = false
    } catch (thrown) {
      running = false
      clear()
      failed(thrown)
    }
  }

  return {
    get size() {
      return left()
    },
    push: deliveries => {
      for (const delivery of deliveries) queue.push(delivery)
      if (!running && at < queue.length) void run()
    },
    below: size => (left() <= size ? undefined : new Promise(resolve => waiting.push({ size, resolve }))),
    clear,
  }
}
