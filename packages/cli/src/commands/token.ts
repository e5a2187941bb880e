import type { Command } from 'commander'
import { apiOf, type ClientOptions, collect, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { ago, jsonLine, paintFor, table } from '../output.ts'

const SCOPES = ['read', 'write', 'produce', 'exec', 'admin']

interface Token {
  readonly id: string
  readonly subject: string
  readonly scopes: readonly string[]
  readonly session_id?: string | null
  readonly created_at?: string
  readonly expires_at?: string | null
}

const DETAILS = `Scopes: read (see sessions), write (inputs, rename, resume, end, delete), produce (post events, create runs),
exec (create terminals and agents), admin (all of them, every owner's sessions).`

export function registerToken(program: Command, io: Io): void {
  const token = command(
    'token',
    'make, list and revoke tokens',
    ['holdfast token create --subject ci --scope produce --scope read', 'holdfast token ls', 'holdfast token revoke 0199…'],
    DETAILS,
  )
  program.addCommand(token)
  token.addCommand(
    withClient(
      command(
        'create',
        'make a token; it is shown this once',
        [
          'holdfast token create --subject ci --scope produce --expires 30d',
          'export HOLDFAST_TOKEN=$(holdfast token create --subject me --scope read --scope write)',
        ],
        DETAILS,
      ),
    )
      .requiredOption('--subject <name>', 'who it is for: the owner of what it creates')
      .option('--scope <scope>', `${SCOPES.join(', ')}; may be repeated`, collect)
      .option('--session <id>', 'good for this session only')
      .option('--expires <when>', 'a date, or a time from now: 12h, 30d')
      .action(async (options: ClientOptions & { subject: string; scope?: string[]; session?: string; expires?: string }) => {
        const scopes = (options.scope ?? []).flatMap(scope => scope.split(','))
        if (scopes.length === 0) throw new UsageError(`Say what it may do: --scope ${SCOPES.join(' | ')}`)
        const wrong = scopes.find(scope => !SCOPES.includes(scope))
        if (wrong !== undefined) throw new UsageError(`There is no scope "${wrong}"; there are ${SCOPES.join(', ')}.`)
        const expires = options.expires === undefined ? {} : { expires_at: expiry(options.expires, Date.now()) }
        const session = options.session === undefined ? {} : { session_id: options.session }
        const { body } = await apiOf(options, io).request('POST', '/tokens', { body: { subject: options.subject, scopes, ...session, ...expires } })
        const made = body as Token & { token: string }
        io.out(options.json ? jsonLine(made) : `${made.token}\n`)
        if (!options.json) io.err(`Token ${made.id} for ${made.subject}: ${made.scopes.join(', ')}. It is not shown again.\n`)
      }),
  )
  token.addCommand(
    withClient(command('ls', 'list tokens, without the tokens themselves', ['holdfast token ls']).alias('list')).action(async (options: ClientOptions) => {
      const { tokens } = (await apiOf(options, io).request('GET', '/tokens')).body as { tokens: Token[] }
      if (options.json) for (const one of tokens) io.out(jsonLine(one))
      else io.out(tokens.length === 0 ? 'No tokens besides the admin token of the data folder.\n' : draw(tokens, io))
    }),
  )
  token.addCommand(
    withClient(command('revoke', 'revoke tokens; their connections close within seconds', ['holdfast token revoke 0199…']).alias('rm'))
      .argument('<id...>')
      .action(async (ids: string[], options: ClientOptions) => {
        for (const id of ids) {
          await apiOf(options, io).request('DELETE', `/tokens/${encodeURIComponent(id)}`)
          io.out(options.json ? jsonLine({ ok: true, id }) : `Revoked ${id}.\n`)
        }
      }),
  )
}

/** A time from now (`90m`, `12h`, `30d`) or a date, as RFC 3339. */
export function expiry(text: string, nowMs: number): string {
  const match = /^(\d{1,6})([mhd])$/.exec(text)
  const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? 'm'] ?? 0
  const at = match ? nowMs + Number(match[1]) * unitMs : Date.parse(text)
  if (!Number.isFinite(at) || at <= nowMs) throw new UsageError(`--expires is a date to come, or a time like 12h or 30d, not "${text}".`)
  return new Date(at).toISOString()
}

function draw(tokens: readonly Token[], io: Io): string {
  const now = Date.now()
  return table(
    tokens,
    [
      { title: 'ID', text: one => one.id },
      { title: 'SUBJECT', text: one => one.subject },
      { title: 'SCOPES', text: one => one.scopes.join(', ') },
      { title: 'SESSION', text: one => one.session_id ?? 'any' },
      { title: 'CREATED', text: one => ago(one.created_at, now) },
      { title: 'EXPIRES', text: one => one.expires_at ?? 'never' },
    ],
    paintFor(io),
    io.columns,
  )
}
