import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { command } from '../command.ts'
import { UsageError } from '../failure.ts'
import { RETRY } from '../hook/calls.ts'
import { applyChange, type Change, hookCommand, planInstall, planUninstall, settingsFile } from '../hook/install.ts'
import { hookedEvents } from '../hook/settings.ts'
import { addRecord, listDeadLetters, listRecords, readStatus, spoolPlaces } from '../hook/spool.ts'
import { saveToken } from '../hook/tokens.ts'
import { flushRuns, startFlush } from '../hook/starter.ts'
import type { Io } from '../io.ts'
import { ago, jsonLine, list, paintFor } from '../output.ts'
import { DEFAULT_URL, dataFolder, spoolFolder } from '../places.ts'

interface InstallOptions {
  readonly agent: string
  readonly project?: boolean
  readonly user?: boolean
  readonly url?: string
  readonly token?: string
  readonly dataDir?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

const DETAILS = `Without a subcommand it reads one hook's JSON on standard input, keeps it on disk and returns at once,
whether the server is up or not, always with exit code 0. A process in the background delivers it,
in order and once, together with what the agent's transcript says. "install" puts it into the agent's settings.`

export function registerHook(program: Command, io: Io, version: () => string): void {
  const hook = command(
    'hook',
    "report a coding agent's sessions",
    [
      'holdfast hook install --user        # every Claude Code session of yours',
      'holdfast hook install --project     # this project only',
      'holdfast hook status',
    ],
    DETAILS,
  )
  program.addCommand(hook)
  hook.addCommand(
    command(
      'install',
      "put the hooks into Claude Code's settings",
      ['holdfast hook install --user', 'holdfast hook install --project --dry-run', 'holdfast hook install --user --url https://agents.example.com'],
      'All else in the settings stays as it is, and a copy of the file is kept beside it. Doing it twice is the same as once.',
    )
      .option('--agent <agent>', 'which agent', 'claude')
      .option('--project', 'in .claude/settings.json of this folder (the default)')
      .option('--user', 'in ~/.claude/settings.json: for every project')
      .option('--url <url>', 'the server to report to (default: HOLDFAST_URL when the hook runs, or http://127.0.0.1:8765)')
      .option('--token <token>', 'its token; kept in a file beside the spool that only you can read')
      .option('--data-dir <dir>', 'data folder with the spool and the token (default: ~/.holdfast)')
      .option('--dry-run', 'show what the file would hold, change nothing')
      .option('--json', 'print JSON for programs')
      .action((options: InstallOptions) => install(options, io, version())),
  )
  hook.addCommand(
    command('uninstall', "take the hooks out of Claude Code's settings", ['holdfast hook uninstall --user'])
      .option('--agent <agent>', 'which agent', 'claude')
      .option('--project', 'of this folder (the default)')
      .option('--user', 'of every project')
      .option('--dry-run', 'show what the file would hold, change nothing')
      .option('--json', 'print JSON for programs')
      .action((options: InstallOptions) => {
        const change = planned(options, io, planUninstall)
        if (options.dryRun) return io.out(change.after)
        const backup = applyChange(change, Date.now())
        if (options.json) io.out(jsonLine({ ok: true, file: change.file, changed: change.changed, backup: backup ?? null }))
        else
          io.out(
            change.changed ? `Took the hooks out of ${change.file}${backup ? ` (before: ${backup})` : ''}.\n` : `No hooks of Holdfast in ${change.file}.\n`,
          )
      }),
  )
  hook.addCommand(
    command('status', 'show what waits to be delivered, and what could not be', ['holdfast hook status', 'holdfast hook status --json'])
      .option('--data-dir <dir>', 'data folder with the spool (default: ~/.holdfast)')
      .option('--json', 'print JSON for programs')
      .action((options: { dataDir?: string; json?: boolean }) => status(options, io)),
  )
  hook.addCommand(
    command('flush', 'deliver what waits, now', ['holdfast hook flush'])
      .option('--data-dir <dir>', 'data folder with the spool (default: ~/.holdfast)')
      .action((options: { dataDir?: string }) => {
        const { spool, dataDir } = places(options, io)
        const waiting = listRecords(spool).length
        if (!flushRuns(spool, Date.now())) startFlush(spool, dataDir)
        io.out(`Delivering ${waiting} ${waiting === 1 ? 'record' : 'records'} in the background; see "holdfast hook status".\n`)
      }),
  )
  hook.addCommand(
    command('retry', 'put dead letters back into the queue, once what stopped them is mended', [
      'holdfast hook retry',
      'holdfast hook retry --drop    # throw them away',
    ])
      .option('--drop', 'delete them instead')
      .option('--data-dir <dir>', 'data folder with the spool (default: ~/.holdfast)')
      .action((options: { dataDir?: string; drop?: boolean }) => retry(options, io)),
  )
}

function places(options: { dataDir?: string }, io: Io): { spool: string; dataDir: string } {
  const dataDir = dataFolder(options.dataDir, io.env)
  return { dataDir, spool: spoolFolder(dataDir, io.env) }
}

function planned(options: InstallOptions, io: Io, plan: (file: string) => Change): Change {
  if (options.agent !== 'claude') throw new UsageError(`Only Claude Code has hooks that are known here: --agent claude, not "${options.agent}".`)
  if (options.project && options.user) throw new UsageError('--project and --user exclude each other.')
  return plan(settingsFile(options.user ? 'user' : 'project', process.cwd(), io.env))
}

function install(options: InstallOptions, io: Io, version: string): void {
  const where = { ...(options.url ? { url: options.url } : {}), ...(options.dataDir ? { dataDir: resolve(options.dataDir) } : {}) }
  const line = hookCommand(where, version)
  const change = planned(options, io, file => planInstall(file, line))
  if (options.dryRun) {
    io.err(`${change.file} would hold:\n`)
    return io.out(change.after)
  }
  const { spool } = places(options, io)
  if (options.token) saveToken(spool, options.url ?? (io.env.HOLDFAST_URL || DEFAULT_URL), options.token)
  const backup = applyChange(change, Date.now())
  if (options.json)
    return io.out(jsonLine({ ok: true, file: change.file, changed: change.changed, backup: backup ?? null, command: line, events: change.events }))
  const paint = paintFor(io)
  io.out(
    change.changed
      ? `${paint('green', 'Installed.')} Claude Code reports ${options.user ? 'every session of yours' : 'its sessions in this project'} to Holdfast.\n\n`
      : `${paint('green', 'Already installed;')} nothing was changed.\n\n`,
  )
  const facts: [string, string][] = [
    ['Settings', change.file],
    ['Hooks', change.events.join(', ')],
    ['Command', line],
  ]
  if (backup) facts.push(['Before', backup])
  io.out(list(facts, paint))
  if (line.startsWith('npx ')) io.out(`\nEach hook starts through npx, which takes a moment; "npm install -g holdfast", then this again, makes it instant.\n`)
  io.out(
    `\nCheck it:\n  holdfast serve                       # in another terminal, if it does not run yet\n  claude -p "Say hello"\n  holdfast ls --kind run               # the session is there\n  holdfast hook status                 # nothing waits, no dead letters\n\nTake it out again: holdfast hook uninstall${options.user ? ' --user' : ''}\n`,
  )
}

function status(options: { dataDir?: string; json?: boolean }, io: Io): void {
  const { spool } = places(options, io)
  const records = listRecords(spool)
  const dead = listDeadLetters(spool)
  const last = readStatus(spool)
  const installed = (['user', 'project'] as const).filter(scope => hookedEvents(readJson(settingsFile(scope, process.cwd(), io.env))).length > 0)
  const running = flushRuns(spool, Date.now())
  if (options.json)
    return io.out(
      jsonLine({
        spool,
        waiting: records.length,
        dead_letters: dead.length,
        delivering: running,
        last_error: last.error ?? null,
        failed_at: last.failed_at ?? null,
        delivered_at: last.delivered_at ?? null,
        installed,
      }),
    )
  const paint = paintFor(io)
  const now = Date.now()
  const oldest = records[0] === undefined ? '' : `, the oldest from ${ago(new Date(Number(records[0].slice(0, 17)) / 1000).toISOString(), now)}`
  io.out(
    list(
      [
        [
          'Installed',
          installed.length === 0
            ? 'no (holdfast hook install --user)'
            : installed.map(scope => (scope === 'user' ? 'for this user' : 'in this project')).join(', '),
        ],
        ['Waiting', `${records.length}${oldest}`],
        ['Delivering', running ? 'yes, a process runs' : records.length > 0 ? 'no; the next hook starts it, or "holdfast hook flush"' : 'nothing to do'],
        ['Delivered', last.delivered_at ? ago(last.delivered_at, now) : 'nothing yet'],
        ['Last error', last.error ? paint('red', `${last.error} (${ago(last.failed_at, now)})`) : 'none'],
        ['Dead letters', dead.length === 0 ? 'none' : paint('yellow', `${dead.length}, in ${spoolPlaces(spool).dead}`)],
        ['Spool', spool],
      ],
      paint,
    ),
  )
  for (const name of dead.slice(-3))
    io.out(`  ${paint('yellow', name)}: ${readJson<{ reason?: string }>(join(spoolPlaces(spool).dead, name))?.reason ?? 'unreadable'}\n`)
}

/** Dead letters that hold a hook's text go back as they came; those that hold an event go out as that event. */
function retry(options: { dataDir?: string; drop?: boolean }, io: Io): void {
  const { spool, dataDir } = places(options, io)
  const { dead } = spoolPlaces(spool)
  let count = 0
  for (const name of listDeadLetters(spool)) {
    const path = join(dead, name)
    const letter = readJson<{ text?: string; event?: unknown; session_id?: string; url?: string }>(path)
    if (!options.drop) {
      const text =
        letter?.text ??
        (letter?.event && letter.session_id ? JSON.stringify({ session_id: letter.session_id, hook_event_name: RETRY, event: letter.event }) : undefined)
      if (text === undefined) {
        renameSync(path, `${path}.unreadable`)
        continue
      }
      addRecord(spool, { v: 1, at_ms: Date.now(), ...(letter?.url ? { url: letter.url } : {}) }, text, Date.now())
    }
    rmSync(path, { force: true })
    count++
  }
  if (!options.drop && count > 0) startFlush(spool, dataDir)
  io.out(`${options.drop ? 'Dropped' : 'Queued again'}: ${count} ${count === 1 ? 'dead letter' : 'dead letters'}.\n`)
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return undefined
  }
}
