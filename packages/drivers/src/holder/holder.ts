import { existsSync, rmSync } from 'node:fs'
import type { Clock } from '@holdfast/core'
import { type Door, listenAt } from './door.ts'
import { findCommand } from './find-command.ts'
import { HOLDER_PROTOCOL, type ClientFrame, type HolderFrame, type StreamId } from './frames.ts'
import { type HolderConfig, StartError } from './holder-config.ts'
import { EXIT_FILE, type HolderExit, type HolderRecord, readRecord, RECORD_FILE, SOCKET_FILE, writeDurably } from './holder-record.ts'
import { createInputs, type Inputs } from './inputs.ts'
import { killProgram, signalProgram } from './killing.ts'
import { createOutputStore } from './output-store.ts'
import { type Processes, signalGroup } from './processes.ts'
import type { ProcessEnd, Program, ProgramEvents, ProgramOptions } from './program.ts'
import { createSpool, type Spool } from './spool.ts'

/** What a holder needs of the world around it. */
export interface HolderPorts {
  readonly clock: Clock
  readonly processes: Processes
  /** Starts the program; rejects with StartError where it can't. */
  start(options: ProgramOptions, events: ProgramEvents): Promise<Program>
}

/** A program that is held. */
export interface Holder {
  readonly programPid: number
  /** As the kill frame does. */
  kill(): void
  /** The program has ended, everything of it is on disk, and everybody was told. */
  readonly over: Promise<void>
}

/** How often a full disk is asked again. */
const RETRY_MS = 500

/** Starts a program and holds it, in the working folder. Rejects with StartError, with nothing left in the folder. */
export async function startHolder(config: HolderConfig, ports: HolderPorts): Promise<Holder> {
  const { clock, processes } = ports
  if (readRecord('.') !== undefined) throw new StartError('folder_in_use', 'another program was held in this folder')
  const file = findCommand(config.command, config.cwd, config.env['PATH'] ?? '')

  const record: HolderRecord = {
    protocol: HOLDER_PROTOCOL,
    holderId: config.holderId,
    bootId: processes.bootId(),
    holder: { pid: process.pid, startTime: processes.startTime(process.pid) ?? '' },
    program: null,
    sessionId: config.sessionId,
    incarnation: config.incarnation,
    mode: config.mode,
    command: config.command,
    createdAt: clock.wallMs(),
  }
  const streams: readonly StreamId[] = config.mode === 'pty' ? [0] : [0, 1]
  const spools = streams.map(stream => createSpool({ folder: '.', stream, segmentBytes: config.segmentBytes }))
  let program: Program | undefined
  let door: Door | undefined
  let ended: ProcessEnd | undefined
  let killed: Promise<void> | undefined
  let concluded = false
  let inputs: Inputs | undefined
  let size = { cols: config.cols, rows: config.rows }
  let finished = (): void => {}
  const over = new Promise<void>(resolve => {
    finished = resolve
  })

  const store = createOutputStore({
    spools,
    limitBytes: config.spoolBytes,
    retry: callback => void clock.after(RETRY_MS, callback),
    onStored: (stream, bytes) => door?.grown(stream, bytes),
    onFlow: flows => (flows ? program?.resume() : program?.pause()),
  })

  /** The exit record is on disk before anybody hears of the exit; a disk that takes none is asked again. */
  const conclude = (end: ProcessEnd): void => {
    if (concluded) return
    const exit: HolderExit = { ...end, endOffset: spools[0]?.end ?? 0, stderrEndOffset: spools[1]?.end ?? 0 }
    try {
      for (const spool of spools) spool.sync()
      writeDurably(EXIT_FILE, exit)
    } catch {
      clock.after(RETRY_MS, () => conclude(end))
      return
    }
    concluded = true
    door?.close(exit)
    finished()
  }
  const watchFolder = (): void =>
    void clock.after(config.folderCheckMs, () => {
      if (existsSync(RECORD_FILE)) return watchFolder()
      kill()
      void killed?.then(() => {
        concluded = true
        door?.abandon()
        finished()
      })
    })
  const events: ProgramEvents = {
    onOutput: (stream, bytes) => store.take(stream, bytes),
    onExit(end) {
      ended = end
      inputs?.close()
      store.lift()
      void store.stored().then(() => program?.finish(config.exitGraceMs))
    },
    onEnd: () =>
      void store
        .stored()
        .then(() => killed)
        .then(() => ended && conclude(ended)),
  }

  const kill = (): void => {
    if (killed || !program) return
    killed = killProgram(program.pid, config.killGraceMs, clock, processes)
    // What no signal ends (a process in the kernel's hands) is not waited for.
    void killed.then(() => clock.after(config.killGraceMs, () => conclude(ended ?? { exitCode: null, signal: 'SIGKILL' })))
  }

  const onRequest = (frame: Exclude<ClientFrame, { type: 'read-from' | 'ack' | 'kill' | 'ping' }>, answer: (frame: HolderFrame) => void): void => {
    const { request } = frame
    switch (frame.type) {
      case 'input':
        return inputs?.take(frame.client, frame.id, frame.bytes, result => answer({ type: 'done', request, result }))
      case 'input-end':
        return inputs?.end(result => answer({ type: 'done', request, result }))
      case 'resize': {
        // Everything that was read was printed before; what the program prints for the new size comes at this offset or after it.
        program?.flush()
        const done = frame.cols > 0 && frame.rows > 0 && program?.resize(frame.cols, frame.rows) === true
        if (!done) return answer({ type: 'done', request, result: ended ? 'ended' : 'invalid' })
        size = { cols: frame.cols, rows: frame.rows }
        return answer({ type: 'resized', request, offset: store.offset(0) })
      }
      case 'signal':
        return answer({ type: 'done', request, result: ended ? 'ended' : signalProgram(program?.pid ?? 0, frame.name, processes) ? 'done' : 'invalid' })
    }
  }
  const onAck = (stream: StreamId, offset: number): void => {
    spools[stream]?.ack(offset)
    store.check()
  }

  try {
    writeDurably(RECORD_FILE, record)
    door = await listenAt(SOCKET_FILE, spools, { onRequest, onAck, onKill: kill })
    program = await ports.start({ ...config, command: file }, events)
    inputs = createInputs(program)
    const running = { pid: program.pid, startTime: processes.startTime(program.pid) ?? '' }
    writeDurably(RECORD_FILE, { ...record, program: running })
    door.open(() => ({ ...record, program: running, ...size, streams: spools.map(({ start, end }) => ({ start, end })) }))
    watchFolder()
    return { programPid: program.pid, kill, over }
  } catch (cause) {
    if (program) signalGroup(program.pid, 'SIGKILL')
    door?.abandon()
    leaveNothing(spools)
    throw cause instanceof StartError ? cause : new StartError('spawn_failed', String(cause), { cause })
  }
}

function leaveNothing(spools: readonly Spool[]): void {
  for (const spool of spools) spool.remove()
  for (const name of [RECORD_FILE, `${RECORD_FILE}.new`, SOCKET_FILE]) rmSync(name, { force: true })
}
