import { type Event, HoldfastError, parseCursor, type Session } from '@holdfast/protocol'
import type { Command } from 'commander'
import { type Api, sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import { followSession, readToHead, type Step } from '../follow.ts'
import type { Io } from '../io.ts'
import { jsonLine, paintFor, plainText } from '../output.ts'
import { prettyEvent, streamedText } from '../pretty.ts'

interface TailOptions extends ClientOptions {
  readonly from?: string
  readonly last?: string
  readonly follow: boolean
}

const DETAILS = `Shows what is in the log, then goes on live. It reconnects by itself and resumes after the last event
that it showed, so that nothing is missed and nothing comes twice; the session does not notice.
"_feed" is the life of all your sessions. With --json each line is one event as it is stored.`

export function registerTail(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'tail',
        'watch a session: what was, then what comes',
        [
          'holdfast tail build',
          'holdfast tail build --last 20',
          'holdfast tail build --no-follow --json > build.jsonl',
          'holdfast tail _feed --from 0',
          'holdfast tail build --json | jq -r "select(.type == \\"run.message\\").payload.content"',
        ],
        DETAILS,
      ),
    )
      .argument('<id>')
      .option('--from <cursor>', 'begin after this place: a seq, or <epoch>.<seq>; 0 is the start (the default)')
      .option('--last <count>', 'begin with the last so many events')
      .option('--no-follow', 'stop at the newest event')
      .action(async (id: string, options: TailOptions) => tail(id, options, io)),
  )
}

async function tail(id: string, options: TailOptions, io: Io): Promise<void> {
  const api = apiOf(options, io)
  // A wrong id, a wrong token or no server is said at once; what goes wrong later is waited out.
  const head = await headOf(api, id)
  const cursor = startOf(options, head)
  const printer = createPrinter(options.json === true, io)
  const steps = options.follow ? followSession(api, id, cursor, io.signal) : readToHead(api, id, cursor, io.signal)
  for await (const step of steps) printer.show(step)
  printer.finish()
}

async function headOf(api: Api, id: string): Promise<number> {
  if (id === '_feed') return ((await api.request('GET', '/feed/events?limit=1')).body as { head_seq: number }).head_seq
  return ((await api.request('GET', sessionPath(id))).body as { session: Session }).session.head_seq
}

function startOf(options: TailOptions, head: number): string | number {
  if (options.from !== undefined && options.last !== undefined) throw new UsageError('--from and --last exclude each other.')
  if (options.last !== undefined) {
    if (!/^\d{1,9}$/.test(options.last)) throw new UsageError('--last is a number of events.')
    return Math.max(0, head - Number(options.last))
  }
  if (options.from !== undefined && parseCursor(options.from) === undefined)
    throw new HoldfastError('invalid_cursor', `"${options.from}" is no cursor: give a seq like 42, or <epoch>.<seq>.`)
  return options.from ?? 0
}

function createPrinter(json: boolean, io: Io): { show(step: Step): void; finish(): void } {
  const paint = paintFor(io)
  let midLine = false
  const endLine = (): void => {
    if (midLine) io.out('\n')
    midLine = false
  }
  const showEvent = (event: Event): void => {
    if (json) return io.out(jsonLine(event))
    const streamed = streamedText(event)
    if (streamed === undefined) {
      endLine()
      io.out(prettyEvent(event, paint, io.columns))
      return
    }
    const text = plainText(streamed)
    if (text === '') return
    io.out(text)
    midLine = !text.endsWith('\n')
  }
  return {
    show(step) {
      if (step.type === 'event') showEvent(step.event)
      else {
        endLine()
        io.err(`— ${step.text}\n`)
      }
    },
    finish: endLine,
  }
}
