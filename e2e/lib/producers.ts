import { type History, hashText } from '@holdfast/testkit/oracle'
import type { SeededRandom } from '@holdfast/testkit/sim'
import WebSocket from 'ws'

export interface Producer {
  readonly sent: number
  /** What it waits for, for the message of a test that hangs. */
  readonly waitsFor: string
  /** Stops making new items, and resolves when everything that was sent has been acked. */
  finish(): Promise<void>
}

export interface ProducerOptions {
  readonly history: History
  readonly random: SeededRandom
  readonly name: string
  readonly session: string
  readonly over: 'http' | 'ws'
  readonly baseUrl: string
  /** The n-th item's fields besides its id. */
  readonly item: (n: number) => Record<string, unknown>
  readonly maxBatch: number
  /** A batch's JSON; one item always fits. The default is what a WebSocket message may have. */
  readonly maxBatchBytes?: number
  /** Stops by itself after so many. */
  readonly total?: number
}

interface Result {
  readonly id: string
  readonly seq: number
  readonly duplicate: boolean
}

const RETRY_MS = 15
/** 256 KiB for a message, less its envelope. */
const MAX_MESSAGE_BYTES = 255 * 1024

/** A producer that retries every batch until it is acked, and often sends it twice although it was. */
export function startProducer(options: ProducerOptions): Producer {
  const { history, random, name, session } = options
  let sent = 0
  let stopped = false
  let last = 'nothing'
  const link = options.over === 'ws' ? socketLink(options) : httpLink(options)
  const running = (async () => {
    while (!stopped && sent < (options.total ?? Number.POSITIVE_INFINITY)) {
      const size = Math.min(1 + random.int(options.maxBatch), (options.total ?? Number.POSITIVE_INFINITY) - sent)
      const items = fitting(Array.from({ length: size }, (_, index) => ({ ...options.item(sent + index), id: `${name}-${sent + index}` })))
      sent += items.length
      await deliver(items)
      if (random.chance(0.05)) await deliver(items)
    }
  })()

  function fitting<T>(items: readonly T[]): readonly T[] {
    let left = options.maxBatchBytes ?? MAX_MESSAGE_BYTES
    const end = items.findIndex((item, index) => {
      left -= Buffer.byteLength(JSON.stringify(item)) + 1
      return left < 0 && index > 0
    })
    return end < 0 ? items : items.slice(0, end)
  }

  async function deliver(items: readonly { readonly id: string }[]): Promise<void> {
    for (;;) {
      for (const item of items) history.send(session, item.id, hashText(JSON.stringify(item)))
      last = `an ack of ${items[0]?.id} (${items.length})`
      const copies = random.chance(0.1) ? 2 : 1
      const answers = await Promise.allSettled(Array.from({ length: copies }, () => link.send(items)))
      const acked = answers.flatMap(answer => (answer.status === 'fulfilled' && answer.value ? [answer.value] : []))
      for (const results of acked) for (const result of results) history.ack(result.id, { seq: result.seq, duplicate: result.duplicate })
      if (acked.length > 0) return
      last = answers.map(answer => (answer.status === 'rejected' ? String(answer.reason) : 'a refusal')).join(', ')
      await new Promise(resolve => setTimeout(resolve, RETRY_MS))
    }
  }

  return {
    get sent() {
      return sent
    },
    get waitsFor() {
      return `${name}: ${last}`
    },
    async finish() {
      stopped = true
      await running
      link.close()
    },
  }
}

interface Link {
  /** Undefined where there is no answer that can be believed. */
  send(items: readonly { readonly id: string }[]): Promise<readonly Result[] | undefined>
  close(): void
}

function httpLink({ baseUrl, session, name }: ProducerOptions): Link {
  return {
    async send(items) {
      const response = await fetch(new URL(`/sessions/${session}/events?client_id=${name}`, baseUrl), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(items),
        signal: AbortSignal.timeout(10_000),
      })
      const text = await response.text()
      if (response.status === 201) return (JSON.parse(text) as { results: Result[] }).results
      if (response.status < 500 && response.status !== 429) throw new RefusedError(`${response.status} ${text}`)
      return undefined
    },
    close() {},
  }
}

/** A refusal that a retry would not change: a fault of the test or of the server. */
class RefusedError extends Error {}

function socketLink({ baseUrl, session, name }: ProducerOptions): Link {
  let socket: WebSocket | undefined
  let frames = 0
  const waiting = new Map<string, (results: readonly Result[] | undefined) => void>()
  const open = (): Promise<WebSocket> =>
    new Promise((resolve, reject) => {
      if (socket?.readyState === WebSocket.OPEN) return resolve(socket)
      const next = new WebSocket(new URL(`/ws?client_id=${name}`, baseUrl.replace(/^http/, 'ws')))
      next.on('open', () => {
        socket = next
        resolve(next)
      })
      next.on('error', reject)
      next.on('close', () => {
        for (const done of waiting.values()) done(undefined)
        waiting.clear()
        reject(new Error('closed'))
      })
      next.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { type: string; header: { reply_to?: string }; payload: { results?: Result[] } }
        const done = waiting.get(message.header.reply_to ?? '')
        if (!done) return
        waiting.delete(message.header.reply_to ?? '')
        done(message.type === 'protocol.ack' ? message.payload.results : undefined)
      })
    })
  return {
    async send(items) {
      const current = await open()
      const id = `${name}-frame-${frames++}`
      const answer = new Promise<readonly Result[] | undefined>(resolve => waiting.set(id, resolve))
      current.send(JSON.stringify({ type: 'session.append', header: { id, session_id: session }, payload: { events: items } }))
      return answer
    },
    close: () => socket?.terminate(),
  }
}
