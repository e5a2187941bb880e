import { KIND_NAMES, type Session } from '@holdfast/protocol'
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { ago, jsonLine, paintFor, stateStyle, table } from '../output.ts'

interface LsOptions extends ClientOptions {
  readonly kind?: string
  readonly status?: string
  readonly limit: string
  readonly all?: boolean
}

export function registerLs(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command('ls', 'list sessions, newest activity first', [
        'holdfast ls',
        'holdfast ls --kind run --status running',
        'holdfast ls --all --json | jq -r .session_id',
      ]).alias('list'),
    )
      .option('--kind <kind>', `only one kind: ${KIND_NAMES.join(', ')}`)
      .option('--status <status>', 'only running or finished ones')
      .option('--limit <count>', 'how many', '30')
      .option('--all', 'all of them, page after page')
      .action(async (options: LsOptions) => {
        if (options.kind !== undefined && !(KIND_NAMES as readonly string[]).includes(options.kind))
          throw new UsageError(`--kind is one of ${KIND_NAMES.join(', ')}.`)
        if (options.status !== undefined && options.status !== 'running' && options.status !== 'finished')
          throw new UsageError('--status is "running" or "finished".')
        if (!/^[1-9]\d{0,5}$/.test(options.limit)) throw new UsageError('--limit is a number from 1.')
        const { sessions, more } = await listAll(apiOf(options, io), options)
        if (options.json) for (const session of sessions) io.out(jsonLine(session))
        else io.out(sessions.length === 0 ? 'No sessions. Make one: holdfast create --name "My first run"\n' : draw(sessions, io))
        if (more && !options.json) io.err(`There are more: holdfast ls --all\n`)
      }),
  )
}

async function listAll(api: Api, options: LsOptions): Promise<{ sessions: Session[]; more: boolean }> {
  const wanted = options.all ? Number.POSITIVE_INFINITY : Number(options.limit)
  const sessions: Session[] = []
  let page: string | null = null
  do {
    const query = new URLSearchParams({ limit: String(Math.min(200, wanted - sessions.length)) })
    if (options.kind !== undefined) query.set('kind', options.kind)
    if (options.status !== undefined) query.set('status', options.status)
    if (page !== null) query.set('page', page)
    const body = (await api.request('GET', `/sessions?${query}`)).body as { sessions: Session[]; next_page: string | null }
    sessions.push(...body.sessions)
    page = body.next_page
  } while (page !== null && sessions.length < wanted)
  return { sessions, more: page !== null }
}

function draw(sessions: readonly Session[], io: Io): string {
  const now = Date.now()
  return table(
    sessions,
    [
      { title: 'ID', text: session => session.session_id },
      { title: 'KIND', text: session => session.kind },
      { title: 'NAME', text: session => session.session_name ?? '–', cut: true },
      { title: 'STATE', text: session => session.state, style: session => stateStyle(session.state) },
      { title: 'EVENTS', text: session => String(session.head_seq), align: 'right' },
      { title: 'LAST ACTIVITY', text: session => ago(session.last_activity_at, now) },
    ],
    paintFor(io),
    io.columns,
  )
}
