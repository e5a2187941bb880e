import {
  type Attachment,
  createEngine,
  createMemoryStore,
  type Engine,
  type EngineOptions,
  type MemoryStore,
  type MemoryStoreOptions,
  type Principal,
  SCOPES,
  type Scope,
} from '@holdfast/core'
import { DEFAULT_LIMITS, type Event, type HoldfastError, runKind, textsFromChunk } from '@holdfast/protocol'
import { counterKind } from './counter-kind.ts'
import { createSeededRandom } from './random.ts'
import { settle } from './settle.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

/** An engine over a memory store, with a clock that stands still: what most tests of the engine need. */
export interface TestEngine {
  readonly engine: Engine
  readonly store: MemoryStore
  readonly clock: VirtualClock
  /** What the engine said that it can't go on with. */
  readonly fatal: unknown[]
  /** As a killed process that starts again on the same disk. */
  restart(faults?: MemoryStoreOptions): Promise<TestEngine>
}

export interface TestEngineOptions extends Partial<Omit<EngineOptions, 'store' | 'clock'>> {
  readonly faults?: MemoryStoreOptions
  readonly clock?: VirtualClock
  readonly wrapStore?: (store: MemoryStore) => EngineOptions['store']
}

export async function startEngine(options: TestEngineOptions = {}): Promise<TestEngine> {
  const { faults, clock = createVirtualClock(), wrapStore = store => store, ...given } = options
  const store = createMemoryStore(faults)
  const fatal: unknown[] = []
  const engine = await createEngine({
    store: wrapStore(store),
    kinds: [runKind, counterKind],
    limits: DEFAULT_LIMITS,
    clock,
    random: createSeededRandom(store.disk.commits + 1),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    digest: text => text,
    onFatal: error => void fatal.push(error),
    ...given,
  })
  return {
    engine,
    store,
    clock,
    fatal,
    restart(next = {}) {
      store.kill()
      return startEngine({ ...options, clock, faults: { ...next, disk: store.disk } })
    },
  }
}

/** A principal with these scopes; all of them where none is named. */
export const principalOf = (subject: string, scopes: readonly Scope[] = SCOPES, bound: Pick<Principal, 'sessionId' | 'kinds'> = {}): Principal => ({
  subject,
  scopes: new Set(scopes),
  ...bound,
})

/** What an attachment gave. */
export interface Taken {
  /** Types of control messages and events, and `end:<code>`, in order. */
  readonly types: string[]
  readonly controls: { readonly type: string; readonly payload: Readonly<Record<string, unknown>>; readonly seq: number | undefined }[]
  readonly seqs: number[]
  readonly texts: string[]
  readonly events: Event[]
  /** Bytes of each delivery of events. */
  readonly sizes: number[]
  end: HoldfastError | undefined
}

/** Pulls until there is nothing more. */
export async function take(attachment: Attachment, maxBytes = 65_536): Promise<Taken> {
  const taken: Taken = { types: [], controls: [], seqs: [], texts: [], events: [], sizes: [], end: undefined }
  for (let delivery = await attachment.pull(maxBytes); delivery; delivery = await attachment.pull(maxBytes)) {
    if (delivery.type === 'control') {
      const { type, payload } = delivery.message
      taken.types.push(type)
      taken.controls.push({ type, payload: payload as Record<string, unknown>, seq: delivery.seq })
    } else if (delivery.type === 'end') {
      taken.types.push(`end:${delivery.error.code}`)
      taken.end = delivery.error
    } else {
      taken.sizes.push(delivery.chunk.body.byteLength)
      for (const text of textsFromChunk(delivery.chunk)) {
        const event = JSON.parse(text) as Event
        taken.types.push(event.type)
        taken.seqs.push(event.header.seq)
        taken.texts.push(text)
        taken.events.push(event)
      }
    }
  }
  return taken
}

/** A gate that a fault's hook waits at until a test opens it. */
export interface Gate {
  /** Resolves when somebody stands at the gate. */
  readonly reached: Promise<void>
  /** For the hook: waits, once. Later visitors pass. */
  pass(): Promise<void>
  open(): void
}

export function createGate(): Gate {
  let arrive: () => void = () => undefined
  let open: () => void = () => undefined
  let isUsed = false
  const reached = new Promise<void>(resolve => {
    arrive = resolve
  })
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return {
    reached,
    pass() {
      if (isUsed) return Promise.resolve()
      isUsed = true
      arrive()
      return opened
    },
    open,
  }
}

/** True when the promise has settled by the time that all others have. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = (): void => {
    settled = true
  }
  promise.then(note, note)
  await settle()
  return settled
}
