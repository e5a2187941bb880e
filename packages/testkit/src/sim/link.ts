import type { Attachment, Delivery } from '@holdfast/core'
import type { Scheduler, Scope } from './scheduler.ts'

/** What carries one attachment to one client: one delivery under way at a time, as slow as chance has it. */
export interface Link {
  readonly attachment: Attachment
  /** Both sides know that it is over. */
  cut(): void
  /** The client is gone and the server does not know: what is under way is lost, the attachment stays. */
  halfOpen(): void
  /** A reader that takes nothing; false lets it go on. */
  pause(paused: boolean): void
  readonly isPaused: boolean
}

export interface LinkOptions {
  readonly name: string
  readonly attachment: Attachment
  readonly scheduler: Scheduler
  readonly network: Scope
  readonly maxBytes: number
  receive(delivery: Delivery): void
  failed(error: unknown): void
}

export function createLink({ name, attachment, scheduler, network, maxBytes, receive, failed }: LinkOptions): Link {
  let isOpen = true
  let isPaused = false
  /** A pull, or what it gave, is under way. */
  let busy = false
  let woken = false

  const deliver = (delivery: Delivery): void => {
    scheduler.post(`${name} <- ${labelOf(delivery)}`, network, () => {
      busy = false
      if (!isOpen) return
      receive(delivery)
      pump()
    })
  }

  const pump = (): void => {
    if (busy || isPaused || !isOpen) return
    busy = true
    woken = false
    Promise.resolve()
      .then(() => attachment.pull(maxBytes))
      .then(delivery => {
        if (delivery) return deliver(delivery)
        busy = false
        // A wake that came while the pull was under way was meant for the next one.
        if (woken) pump()
      })
      .catch(failed)
  }

  attachment.onWake(() => {
    woken = true
    pump()
  })
  pump()

  return {
    attachment,
    cut() {
      isOpen = false
      attachment.close()
    },
    halfOpen() {
      isOpen = false
    },
    pause(paused) {
      const goesOn = isPaused && !paused
      isPaused = paused
      if (goesOn) pump()
    },
    get isPaused() {
      return isPaused
    },
  }
}

function labelOf(delivery: Delivery): string {
  if (delivery.type === 'events') return `${delivery.chunk.firstSeq}-${delivery.chunk.lastSeq}`
  return delivery.type === 'end' ? `end ${delivery.error.code}` : delivery.message.type
}
