import { SCOPES, type Principal } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import type { SeededRandom } from './random.ts'
import type { World } from './world.ts'

export const principal: Principal = { subject: 'owner', scopes: new Set(SCOPES) }

/** What the clients know of a session that they made. */
export interface SimSession {
  readonly id: string
  readonly kind: 'ui' | 'run'
  created: boolean
  creating: boolean
  endAsked: boolean
  endAcked: boolean
  resumeAsked: boolean
  deleteAsked: boolean
  deleteAcked: boolean
  readonly names: Naming[]
}

/** One name that was asked for; times count calls. */
interface Naming {
  readonly name: string
  readonly askedAt: number
  /** Infinity while its fate is unknown: it may still come. */
  settledAt: number
  isAcked: boolean
}

/** The names that a session may have: those that no acked one has certainly replaced. */
export const possibleNames = ({ names }: SimSession): string[] =>
  names.filter(naming => !names.some(other => other.isAcked && other.askedAt > naming.settledAt)).map(naming => naming.name)

export interface SimSessions {
  readonly all: readonly SimSession[]
  /** Those that somebody could write to. */
  readonly usable: readonly SimSession[]
  create(): void
  end(): void
  resume(): void
  rename(): void
  remove(): void
  /** True when this refusal is no surprise. */
  isExpected(id: string, code: string): boolean
}

const MAX_SESSIONS = 4

/** An answer that promises that nothing was stored. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof HoldfastError &&
  (error.code === 'storage_failed' ? error.details.reason === 'full' || error.details.reason === 'stale' : /^session_/.test(error.code))

export function createSimSessions(world: World, random: SeededRandom, report: (detail: string) => void): SimSessions {
  const all: SimSession[] = []
  let calls = 0
  const usable = (): SimSession[] => all.filter(session => session.created && !session.deleteAcked)

  /** A server that starts anew has no clock but the wall's, so jumps count. */
  const mayHaveExpired = ({ kind }: SimSession): boolean => {
    const idleMs = world.weather.idleExpiryMs[kind]
    return typeof idleMs === 'number' && world.clock.steadyMs() + world.clock.jumpedMs > idleMs
  }

  const isExpected = (id: string, code: string): boolean => {
    const session = all.find(other => other.id === id)
    switch (code) {
      case 'storage_failed':
        return world.faults.full > 0 || world.faults.lostCommits > 0
      case 'draining':
        return world.faults.lostCommits > 0 || world.faults.kills > 0 || world.faults.drains > 0
      case 'session_ended':
        return session?.endAsked === true
      case 'session_deleted':
        return session?.deleteAsked === true
      case 'session_expired':
        return session !== undefined && mayHaveExpired(session)
      case 'conflict':
        // Made, then gone before the answer got through: its id is not used again.
        return session?.created === false && mayHaveExpired(session)
      default:
        return false
    }
  }
  const refused = (session: SimSession, error: unknown, what: string): void => {
    const code = error instanceof HoldfastError ? error.code : String(error)
    if (!isExpected(session.id, code)) report(`${what} ${session.id}: ${error instanceof Error ? `${code} ${error.message}` : code}`)
  }

  const make = (session: SimSession): void => {
    session.creating = true
    world.call(
      `create ${session.id}`,
      engine => engine.createSession(principal, { session_id: session.id, session_name: session.id, kind: session.kind }),
      outcome => {
        session.creating = false
        if (outcome.type === 'answer') session.created = true
        else if (outcome.type === 'error') {
          refused(session, outcome.error, 'create')
          if (outcome.error instanceof HoldfastError && outcome.error.code === 'conflict') session.created = session.deleteAcked = true
        }
      },
    )
  }

  return {
    all,
    get usable() {
      return usable()
    },
    isExpected,
    create() {
      const pending = all.find(session => !session.created && !session.creating)
      if (pending) return make(pending)
      if (all.length >= MAX_SESSIONS) return
      const id = `s${all.length + 1}`
      const session: SimSession = {
        id,
        kind: random.pick(['ui', 'run']),
        created: false,
        creating: false,
        endAsked: false,
        endAcked: false,
        resumeAsked: false,
        deleteAsked: false,
        deleteAcked: false,
        names: [{ name: id, askedAt: 0, settledAt: 0, isAcked: true }],
      }
      all.push(session)
      make(session)
    },
    end() {
      const session = random.pick(usable())
      session.endAsked = true
      world.call(
        `end ${session.id}`,
        engine => engine.endSession(principal, session.id),
        outcome => {
          if (outcome.type === 'answer') {
            session.endAcked = true
            if (outcome.value.ended_at === null) report(`end ${session.id} answered a session that goes on`)
          } else if (outcome.type === 'error') refused(session, outcome.error, 'end')
        },
      )
    },
    resume() {
      const session = random.pick(usable())
      session.resumeAsked = true
      world.call(
        `resume ${session.id}`,
        engine => engine.resume(principal, session.id),
        outcome => {
          if (outcome.type === 'error') refused(session, outcome.error, 'resume')
        },
      )
    },
    rename() {
      const session = random.pick(usable())
      const askedAt = ++calls
      const name = `${session.id} ${askedAt}`
      const naming: Naming = { name, askedAt, settledAt: Number.POSITIVE_INFINITY, isAcked: false }
      session.names.push(naming)
      world.call(
        `rename ${name}`,
        engine => engine.patchSession(principal, session.id, { session_name: name }),
        outcome => {
          if (outcome.type === 'answer') {
            naming.settledAt = ++calls
            naming.isAcked = true
          } else if (outcome.type === 'error') {
            if (isRefusal(outcome.error)) session.names.splice(session.names.indexOf(naming), 1)
            refused(session, outcome.error, 'rename')
          }
        },
      )
    },
    remove() {
      const session = random.pick(usable())
      session.deleteAsked = true
      world.call(
        `delete ${session.id}`,
        engine => engine.deleteSession(principal, session.id, 'keep'),
        outcome => {
          if (outcome.type === 'answer') session.deleteAcked = true
          else if (outcome.type === 'error') {
            if (outcome.error instanceof HoldfastError && /^session_(deleted|expired)$/.test(outcome.error.code)) session.deleteAcked = true
            refused(session, outcome.error, 'delete')
          }
        },
      )
    },
  }
}
