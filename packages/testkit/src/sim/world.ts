import {
  createEngine,
  createMemoryDisk,
  createMemoryStore,
  type Engine,
  type EngineOptions,
  type MemoryDisk,
  type MemoryStore,
  type Store,
  StoreError,
} from '@holdfast/core'
import { DEFAULT_LIMITS, runKind } from '@holdfast/protocol'
import { hashText } from '../oracle/index.ts'
import { counterKind } from './counter-kind.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler, Scope } from './scheduler.ts'
import { calm, type Weather } from './weather.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

export const SIM_EPOCH = 'sim1'

/** A call that a client makes; what becomes of it is told once. */
export type Outcome<T> = { readonly type: 'answer'; readonly value: T } | { readonly type: 'error'; readonly error: unknown } | { readonly type: 'lost' }

/** The server, its disk and the network, as far as chance may touch them. */
export interface World {
  readonly clock: VirtualClock
  readonly disk: MemoryDisk
  readonly network: Scope
  readonly weather: Weather
  /** Undefined while no server runs. */
  readonly engine: Engine | undefined
  /** Faults that happened, so that a refusal is no surprise. */
  readonly faults: { full: number; lostCommits: number; kills: number; drains: number }
  /** Calls that got no outcome yet. */
  readonly open: number
  diskFull: boolean
  call<T>(label: string, work: (engine: Engine) => Promise<T>, done: (outcome: Outcome<T>) => void): void
  /** The process is gone: what it had begun is neither finished nor answered. */
  kill(): void
  /** The process is asked to stop: it drains first. */
  drain(): void
  start(): Promise<void>
  /** From now on nothing goes wrong. */
  heal(): void
  /** Called at each kill. */
  onKill(listener: () => void): void
}

export type CreateEngine = (options: EngineOptions) => Promise<Engine>

export interface WorldOptions {
  readonly random: SeededRandom
  readonly scheduler: Scheduler
  readonly weather: Weather
  /** Stands in for the engine, or for the store under it, to plant a fault. */
  readonly createEngine?: CreateEngine | undefined
  readonly wrapStore?: ((store: Store) => Store) | undefined
  readonly onError: (detail: string) => void
}

interface Life extends Scope {
  readonly store: MemoryStore
  engine: Engine | undefined
  /** What a kill leaves without an answer. */
  readonly unanswered: Set<() => void>
}

export function createWorld({
  random,
  scheduler,
  weather: given,
  createEngine: create = createEngine,
  wrapStore = store => store,
  onError,
}: WorldOptions): World {
  const clock = createVirtualClock()
  const disk = createMemoryDisk()
  const network: Scope = { name: 'network' }
  const faults = { full: 0, lostCommits: 0, kills: 0, drains: 0 }
  const killListeners: (() => void)[] = []
  let weather = given
  let lives = 0
  let life: Life | undefined
  let open = 0

  const createLife = (): Life => {
    const scope: Scope = { name: `life ${++lives}` }
    const pause = (label: string): Promise<void> => scheduler.pause(label, scope)
    const store = createMemoryStore({
      disk,
      epoch: SIM_EPOCH,
      defer: run => scheduler.post('wake', scope, run),
      dropWake: () => random.chance(weather.lostWake),
      async beforeCommit() {
        await pause('commit')
        if (!world.diskFull && !random.chance(weather.full)) return
        faults.full++
        throw new StoreError('full', 'no room')
      },
      async afterCommit() {
        if (random.chance(0.5)) await pause('commit answer')
        if (!random.chance(weather.lostCommit)) return
        faults.lostCommits++
        throw new StoreError('fatal', 'the answer is lost')
      },
      async beforeRead() {
        if (random.chance(weather.slowLook)) await pause('read')
      },
      async afterRead() {
        if (random.chance(weather.slowLook)) await pause('read answer')
      },
    })
    return Object.assign(scope, { store, engine: undefined, unanswered: new Set<() => void>() })
  }

  /** Looks that the memory store answers at once take their time here. */
  const slowStore = (current: Life): Store => {
    const slow =
      <A extends unknown[], R>(name: string, look: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (random.chance(weather.slowLook)) await scheduler.pause(name, current)
        const found = await look(...args)
        if (random.chance(weather.slowLook)) await scheduler.pause(`${name} answer`, current)
        return found
      }
    const { store } = current
    return wrapStore({
      ...store,
      findIds: slow('ids', store.findIds),
      getSession: slow('row', store.getSession),
      listSessions: slow('rows', store.listSessions),
      countSessions: slow('count', store.countSessions),
      getSnapshot: slow('snapshot', store.getSnapshot),
      putSnapshot: slow('put snapshot', store.putSnapshot),
      expireIds: slow('expire', store.expireIds),
    })
  }

  const world: World = {
    clock,
    disk,
    network,
    faults,
    diskFull: false,
    get weather() {
      return weather
    },
    get engine() {
      return life?.engine
    },
    get open() {
      return open
    },
    call(label, work, done) {
      let isOpen = true
      open++
      const finish = (outcome: Parameters<typeof done>[0]): void => {
        if (!isOpen) return
        isOpen = false
        open--
        scheduler.note(`${label}: ${outcome.type}`)
        done(outcome)
      }
      const lose = (): void => finish({ type: 'lost' })
      if (random.chance(weather.impatience)) scheduler.post(`${label} impatience`, network, lose)
      scheduler.post(label, network, () => {
        const current = life
        if (!current?.engine || random.chance(weather.lostRequest)) return lose()
        current.unanswered.add(lose)
        const answered = (outcome: Parameters<typeof done>[0]): void => {
          if (!current.unanswered.delete(lose)) return
          scheduler.post(`${label} answer`, network, () => (random.chance(weather.lostAnswer) ? lose() : finish(outcome)))
        }
        work(current.engine).then(
          value => answered({ type: 'answer', value }),
          error => answered({ type: 'error', error }),
        )
      })
    },
    async start() {
      if (life) return
      const current = createLife()
      life = current
      try {
        const engine = await create({
          store: slowStore(current),
          kinds: [counterKind, runKind],
          limits: DEFAULT_LIMITS,
          clock,
          random,
          logger: { debug() {}, info() {}, warn() {}, error: (message, fields) => (message === 'a call failed' ? onError(String(fields?.error)) : undefined) },
          digest: text => hashText(text).toString(16),
          retention: weather.retention,
          idleExpiryMs: weather.idleExpiryMs,
          tailBytes: weather.tailBytes,
          onFatal: () => scheduler.post('die', current, () => world.kill()),
        })
        if (life === current) current.engine = engine
      } catch (error) {
        onError(`the server does not start: ${String(error)}`)
      }
    },
    drain() {
      const current = life
      if (!current?.engine) return
      faults.drains++
      current.engine.drain().then(
        () => scheduler.post('drained', current, () => world.kill()),
        error => onError(`drain failed: ${String(error)}`),
      )
    },
    kill() {
      const current = life
      if (!current) return
      life = undefined
      faults.kills++
      current.store.kill()
      scheduler.end(current)
      for (const lose of current.unanswered) scheduler.post('lost', network, lose)
      current.unanswered.clear()
      for (const listener of killListeners) listener()
    },
    heal() {
      weather = calm(weather)
      world.diskFull = false
    },
    onKill: listener => void killListeners.push(listener),
  }
  return world
}
