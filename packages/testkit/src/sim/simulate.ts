import type { Engine, EngineOptions, Store } from '@holdfast/core'
import { check, createHistory, type History, type Rule, STEP } from '../oracle/index.ts'
import { judgeEnd } from './judge.ts'
import { createProducer } from './producer.ts'
import { createSeededRandom } from './random.ts'
import { createSimReader, type SimReader } from './reader.ts'
import { createScheduler } from './scheduler.ts'
import { createSimSessions } from './sessions.ts'
import { settle } from './settle.ts'
import { createWeather, type Weather } from './weather.ts'
import { createWorld } from './world.ts'

export interface SimOptions {
  /** Steps before the weather calms down; 250 where it is left out. */
  readonly steps?: number
  /** Keeps what happened, line by line. */
  readonly keepLines?: boolean
  /** Parts of the weather that are fixed rather than left to the seed. */
  readonly weather?: Partial<Weather>
  /** Stands in for the engine, or for the store under it, to plant a fault. */
  readonly createEngine?: (options: EngineOptions) => Promise<Engine>
  readonly wrapStore?: (store: Store) => Store
}

export type SimRule = Rule | 'surprise' | 'hung' | 'rows-differ' | 'feed-wrong' | 'record-wrong'

export interface SimViolation {
  readonly rule: SimRule
  readonly session: string
  readonly detail: string
}

/** What a run met, so that a test can tell that nothing has gone quiet. */
export type SimStats = Readonly<
  Record<
    | 'steps'
    | 'acked'
    | 'duplicates'
    | 'kills'
    | 'drains'
    | 'full'
    | 'lostCommits'
    | 'sessions'
    | 'readers'
    | 'attaches'
    | 'gaps'
    | 'snapshots'
    | 'resets'
    | 'events',
    number
  >
>

export interface SimResult {
  /** Equal for equal seeds and options. */
  readonly trace: string
  readonly violations: readonly SimViolation[]
  readonly stats: SimStats
  readonly lines: readonly string[]
}

const DEFAULT_STEPS = 250
/** Far more than anything takes to come to rest. */
const MAX_HEAL_STEPS = 20_000
/** What the judge asks for is answered in one turn, unless it never is. */
const JUDGE_TURNS = 20
const MINUTE_MS = 60_000

/** One run of the engine among clients, faults and time, all of it decided by the seed. */
export async function simulate(seed: number, options: SimOptions = {}): Promise<SimResult> {
  const random = createSeededRandom(seed)
  const scheduler = createScheduler(random, options.keepLines ?? false)
  const weather = { ...createWeather(random), ...options.weather }
  const history = createHistory()
  const violations: SimViolation[] = []
  const report = (rule: SimRule, session: string, detail: string): void => void violations.push({ rule, session, detail })
  const surprise = (detail: string): void => report('surprise', '', detail)
  const world = createWorld({ random, scheduler, weather, createEngine: options.createEngine, wrapStore: options.wrapStore, onError: surprise })
  const sessions = createSimSessions(world, random, surprise)
  const producers = [undefined, 'a', 'b'].map((clientId, index) =>
    createProducer({ name: `p${index}`, clientId, world, sessions, random, history, report: surprise }),
  )
  const readers: SimReader[] = []
  const addReader = (session: string, hasFold: boolean): void => {
    const name = `r${readers.length}`
    readers.push(createSimReader({ name, session, hasFold, world, random, scheduler, history, isExpected: sessions.isExpected, report: surprise }))
  }

  const actions = {
    create: () => sessions.create(),
    append: () => random.pick(producers).append(random.pick(sessions.usable)),
    repeat: () => random.pick(producers).repeat(),
    attach: () => {
      const detached = readers.filter(reader => !reader.isAttached && !reader.isOver)
      if (detached.length > 0 && random.chance(0.7)) return random.pick(detached).attach()
      const session = random.pick(sessions.usable)
      if (readers.length < 8) addReader(session.id, session.kind === 'ui')
    },
    feed: () => addReader('_feed', false),
    cut: () => random.pick(readers).cut(),
    halfOpen: () => random.pick(readers).halfOpen(),
    wander: () => random.pick(readers).wander(),
    pause: () => random.pick(readers).pause(),
    unpause: () => random.pick(readers).unpause(),
    credit: () => random.pick(readers).credit(),
    end: () => sessions.end(),
    resume: () => sessions.resume(),
    rename: () => sessions.rename(),
    remove: () => sessions.remove(),
    sweep: () =>
      world.call(
        'sweep',
        engine => engine.sweep(),
        () => undefined,
      ),
    pass: () => world.clock.advance(random.chance(0.1) ? 90 * MINUTE_MS : random.pick([10, 500, 1000, MINUTE_MS])),
    jump: () => world.clock.jump(random.pick([-60, 60]) * MINUTE_MS),
    kill: () => world.kill(),
    drain: () => world.drain(),
    start: () => void world.start(),
    fill: () => {
      world.diskFull = !world.diskFull
    },
  }
  const rarely = (chance: number, weight: number): number => (random.chance(chance) ? weight : 0)
  const weights: Record<keyof typeof actions, number> = {
    create: 3,
    append: 30,
    repeat: 10,
    attach: 15,
    feed: 1,
    cut: 4,
    halfOpen: 2,
    wander: 2,
    pause: 3,
    unpause: 4,
    credit: 6,
    end: rarely(0.3, 1),
    resume: rarely(0.3, 1),
    rename: rarely(0.5, 4),
    remove: rarely(0.3, 0.5),
    sweep: rarely(0.8, 8),
    pass: 4,
    jump: rarely(0.3, 2),
    kill: rarely(0.6, 1.5),
    drain: rarely(0.2, 0.7),
    start: 4,
    fill: rarely(0.2, 2),
  }
  const needsSession = new Set<keyof typeof actions>(['append', 'attach', 'end', 'resume', 'rename', 'remove'])
  const needsReader = new Set<keyof typeof actions>(['cut', 'halfOpen', 'wander', 'pause', 'unpause', 'credit'])

  const act = (): void => {
    const name = random.weighted(weights)
    if (needsSession.has(name) && sessions.usable.length === 0) return
    if (needsReader.has(name) && readers.length === 0) return
    scheduler.note(name)
    actions[name]()
  }

  await world.start()
  sessions.create()
  for (let step = 0; step < (options.steps ?? DEFAULT_STEPS); step++) {
    if (scheduler.waiting === 0 || random.chance(0.25)) {
      act()
      await settle()
    } else await scheduler.step()
  }

  scheduler.note('heal')
  world.heal()
  for (let step = 0, quiet = 0; quiet < 3; step++) {
    if (step > MAX_HEAL_STEPS) {
      report('hung', '', `${world.open} calls are open, ${scheduler.waiting} steps wait`)
      break
    }
    if (await scheduler.step()) {
      quiet = 0
      continue
    }
    await world.start()
    const finished = producers.map(producer => producer.finish()).every(Boolean)
    for (const session of sessions.all) if (!session.created && !session.creating) sessions.create()
    for (const reader of readers) {
      reader.unpause()
      reader.credit()
      if (!reader.isAttached) reader.attach()
    }
    world.clock.advance(1000)
    await settle()
    if (scheduler.waiting === 0 && finished) quiet++
  }
  if (world.open > 0) report('hung', '', `${world.open} calls never got an answer`)
  for (const reader of readers) {
    if (!reader.isOver && !reader.isAttached) report('hung', reader.session, 'a reader can not attach')
    reader.settled()
  }
  let events: number | undefined
  judgeEnd({ world, sessions, history, report }).then(
    count => {
      events = count
    },
    error => {
      events = 0
      surprise(`the end can not be judged: ${error instanceof Error ? error.message : String(error)}`)
    },
  )
  for (let idle = 0; events === undefined && idle < JUDGE_TURNS; idle++) {
    if (await scheduler.step()) idle = 0
    else await settle()
  }
  if (events === undefined) report('hung', '', 'a call of the judge got no answer')
  for (const violation of check(history)) report(violation.rule, violation.session, violation.detail)

  const sum = (pick: (producer: (typeof producers)[number]) => number): number => producers.reduce((total, producer) => total + pick(producer), 0)
  return {
    trace: scheduler.trace,
    violations,
    lines: scheduler.lines,
    stats: {
      steps: scheduler.steps,
      acked: sum(producer => producer.acked),
      duplicates: sum(producer => producer.duplicates),
      ...world.faults,
      sessions: sessions.all.length,
      readers: readers.length,
      ...readingOf(history),
      events: events ?? 0,
    },
  }
}

function readingOf({ readers }: History): { attaches: number; gaps: number; snapshots: number; resets: number } {
  let gaps = 0
  let snapshots = 0
  for (const { steps } of readers) {
    for (let index = 0; index < steps.length; index++) {
      if (steps.at(index) === STEP.gap) gaps++
      else if (steps.at(index) === STEP.snapshot) snapshots++
    }
  }
  const hellos = readers.flatMap(reader => reader.hellos)
  return { attaches: hellos.length, gaps, snapshots, resets: hellos.filter(hello => hello.resume === 'reset').length }
}
