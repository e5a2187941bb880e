// Loaded alone by the bin script: node:* and a few small files, nothing else, since the agent waits for it (RUN-12).
import { dataFolder, spoolFolder } from '../places.ts'
import { addDeadLetter, addRecord, ownFolder, type SpoolHead, sizeOf } from './spool.ts'
import { flushRuns, startFlush } from './starter.ts'

/** A hook's standard input that did not end after this long is taken as it is. */
const STDIN_MS = 5000

/** `holdfast hook`: spools what the agent says on standard input and returns; resolves always, prints nothing on stdout (which the agent would read). */
export async function runHook(args: readonly string[]): Promise<void> {
  try {
    const dataDir = dataFolder(flag(args, '--data-dir'))
    const spool = ownFolder(spoolFolder(dataDir))
    const url = flag(args, '--url') ?? process.env.HOLDFAST_URL
    spoolHook(spool, await readStdin(), url)
    if (!flushRuns(spool, Date.now())) startFlush(spool, dataDir)
  } catch (error) {
    process.stderr.write(`holdfast hook: ${error instanceof Error ? error.message : String(error)}\n`)
  }
  process.exitCode = 0
}

/** Stores one call: a record in the queue, or a dead letter where it is no hook's JSON. */
export function spoolHook(spool: string, input: Uint8Array, url?: string): 'queued' | 'dead' {
  const nowMs = Date.now()
  const understood = understand(input)
  if ('reason' in understood) {
    const name = `${String(nowMs * 1000).padStart(17, '0')}-${process.hrtime.bigint().toString(36)}-${process.pid}`
    const { reason, ...content } = understood
    addDeadLetter(spool, name, { reason, at: new Date(nowMs).toISOString(), ...content })
    process.stderr.write(`holdfast hook: ${reason} Kept in ${spool}/dead.\n`)
    return 'dead'
  }
  const size = understood.transcript === undefined ? undefined : sizeOf(understood.transcript)
  const head: SpoolHead = { v: 1, at_ms: nowMs, ...(url ? { url } : {}), ...(size === undefined ? {} : { transcript_bytes: size }) }
  addRecord(spool, head, understood.text, nowMs)
  return 'queued'
}

type Understood = { text: string; transcript?: string } | { reason: string; text?: string; base64?: string }

function understand(input: Uint8Array): Understood {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(input)
  } catch {
    return { reason: 'Standard input is not UTF-8.', base64: Buffer.from(input).toString('base64') }
  }
  try {
    const hook = JSON.parse(text) as { session_id?: unknown; hook_event_name?: unknown; transcript_path?: unknown } | null
    if (typeof hook?.session_id !== 'string' || typeof hook.hook_event_name !== 'string')
      return { reason: 'Standard input has no session_id and hook_event_name.', text }
    return typeof hook.transcript_path === 'string' ? { text, transcript: hook.transcript_path } : { text }
  } catch {
    return { reason: 'Standard input is not JSON.', text }
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  const done = new Promise<void>(resolve => {
    process.stdin.on('data', chunk => chunks.push(chunk as Buffer))
    process.stdin.once('end', resolve)
    process.stdin.once('error', () => resolve())
    setTimeout(resolve, STDIN_MS).unref()
  })
  await done
  process.stdin.destroy()
  return Buffer.concat(chunks)
}

function flag(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name)
  if (at >= 0) return args[at + 1]
  return args.find(arg => arg.startsWith(`${name}=`))?.slice(name.length + 1)
}
