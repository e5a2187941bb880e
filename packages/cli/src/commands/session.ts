import type { Session } from '@holdfast/protocol'
import type { Command } from 'commander'
import { sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { ago, bytesText, jsonLine, list, oneLine, paintFor, stateStyle } from '../output.ts'

/** The commands that do one thing to one session. */
export function registerSession(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'status',
        'show how a session stands',
        ['holdfast status build', 'until [ "$(holdfast status build --json | jq -r .status)" = finished ]; do sleep 5; done'],
        'With --json: {"status": "running" | "finished" | "not_existent", "state", "session"}. Exit code 1 where there is no such session.',
      ),
    )
      .argument('<id>')
      .action(async (id: string, options: ClientOptions) => status(id, options, io)),
  )
  program.addCommand(
    withClient(command('result', "print a run's result: the text of its last assistant message", ['holdfast result build', 'holdfast result build --partial']))
      .argument('<id>')
      .option('--partial', 'also while the run is not finished')
      .action(async (id: string, options: ClientOptions & { partial?: boolean }) => {
        const { body } = await apiOf(options, io).request('GET', `${sessionPath(id)}/result${options.partial ? '?partial=true' : ''}`)
        const { result } = body as { result: string }
        io.out(options.json ? jsonLine(body) : result.endsWith('\n') ? result : `${result}\n`)
      }),
  )
  program.addCommand(
    withClient(command('resume', 'resume a session; a finished run is open again', ['holdfast resume build']))
      .argument('<id>')
      .option('--force', 'also where the transcript is damaged: restore what can be read')
      .action(async (id: string, options: ClientOptions & { force?: boolean }) => {
        const { body } = await apiOf(options, io).request('POST', `${sessionPath(id)}/resume${options.force ? '?force=true' : ''}`, { body: {} })
        const { session, messages, context_restored: restored } = body as { session: Session; messages?: number; context_restored?: boolean }
        io.out(options.json ? jsonLine(body) : `Resumed ${session.session_id}${restored ? ` with ${messages} messages` : ''}.\n`)
      }),
  )
  program.addCommand(
    withClient(command('end', 'end a session; its log stays', ['holdfast end build']))
      .argument('<id>')
      .action(async (id: string, options: ClientOptions) => {
        const { body } = await apiOf(options, io).request('POST', `${sessionPath(id)}/end`, { body: {} })
        io.out(options.json ? jsonLine((body as { session: Session }).session) : `Ended ${id}.\n`)
      }),
  )
  program.addCommand(
    withClient(command('rename', 'give a session another name', ['holdfast rename build "Nightly build of main"']))
      .argument('<id>')
      .argument('<name>')
      .action(async (id: string, name: string, options: ClientOptions) => {
        const { body } = await apiOf(options, io).request('PATCH', sessionPath(id), { body: { session_name: name } })
        io.out(options.json ? jsonLine((body as { session: Session }).session) : `Renamed ${id} to ${name}.\n`)
      }),
  )
  program.addCommand(
    withClient(
      command('rm', 'delete sessions: their events and files are erased, their ids are not used again', [
        'holdfast rm build',
        'holdfast rm parent --children delete',
      ]).alias('delete'),
    )
      .argument('<id...>')
      .option('--children <what>', 'what becomes of sessions that it started: keep or delete', 'keep')
      .action(async (ids: string[], options: ClientOptions & { children: string }) => {
        if (options.children !== 'keep' && options.children !== 'delete') throw new UsageError('--children is "keep" or "delete".')
        for (const id of ids) {
          await apiOf(options, io).request('DELETE', `${sessionPath(id)}?children=${options.children}`)
          io.out(options.json ? jsonLine({ ok: true, session_id: id }) : `Deleted ${id}.\n`)
        }
      }),
  )
}

async function status(id: string, options: ClientOptions, io: Io): Promise<void> {
  const api = apiOf(options, io)
  const { body } = await api.request('GET', `${sessionPath(id)}/status`)
  const { status: word, state } = body as { status: string; state: string | null }
  const session =
    word === 'not_existent' && !options.json
      ? undefined
      : await api.request('GET', sessionPath(id)).then(answer => (answer.body as { session: Session }).session, orNull(word))
  if (options.json) {
    io.out(jsonLine({ status: word, state, ...(session ? { session } : {}) }))
    if (!session) throw await missing(id)
    return
  }
  if (!session) throw await missing(id)
  io.out(details(session, io))
}

const orNull =
  (word: string) =>
  (error: unknown): undefined => {
    if (word === 'not_existent') return undefined
    throw error
  }

/** Deleted, expired and unknown ids read the same in `status`; a second look says which it is. */
async function missing(id: string): Promise<Error> {
  const { HoldfastError } = await import('@holdfast/protocol')
  return new HoldfastError('not_found', `There is no session "${id}" (any more).`)
}

function details(session: Session, io: Io): string {
  const paint = paintFor(io)
  const now = Date.now()
  const style = stateStyle(session.state)
  const when = (iso: string | null): string | undefined => (iso === null ? undefined : `${iso}  (${ago(iso, now)})`)
  const entries: [string, string | undefined][] = [
    ['Session', session.session_id],
    ['Name', session.session_name ?? undefined],
    ['Kind', session.kind],
    ['State', style ? paint(style, session.state) : session.state],
    ['Agent', session.agent_name ?? undefined],
    ['Project', session.project_dir ?? undefined],
    ['Working in', session.working_dir === session.project_dir ? undefined : (session.working_dir ?? undefined)],
    ['Description', session.description ?? undefined],
    ['Started by', session.parent_session_id ?? undefined],
    ['Goes on from', session.previous_session_id ?? undefined],
    ['Owner', session.owner],
    ['Events', `${session.head_seq}${session.floor_seq > 0 ? ` (those up to ${session.floor_seq} are no longer kept)` : ''}, ${bytesText(session.bytes)}`],
    ['Created', when(session.created_at)],
    ['Last activity', when(session.last_activity_at)],
    ['Resumed', when(session.last_resumed_at)],
    ['Ended', when(session.ended_at)],
    ['Metadata', Object.keys(session.metadata).length > 0 ? JSON.stringify(session.metadata) : undefined],
  ]
  return list(
    entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, name === 'State' ? value : oneLine(value)] as const])),
    paint,
  )
}
