// Long: all of it is the life of one program; what can be told apart lies beside it.
import type { Clock, DriverCaller, DriverEvent, DriverHandle, DriverInput, DriverSeat, DriverSession, Folded, Logger } from '@holdfast/core'
import { errorFrom, HoldfastError } from '@holdfast/protocol'
import { connectHolder, type HolderConnection, type HolderLink, type HolderListener } from '../holder/index.ts'
import { type AttentionState, createAttentionState } from './attention-state.ts'
import { type Batch, createGatherer, type Gatherer } from './gatherer.ts'
import { bytesFromInput, inputPieces, SIGNALS } from './input-bytes.ts'
import { createLiveScreen, type LiveScreen } from './live-screen.ts'
import { checkPolicy, type ExecPolicy, type TerminalOptions } from './options.ts'
import { ownFrom, shownFromOwn, type TerminalOwn } from './own.ts'
import type { Places } from './places.ts'
import { type Roles, rolesAtStart, speaksFor, withoutSeat, withSeat, withWriter, writerAt } from './roles.ts'
import type { Screens } from './screen/screens.ts'
import { type Program, type ProgramPorts, startProgram } from './start-program.ts'

export interface TerminalParts extends ProgramPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly places: Places
  readonly maxEventBytes: number
  readonly screens: Screens
  /** Undefined where nothing may be started. */
  readonly policy: ExecPolicy | undefined
  /** Its session is gone. */
  readonly forget: (sessionId: string) => void
}

/** A holder that can't be reached is asked again after this long. */
const AGAIN_MS = 1000
/** A use that is no event is noted on disk once in this time. */
const NOTE_MS = 1000

type Answer = { readonly seq: number | null; readonly duplicate: boolean }

/** What runs for one terminal: its program's output goes to the log, what its writer types goes to the program. */
export class Terminal implements DriverHandle {
  readonly #session: DriverSession
  readonly #parts: TerminalParts
  readonly #options: TerminalOptions
  #own: TerminalOwn
  #roles: Roles
  #usedAt: number
  /** The link to the program; undefined once it is over. */
  #link: Promise<HolderLink | undefined> = Promise.resolve(undefined)
  #gatherer: Gatherer | undefined
  #screen: LiveScreen | undefined
  /** The screen of the incarnation before goes before the next one comes. */
  #screenClosed: Promise<void> | undefined
  #attention: AttentionState | undefined
  /** The end of what was received of this incarnation. */
  #received = 0
  #close: () => void = () => undefined
  #isStopped = false
  #isStarting = false

  constructor(session: DriverSession, parts: TerminalParts, options: TerminalOptions, own: TerminalOwn, program?: Program) {
    this.#session = session
    this.#parts = parts
    this.#options = options
    this.#own = own
    this.#usedAt = session.activityAt
    this.#roles = rolesAtStart(own.writer === null ? undefined : `c:${own.writer}`, parts.clock.steadyMs())
    if (own.alive) this.#run(program)
  }

  get usedAt(): number {
    return this.#usedAt
  }

  attach(caller: DriverCaller & { readonly mayWrite: boolean; readonly isReconnect: boolean }): DriverSeat {
    const { seat } = caller
    const now = this.#parts.clock.steadyMs()
    const before = writerAt(this.#roles, now)
    this.#roles = withSeat(this.#roles, { ...caller, singleUser: this.#options.singleUser }, now)
    this.#use()
    const { writer } = this.#roles
    if (writer !== before) this.#noteWriter(before !== undefined)
    return {
      role: writer === seat ? 'writer' : 'viewer',
      leave: () => {
        this.#roles = withoutSeat(this.#roles, seat, this.#parts.clock.steadyMs())
        this.#use()
      },
    }
  }

  /** The state near the head; undefined where nothing runs. */
  async newest(): Promise<Folded | undefined> {
    return this.#screen?.newest()
  }

  /** What the terminal answers to a program that asks it something: here, once, whoever is attached (fault 23). */
  async answer(text: string): Promise<void> {
    const link = await this.#link
    if (!this.#isStopped) await link?.input('terminal', this.#parts.random.id(), Buffer.from(text, 'utf8'))
  }

  /** The program wants to be looked at. */
  call(): void {
    this.#attention?.called()
  }

  async input(input: DriverInput): Promise<Answer> {
    if (this.#isStopped) throw letGo()
    this.#use()
    if (input.type === 'terminal.take_writer') return this.#takeWriter(input)
    this.#checkWriter(input)
    switch (input.type) {
      case 'terminal.input':
        return this.#type(input)
      case 'terminal.resize':
        return this.#resize(input, input.payload as { cols: number; rows: number })
      case 'terminal.signal':
        return this.#signal((input.payload as { signal: string }).signal)
      case 'terminal.respawn':
        return this.#respawn(input)
      default:
        throw new HoldfastError('invalid_request', `A terminal takes no "${input.type}".`, { field: 'type' })
    }
  }

  end(): void {
    void this.#link.then(link => link?.kill())
  }

  drop(): void {
    this.#letGo()
    void this.#screen?.close()
    this.#parts.forget(this.#session.id)
    void this.#parts.places.clear(this.#session.id, this.#own.incarnation, true)
  }

  async stop(): Promise<void> {
    this.#letGo()
    await this.#gatherer?.stop()
    await this.#screen?.close()
  }

  #letGo(): void {
    this.#isStopped = true
    this.#close()
    this.#attention?.stop()
    void this.#gatherer?.stop()
  }

  // The program's output

  #run(program?: Program): void {
    this.#received = this.#own.offset
    const { clock, logger, screens } = this.#parts
    this.#attention = createAttentionState({ session: this.#session, clock })
    this.#screen = createLiveScreen({ screens, session: this.#session, clock, logger, incarnation: this.#own.incarnation })
    const gatherer = createGatherer({
      clock: this.#parts.clock,
      offset: this.#own.offset,
      maxEventBytes: this.#parts.maxEventBytes,
      store: batch => this.#store(batch),
      onStored: (batch, firstSeq) => this.#onStored(batch, firstSeq),
      onFailure: error => this.#onFailure(error),
    })
    this.#gatherer = gatherer
    this.#link = program ? Promise.resolve(this.#follow(program.connection, gatherer)) : this.#connect(gatherer)
  }

  async #connect(gatherer: Gatherer): Promise<HolderLink | undefined> {
    const folder = this.#parts.places.of(this.#session.id, this.#own.incarnation)
    for (;;) {
      let reason: string
      try {
        const connection = await connectHolder(folder, { clock: this.#parts.clock })
        if (this.#isStopped) {
          if (connection.state === 'live') connection.link.close()
          return undefined
        }
        if (connection.state !== 'unreachable') return this.#follow(connection, gatherer)
        reason = connection.reason
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error)
      }
      this.#parts.logger.warn('a program can not be reached; asking again', { session_id: this.#session.id, reason })
      await new Promise<void>(resolve => void this.#parts.clock.after(AGAIN_MS, resolve))
      if (this.#isStopped) return undefined
    }
  }

  /** Reads on from where the last reading ended. */
  #follow(connection: Exclude<HolderConnection, { state: 'unreachable' }>, gatherer: Gatherer): HolderLink | undefined {
    const isLive = connection.state === 'live'
    const listener: HolderListener = {
      onOutput: (offset, bytes) => this.#onOutput(gatherer, offset, bytes),
      onExit: exit => void this.#onExit(gatherer, exit),
      onLost: reason => {
        if (this.#isStopped) return
        if (isLive) this.#link = reason === 'taken' ? this.#later(gatherer) : this.#connect(gatherer)
        else void this.#onExit(gatherer, { exitCode: null, signal: null })
      },
    }
    if (connection.state === 'live') {
      const { link } = connection
      const known = link.hello.streams[0]?.end ?? 0
      if (this.#received > known) this.#warn(gatherer, `The log knows of output up to ${this.#received}, the program's holder only up to ${known}.`)
      this.#received = Math.min(this.#received, known)
      this.#ack = offset => link.ack(offset)
      this.#close = () => link.close()
      link.read([this.#received], listener)
      if (this.#session.isEnded) link.kill()
      return link
    }
    const { remains } = connection
    const { start = 0, end = 0 } = remains.streams[0] ?? {}
    if (this.#received < start) this.#warn(gatherer, `Output from ${this.#received} to ${start} is lost.`)
    this.#received = Math.max(start, Math.min(this.#received, end))
    const reading = remains.follow([this.#received], listener)
    this.#ack = offset => reading.ack(offset)
    this.#close = () => reading.close()
    return undefined
  }

  async #later(gatherer: Gatherer): Promise<HolderLink | undefined> {
    await new Promise<void>(resolve => void this.#parts.clock.after(AGAIN_MS, resolve))
    return this.#connect(gatherer)
  }

  #ack: (offset: number) => void = () => undefined

  #onOutput(gatherer: Gatherer, offset: number, bytes: Uint8Array): void {
    if (offset > this.#received) this.#warn(gatherer, `Output from ${this.#received} to ${offset} is not here: the log is older than it once was.`)
    this.#received = offset + bytes.length
    gatherer.push(offset, bytes)
  }

  async #onExit(gatherer: Gatherer, exit: { readonly exitCode: number | null; readonly signal: string | null }): Promise<void> {
    this.#link = Promise.resolve(undefined)
    const { incarnation } = this.#own
    gatherer.mark(this.#received, { type: 'terminal.exited', payload: { exit_code: exit.exitCode, signal: exit.signal } }).catch(() => undefined)
    const isWhole = await gatherer.finish()
    this.#attention?.stop()
    this.#screenClosed = this.#screen?.close()
    this.#screen = undefined
    if (isWhole) await this.#parts.places.clear(this.#session.id, incarnation, false)
  }

  #warn(gatherer: Gatherer, message: string): void {
    this.#parts.logger.warn('output is missing', { session_id: this.#session.id, message })
    gatherer.mark(0, { type: 'session.warning', payload: { message } }).catch(() => undefined)
  }

  async #store({ events, offset }: Batch): Promise<number> {
    const isShown = events.some(event => event.type !== 'terminal.output')
    const changed = (before: unknown): TerminalOwn => events.reduce(ownAfter, { ...(ownFrom(before) ?? this.#own), offset })
    const firstSeq = await this.#session.commit({
      events,
      own: changed,
      ...(isShown ? { shown: () => shownFromOwn(events.reduce(ownAfter, this.#own), this.#options) } : {}),
    })
    this.#own = events.reduce(ownAfter, { ...this.#own, offset })
    return firstSeq
  }

  async #onStored(batch: Batch, firstSeq: number): Promise<void> {
    this.#ack(batch.offset)
    if (batch.bytes.some(piece => piece !== undefined)) this.#attention?.printed()
    await this.#screen?.write(batch, firstSeq)
  }

  /** Everybody attached was told already; what is not acked stays with the holder, which makes the program wait in the end (TERM-14, TERM-15). */
  #onFailure(thrown: unknown): boolean {
    const error = errorFrom(thrown)
    if (error.code !== 'storage_failed' && error.status !== 410)
      this.#parts.logger.warn('output could not be stored', { session_id: this.#session.id, error: error.message })
    return error.status !== 410 && error.code !== 'draining' && error.code !== 'not_found'
  }

  // Inputs

  #checkWriter({ seat, type }: DriverInput): void {
    const now = this.#parts.clock.steadyMs()
    const writer = writerAt(this.#roles, now)
    if (writer !== undefined && !speaksFor(seat, writer))
      throw new HoldfastError('forbidden', `Another client is the writer; send terminal.take_writer before ${type}.`, { role: 'viewer' })
    if (writer !== undefined || !this.#roles.attached.has(seat)) return
    this.#roles = withWriter(this.#roles, seat, now)
    this.#noteWriter(true)
  }

  async #type(input: DriverInput): Promise<Answer> {
    this.#attention?.typed()
    const pieces = inputPieces(input.id, bytesFromInput(input.payload))
    // All pieces at once: the holder keeps their order, and nothing else comes between.
    const answers = await Promise.all(pieces.map(({ id, bytes }) => this.#typePiece(input.sender, id, bytes)))
    return { seq: null, duplicate: answers.every(duplicate => duplicate) }
  }

  async #typePiece(sender: string, id: string, bytes: Uint8Array): Promise<boolean> {
    for (let isSent = false; ; isSent = true) {
      const link = await this.#link
      if (this.#isStopped) throw letGo()
      if (!link) throw isSent ? unknownInput() : programEnded()
      const result = await link.input(sender, id, bytes)
      if (result.ok) return result.duplicate
      if (result.reason === 'ended') throw programEnded()
      if (result.reason === 'full')
        throw new HoldfastError('rate_limited', 'The program reads too slowly: too much that was typed waits for it.', {
          limit: 'input_waiting',
          retry_after_ms: 1000,
        })
      if (result.reason === 'invalid') throw new HoldfastError('invalid_request', 'The program takes no such input.')
    }
  }

  async #resize({ clientId }: DriverInput, { cols, rows }: { readonly cols: number; readonly rows: number }): Promise<Answer> {
    const link = await this.#link
    const gatherer = this.#gatherer
    const offset = link && (await link.resize(cols, rows))
    if (!gatherer || offset === undefined) throw this.#isStopped ? letGo() : programEnded()
    if (cols === this.#own.cols && rows === this.#own.rows) return { seq: null, duplicate: false }
    const event: DriverEvent = { type: 'terminal.resized', payload: { cols, rows }, ...(clientId === undefined ? {} : { clientId }) }
    return { seq: await gatherer.mark(offset, event), duplicate: false }
  }

  async #signal(name: string): Promise<Answer> {
    if (!SIGNALS.has(name)) throw new HoldfastError('invalid_request', `signal is one of ${[...SIGNALS].join(', ')}.`, { field: 'payload.signal' })
    const link = await this.#link
    if (!link || !(await link.signal(name))) throw this.#isStopped ? letGo() : programEnded()
    return { seq: null, duplicate: false }
  }

  async #takeWriter({ seat, clientId, receipt }: DriverInput): Promise<Answer> {
    const now = this.#parts.clock.steadyMs()
    if (writerAt(this.#roles, now) === seat) return { seq: null, duplicate: false }
    const seq = await this.#session.commit({ ...this.#writerChange(clientId ?? null, clientId), ...(receipt ? { receipt } : {}) })
    this.#roles = withWriter(this.#roles, seat, now)
    this.#own = { ...this.#own, writer: clientId ?? null }
    return { seq, duplicate: false }
  }

  /** The next program under the same id, in the same log (TERM-06). */
  async #respawn({ receipt, clientId }: DriverInput): Promise<Answer> {
    if (this.#own.alive || this.#isStarting) throw new HoldfastError('busy', 'The program still runs.', { session_id: this.#session.id })
    checkPolicy(this.#parts.policy, this.#options)
    this.#isStarting = true
    try {
      const { cols, rows } = this.#own
      const incarnation = this.#own.incarnation + 1
      await this.#screenClosed
      const program = await startProgram(this.#parts, { sessionId: this.#session.id, incarnation, options: { ...this.#options, cols, rows } })
      const own: TerminalOwn = { ...this.#own, ...program.own, incarnation, alive: true, offset: 0 }
      const event = { type: 'terminal.started', payload: startedPayload(own, this.#options), ...(clientId === undefined ? {} : { clientId }) }
      try {
        const shown = (): Readonly<Record<string, unknown>> => shownFromOwn(own, this.#options)
        const seq = await this.#session.commit({ events: [event], own: () => own, shown, ...(receipt ? { receipt } : {}) })
        this.#own = own
        if (!this.#isStopped) this.#run(program)
        return { seq, duplicate: false }
      } catch (thrown) {
        if (program.connection.state === 'live') program.connection.link.close()
        await this.#parts.places.clear(this.#session.id, incarnation, true)
        throw thrown
      }
    } finally {
      this.#isStarting = false
    }
  }

  // What is noted besides

  #writerChange(writer: string | null, clientId?: string) {
    const event: DriverEvent = { type: 'terminal.writer_changed', payload: { client_id: writer }, ...(clientId === undefined ? {} : { clientId }) }
    return { events: [event], own: (before: unknown) => ({ ...(ownFrom(before) ?? this.#own), writer }) }
  }

  /** Kept on disk, so that after a restart the writer is still the writer; told only to those who knew of another. */
  #noteWriter(isTold: boolean): void {
    const { writer } = this.#roles
    const clientId = writer?.startsWith('c:') ? writer.slice(2) : null
    const change = this.#writerChange(clientId)
    if (!isTold && this.#own.writer === clientId) return
    this.#own = { ...this.#own, writer: clientId }
    this.#session.commit(isTold ? change : { own: change.own }).catch(() => undefined)
  }

  #use(): void {
    this.#usedAt = this.#session.now()
    if (this.#isStopped || this.#usedAt - this.#session.activityAt < NOTE_MS) return
    this.#session.commit({ isUse: true }).catch(() => undefined)
  }
}

/** What an event says about the terminal. */
function ownAfter(own: TerminalOwn, event: DriverEvent): TerminalOwn {
  if (event.type === 'terminal.resized') {
    const { cols, rows } = event.payload as { cols: number; rows: number }
    return { ...own, cols, rows }
  }
  return event.type === 'terminal.exited' ? { ...own, alive: false } : own
}

/** The payload of `terminal.started`. */
export const startedPayload = (own: TerminalOwn, { command, cwd }: TerminalOptions) => ({
  pid: own.pid,
  command,
  cwd,
  cols: own.cols,
  rows: own.rows,
  incarnation: own.incarnation,
})

const programEnded = (): HoldfastError => new HoldfastError('session_ended', 'The program has ended; terminal.respawn starts it again.')
const unknownInput = (): HoldfastError =>
  new HoldfastError('session_ended', 'The program ended while this was on its way: whether it was typed is unknown.', { outcome: 'unknown' })
const letGo = (): HoldfastError => new HoldfastError('draining', 'The server is stopping; reconnect in a moment.')
