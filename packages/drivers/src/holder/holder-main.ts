// One program's holder, as a process of its own. Configuration comes over stdin, the working folder is its folder, stdout gets one line.
import { appendFileSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { startHolder } from './holder.ts'
import { holderClock } from './holder-clock.ts'
import { configFrom, type HolderConfig, type ReadyLine, StartError } from './holder-config.ts'
import { startPipeProgram } from './pipe-program.ts'
import { processesHere } from './processes.ts'
import type { Program, ProgramEvents, ProgramOptions } from './program.ts'
import { loadPtyNative } from './pty-native.ts'
import { startPtyProgram } from './pty-program.ts'
import { untilExecuted } from './until-executed.ts'

/** How long a client may take to read the last frames; the folder has it all. */
const FAREWELL_MS = 1000

/** EX_SOFTWARE of sysexits.h: a fault of the holder's own. The kernel then hangs the program up. */
const BROKEN = 70

// The umask of the server is the program's; the holder's own files are for nobody else.
const programUmask = process.umask(0o077)

process.on('uncaughtException', error => {
  appendFileSync('holder.log', `${error.stack ?? String(error)}\n`)
  process.exit(BROKEN)
})
// Whoever ends the server's terminal does not mean this process.
for (const signal of ['SIGHUP', 'SIGINT'] as const) process.on(signal, () => {})

async function start(mode: HolderConfig['mode'], options: ProgramOptions, events: ProgramEvents): Promise<Program> {
  const { native, helperPath } = mode === 'pty' ? loadPtyNative() : { native: undefined, helperPath: '' }
  const umask = process.umask(programUmask)
  try {
    if (!native) return await startPipeProgram(options, holderClock, events)
    return await untilExecuted(watched => startPtyProgram(options, { native, helperPath, clock: holderClock, processes: processesHere }, watched), events, {
      clock: holderClock,
      processes: processesHere,
    })
  } finally {
    process.umask(umask)
  }
}

/** Says the one line; a server that died meanwhile finds the folder. */
function say(line: ReadyLine): void {
  try {
    writeSync(1, `${JSON.stringify(line)}\n`)
  } catch {
    // Nobody is there to read it.
  }
}

/** Lets go of the server's pipes; the numbers stay taken, so that no other file becomes stdin or stdout. */
function closeStdio(): void {
  for (const fd of [0, 1, 2]) {
    closeSync(fd)
    openSync('/dev/null', fd === 0 ? 'r' : 'w')
  }
}

try {
  const config = configFrom(readFileSync(0, 'utf8'))
  const holder = await startHolder(config, { clock: holderClock, processes: processesHere, start: (options, events) => start(config.mode, options, events) })
  process.on('SIGTERM', () => holder.kill())
  say({ ok: true, holderPid: process.pid, programPid: holder.programPid })
  closeStdio()
  await holder.over
  holderClock.after(FAREWELL_MS, () => process.exit())
} catch (error) {
  const { code, message } = error instanceof StartError ? error : new StartError('holder_failed', String(error))
  say({ ok: false, code, message })
  process.exit(1)
}
