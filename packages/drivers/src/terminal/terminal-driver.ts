import type { Clock, Driver, DriverHandle, Logger, Random } from '@holdfast/core'
import { terminalKind } from '@holdfast/protocol'
import { join } from 'node:path'
import { type InstalledHolder, installHolder } from '../holder/index.ts'
import { checkPolicy, type ExecPolicy, terminalOptions } from './options.ts'
import { ownFrom, shownFromOwn, type TerminalOwn } from './own.ts'
import { createPlaces } from './places.ts'
import { foldScreen } from './screen-fold.ts'
import { createScreens } from './screen/screens.ts'
import { startProgram } from './start-program.ts'
import { startedPayload, Terminal, type TerminalParts } from './terminal.ts'

export interface TerminalDriverOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The limit of one event, envelope included. */
  readonly eventBytes: number
  /** Undefined where nothing may be started. */
  readonly policy: ExecPolicy | undefined
  /** The server's own environment. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where programs start that are told nothing else. */
  readonly home: string
}

/** What an event has besides its payload, at most. */
const ENVELOPE_BYTES = 1024

/** Terminals: each program lives in a holder of its own, which outlives this process (decision 7). */
export function createTerminalDriver(options: TerminalDriverOptions): Driver {
  const { dataDir, clock, random, logger, policy, env, home } = options
  const places = createPlaces(join(dataDir, 'terminals'), clock, logger)
  let holder: InstalledHolder | undefined
  const installed = (): InstalledHolder => {
    holder ??= installHolder(dataDir)
    return holder
  }
  const terminals = new Map<string, Terminal>()
  const screens = createScreens({
    onReply: (id, text) => void terminals.get(id)?.answer(text),
    onAttention: id => terminals.get(id)?.call(),
    onLost: error => logger.warn('the screens were lost and are built again', { error: error.message }),
  })
  const parts: TerminalParts = {
    installed,
    places,
    clock,
    random,
    logger,
    env,
    screens,
    policy,
    maxEventBytes: Math.max(256, options.eventBytes - ENVELOPE_BYTES),
    forget: sessionId => void terminals.delete(sessionId),
  }
  const started = new WeakMap<object, Awaited<ReturnType<typeof startProgram>>>()
  return {
    kind: terminalKind,
    host: {
      async start({ id, options: given, workingDir }) {
        const terminal = terminalOptions(given, workingDir, home)
        checkPolicy(policy, terminal)
        const { cols, rows } = terminal
        const program = await startProgram(parts, { sessionId: id, incarnation: 1, options: terminal })
        const own: TerminalOwn = { incarnation: 1, alive: true, ...program.own, cols, rows, offset: 0, writer: null }
        const start = {
          events: [{ type: 'terminal.started', payload: startedPayload(own, terminal) }],
          own,
          shown: shownFromOwn(own, terminal),
          async abort() {
            if (program.connection.state === 'live') program.connection.link.close()
            await places.clear(id, 1, true)
          },
        }
        started.set(start, program)
        return start
      },
      open(session, start): DriverHandle {
        const own = ownFrom(session.own) ?? NO_PROGRAM
        const terminal = new Terminal(session, parts, terminalOptions(session.options, session.workingDir, home), own, start && started.get(start))
        terminals.set(session.id, terminal)
        return terminal
      },
      async takeBack(known) {
        const alive = new Map(known.flatMap(({ id, own }) => (ownFrom(own)?.alive ? [[id, ownFrom(own)?.incarnation] as const] : [])))
        // Started by a server that died before the session was stored, or of a session that is gone.
        for (const { sessionId, incarnation } of places.all()) if (alive.get(sessionId) !== incarnation) void places.clear(sessionId, incarnation, true)
        return [...alive.keys()]
      },
      fold: {
        fold: (sessionId, base, events) => foldScreen(screens, sessionId, base, events),
        newest: async sessionId => terminals.get(sessionId)?.newest(),
      },
      close: () => screens.close(),
    },
  }
}

/** Of a session that never came to a program. */
const NO_PROGRAM: TerminalOwn = { incarnation: 0, alive: false, pid: 0, startTime: null, bootId: null, cols: 80, rows: 24, offset: 0, writer: null }
