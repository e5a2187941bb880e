import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreReport } from '@holdfast/store-sqlite'
import type { Command } from 'commander'
import { apiFor, UnreachableError } from '../api.ts'
import { command } from '../command.ts'
import { EXIT, ExitError, failureFrom } from '../failure.ts'
import { listDeadLetters, listRecords } from '../hook/spool.ts'
import type { Io } from '../io.ts'
import { bytesText, jsonLine, paintFor } from '../output.ts'
import { dataFolder, spoolFolder, tokenFile } from '../places.ts'
import { createProgress } from '../progress.ts'

interface DoctorOptions {
  readonly url?: string
  readonly token?: string
  readonly dataDir?: string
  readonly newEpoch?: boolean
  readonly json?: boolean
}

/** One thing that was looked at. */
interface Finding {
  readonly check: string
  readonly level: 'ok' | 'note' | 'warning' | 'failure'
  readonly text: string
  /** What to do about it. */
  readonly advice?: string
  readonly exitCode?: number
}

/** Where the store keeps what it knows. */
const DATABASE = 'holdfast.db'

/** Less room than this is a warning: a busy day of agents fits. */
const ROOM_BYTES = 1e9

export function registerDoctor(program: Command, io: Io): void {
  program.addCommand(
    command(
      'doctor',
      'look whether everything is in order',
      [
        'holdfast doctor',
        'holdfast doctor --data-dir /srv/holdfast --json',
        'holdfast doctor --new-epoch --data-dir ./copy   # after copying a data folder by hand',
      ],
      'Looks at versions, the data folder and every checksum in it, the token file, the disk, the server and the hooks.\nExit codes: 0 all is well, 1 something fails, 4 data is damaged.',
    )
      .option('--url <url>', 'address of the server (default: HOLDFAST_URL, or http://127.0.0.1:8765)')
      .option('--token <token>', "token (default: HOLDFAST_TOKEN, or the data folder's token file)")
      .option('--data-dir <dir>', 'data folder (default: ~/.holdfast)')
      .option('--new-epoch', 'give a copied data folder an identity of its own (the server must not run on it)')
      .option('--json', 'print JSON for programs')
      .action(async (options: DoctorOptions) => doctor(options, io)),
  )
}

async function doctor(options: DoctorOptions, io: Io): Promise<void> {
  const dataDir = dataFolder(options.dataDir, io.env)
  if (options.newEpoch) {
    const { renewEpoch } = await import('@holdfast/store-sqlite')
    const epoch = renewEpoch(dataDir)
    io.out(
      options.json
        ? jsonLine({ ok: true, data_dir: dataDir, epoch })
        : `${dataDir} has the new epoch ${epoch}: clients that knew the original start over with it.\n`,
    )
    return
  }
  const findings: Finding[] = []
  const paint = paintFor(io)
  const marks = { ok: paint('green', '✓'), note: paint('dim', '·'), warning: paint('yellow', '!'), failure: paint('red', '✗') }
  const found = (finding: Finding): void => {
    findings.push(finding)
    if (!options.json)
      io.out(
        `${marks[finding.level]} ${finding.check.padEnd(12)} ${finding.text}\n${finding.advice ? `  ${' '.repeat(12)} ${paint('dim', finding.advice)}\n` : ''}`,
      )
  }
  found({ check: 'Node', level: 'ok', text: `${process.versions.node}, SQLite ${process.versions.sqlite}` })
  if (existsSync(dataDir)) {
    for (const check of [folder, room, token]) found(check(dataDir))
    for (const finding of await store(dataDir, io)) found(finding)
  } else found({ check: 'Data folder', level: 'note', text: `${dataDir} is not there yet; the first start of the server makes it` })
  found(await server(options, io))
  found(hooks(dataDir, io))
  const worst = Math.max(...findings.map(finding => (finding.level === 'failure' ? (finding.exitCode ?? EXIT.failed) : EXIT.fine)))
  if (options.json) io.out(jsonLine({ ok: worst === 0, data_dir: dataDir, findings: findings.map(({ exitCode: _exitCode, ...finding }) => finding) }))
  if (worst !== 0) throw new ExitError(worst)
}

function folder(dataDir: string): Finding {
  const check = 'Data folder'
  try {
    accessSync(dataDir, constants.R_OK | constants.W_OK)
  } catch {
    return { check, level: 'failure', text: `${dataDir} can not be read and written by this user`, advice: "Is it another user's? Check its owner." }
  }
  const open = statSync(dataDir).mode & 0o077
  return open
    ? { check, level: 'warning', text: `${dataDir} is open to other users of this machine`, advice: `chmod 700 ${dataDir}` }
    : { check, level: 'ok', text: dataDir }
}

function room(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(dataDir)
  const free = bavail * bsize
  return {
    check: 'Disk',
    level: free < ROOM_BYTES ? 'warning' : 'ok',
    text: `${bytesText(free)} free`,
    ...(free < ROOM_BYTES ? { advice: 'When it is full, appends fail until there is room again; nothing is lost.' } : {}),
  }
}

function token(dataDir: string): Finding {
  const check = 'Token file'
  const path = tokenFile(dataDir)
  if (!existsSync(path)) return { check, level: 'note', text: 'none: the server has not started here, or was given --token' }
  return statSync(path).mode & 0o077
    ? { check, level: 'failure', text: `${path} can be read by other users`, advice: `chmod 600 ${path}, then make new tokens: who read it is admin` }
    : { check, level: 'ok', text: 'only its owner can read it' }
}

async function store(dataDir: string, io: Io): Promise<Finding[]> {
  const check = 'Store'
  if (!existsSync(join(dataDir, DATABASE))) return [{ check, level: 'note', text: 'none yet; the first start of the server makes it' }]
  const { checkStore } = await import('@holdfast/store-sqlite')
  const progress = createProgress('Checking', io)
  try {
    const report = await checkStore(dataDir, ({ sessions, total }) => progress.report(sessions, total)).finally(progress.done)
    return storeFindings(report)
  } catch (thrown) {
    const { exitCode, message } = failureFrom(thrown)
    return [{ check, level: 'failure', text: message ?? 'can not be checked', exitCode }]
  }
}

function storeFindings(report: StoreReport): Finding[] {
  const check = 'Store'
  const { sessions, events, bytes, blobs, problems, quarantined, guard, strays, inUse } = report
  const findings: Finding[] = []
  const content = `${sessions} sessions, ${events} events, ${bytesText(bytes)}${blobs > 0 ? `, ${blobs} blobs` : ''}`
  if (problems.length === 0) findings.push({ check, level: 'ok', text: `${content}; every checksum fits${inUse ? ' (a server has it open)' : ''}` })
  for (const { sessionId, problem } of problems.slice(0, 20))
    findings.push({ check, level: 'failure', text: `${sessionId === '' ? '' : `${sessionId}: `}${problem}`, exitCode: EXIT.damaged })
  if (problems.length > 20) findings.push({ check, level: 'failure', text: `… and ${problems.length - 20} more`, exitCode: EXIT.damaged })
  if (problems.length > 0)
    findings.push({ check, level: 'note', text: content, advice: 'Damaged logs are set apart and others go on; bring a backup back with "holdfast restore".' })
  if (quarantined.length > 0) findings.push({ check, level: 'warning', text: `set apart as damaged: ${quarantined.join(', ')}` })
  if (guard === 'ahead')
    findings.push({
      check,
      level: 'warning',
      text: 'the database is older than it once was',
      advice: 'The next start gives it a new epoch, so that clients notice.',
    })
  if (strays.length > 0) findings.push({ check, level: 'note', text: `${strays.length} files that nothing refers to; the next start removes them` })
  return findings
}

async function server(options: DoctorOptions, io: Io): Promise<Finding> {
  const check = 'Server'
  const api = apiFor(options, io.env)
  try {
    await api.request('GET', '/readyz', { timeoutMs: 5000 })
    await api.request('GET', '/sessions?limit=1', { timeoutMs: 5000 })
    return { check, level: 'ok', text: `answers at ${api.url}` }
  } catch (thrown) {
    if (thrown instanceof UnreachableError) return { check, level: 'note', text: `none at ${api.url}`, advice: 'Start it with "holdfast serve".' }
    const { message, hint, code } = failureFrom(thrown)
    if (code === 'not_found') return { check, level: 'failure', text: `${api.url} answers, but not as this version of Holdfast does` }
    return { check, level: 'failure', text: `${api.url}: ${message ?? 'failed'}`, ...(hint ? { advice: hint } : {}) }
  }
}

function hooks(dataDir: string, io: Io): Finding {
  const check = 'Hooks'
  const spool = spoolFolder(dataDir, io.env)
  const waiting = listRecords(spool).length
  const dead = listDeadLetters(spool).length
  if (dead > 0) return { check, level: 'warning', text: `${dead} dead letters, ${waiting} waiting`, advice: 'See why with "holdfast hook status".' }
  return { check, level: 'ok', text: waiting === 0 ? 'nothing waits' : `${waiting} waiting to be delivered` }
}
