import { createReadStream, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { readCast } from '../terminal/cast.ts'
import { createQuestionFilter } from '../terminal/questions.ts'
import { afterScreen } from '../terminal/screen-reset.ts'
import { terminalSession } from '../terminal/attached.ts'

interface PlayOptions extends ClientOptions {
  readonly speed: string
  readonly idleLimit?: string
}

export function registerPlay(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'play',
        'play what a terminal session printed, at its own pace or faster',
        ['holdfast play shell', 'holdfast play shell.cast --speed 4 --idle-limit 2'],
        'Plays a recording in asciicast format (a file, "-" for standard input) or, by its id, a session of the server. Ctrl-C stops.',
      ),
    )
      .argument('<file-or-id>')
      .option('--speed <factor>', 'how many times as fast', '1')
      .option('--idle-limit <seconds>', 'no pause is longer than this')
      .action(async (what: string, options: PlayOptions) => play(what, options, io)),
  )
}

async function play(what: string, options: PlayOptions, io: Io): Promise<void> {
  const speed = positive(options.speed, '--speed')
  const idleMs = options.idleLimit === undefined ? Number.POSITIVE_INFINITY : positive(options.idleLimit, '--idle-limit') * 1000
  const filter = createQuestionFilter()
  let dueAt = performance.now()
  try {
    for await (const part of readCast(await castOf(what, options, io))) {
      if (part.type === 'header') {
        const { columns, rows } = io.tty ?? {}
        if (columns !== undefined && rows !== undefined && (columns < part.cols || rows < part.rows))
          io.err(`[holdfast] This window is ${columns}×${rows}, the recording ${part.cols}×${part.rows}: make it larger to see all.\n`)
        continue
      }
      dueAt += Math.min(part.afterMs / speed, idleMs)
      const waitMs = dueAt - performance.now()
      if (waitMs > 1) await sleep(waitMs, undefined, { signal: io.signal })
      io.signal.throwIfAborted()
      if (part.code === 'o') await io.outBytes(filter(Buffer.from(part.data)))
    }
  } finally {
    if (io.isTerminal) io.out(afterScreen())
  }
}

async function castOf(what: string, options: PlayOptions, io: Io): Promise<AsyncIterable<Uint8Array>> {
  if (what === '-') {
    if (!io.stdin) throw new UsageError('There is nothing on standard input to play.')
    return io.stdin
  }
  if (existsSync(what)) return createReadStream(what)
  if (/[/\\]|\.cast$/.test(what)) throw new UsageError(`There is no file "${what}".`)
  const api = apiOf(options, io)
  await terminalSession(api, what)
  return api.stream(`${sessionPath(what)}/export?format=asciicast`, io.signal)
}

function positive(text: string, name: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new UsageError(`${name} is a number over 0, not "${text}".`)
  return value
}
