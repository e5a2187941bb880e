import { randomUUID } from 'node:crypto'
import { HoldfastError, isId } from '@holdfast/protocol'
import type { Command } from 'commander'
import { type Api, sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, collect, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import { type Batch, itemBatches } from '../items.ts'
import type { Io } from '../io.ts'
import { jsonLine } from '../output.ts'
import { persistently } from '../retry.ts'
import { keyValue } from './create.ts'

interface PostOptions extends ClientOptions {
  readonly type?: string
  readonly role?: string
  readonly text?: string
  readonly field?: readonly string[]
  readonly id?: string
  readonly create?: boolean
  readonly name?: string
}

const DETAILS = `With --type, --role, --text or --field one event is made from them. Without, events are read from standard
input: a JSON object, an array, or one object per line, posted as they come. Each gets an id where it has none,
and what fails for a moment is sent again under the same id, so that nothing is lost and nothing comes twice.`

export function registerPost(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'post',
        'append events to a session',
        [
          'holdfast post build --role assistant --text "All green."',
          'holdfast post build --type session_stop --field exit_code=0',
          'holdfast post build --create --name "Nightly build" --type pre_tool --field tool_name=Bash',
          './agent --stream-json | holdfast post build --create --name "Agent"',
          `echo '{"event_type":"message","role":"user","content":"Go"}' | holdfast post build`,
        ],
        DETAILS,
      ),
    )
      .argument('<id>', 'the session')
      .option('--type <event-type>', 'message, pre_tool, post_tool, session_stop, or your own (default: message)')
      .option('--role <role>', 'of a message: user, assistant, …')
      .option('--text <text>', 'of a message; - reads it from standard input')
      .option('--field <key=value>', 'any other field; values that are JSON are taken as such; may be repeated', collect)
      .option('--id <event-id>', "the event's own id: the same id twice is one event")
      .option('--create', 'create the session (a run) where there is none')
      .option('--name <name>', 'with --create: its name (default: the id)')
      .action(async (id: string, options: PostOptions) => post(id, options, io)),
  )
}

async function post(id: string, options: PostOptions, io: Io): Promise<void> {
  if (options.name !== undefined && !options.create) throw new UsageError('--name goes with --create.')
  const api = apiOf(options, io)
  const batches = await batchesOf(options, io)
  if (options.create) await ensure(api, id, options.name ?? id, io)
  let posted = 0
  for await (const { items } of batches) {
    const body = items.map(withId)
    const answer = await persistently(() => api.request('POST', `${sessionPath(id)}/events`, { body }), io, { wasReached: posted > 0 })
    posted += items.length
    const result = answer.body as { first_seq: number; last_seq: number; duplicate: boolean }
    if (options.json) io.out(jsonLine(result))
    else
      io.out(
        `${result.duplicate ? 'Already there' : 'Posted'}: ${result.first_seq === result.last_seq ? `event ${result.last_seq}` : `events ${result.first_seq} to ${result.last_seq}`} of ${id}.\n`,
      )
  }
  if (posted === 0) throw new UsageError('Standard input had no events.')
}

async function batchesOf(options: PostOptions, io: Io): Promise<AsyncIterable<Batch> | Iterable<Batch>> {
  const { type, role, field, id } = options
  if (type === undefined && role === undefined && options.text === undefined && field === undefined) {
    if (!io.stdin) throw new UsageError('Say what to post: --type, --role, --text, --field, or events on standard input.')
    if (id !== undefined) throw new UsageError('--id goes with an event made from options; events on standard input bring their own "id".')
    return itemBatches(io.stdin)
  }
  if (id !== undefined && !isId(id)) throw new UsageError('--id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.')
  const text = options.text === '-' ? await allOf(io) : options.text
  const item = {
    event_type: type ?? 'message',
    ...(id ? { id } : {}),
    ...(role ? { role } : {}),
    ...(text === undefined ? {} : { content: text }),
    ...Object.fromEntries((field ?? []).map(keyValue)),
  }
  return [{ items: [item] }]
}

async function allOf(io: Io): Promise<string> {
  if (!io.stdin) throw new UsageError('--text - reads standard input, and there is none.')
  const chunks: Uint8Array[] = []
  for await (const chunk of io.stdin) chunks.push(chunk)
  return Buffer.concat(chunks).toString().replace(/\n$/, '')
}

const withId = (item: unknown): unknown =>
  item !== null && typeof item === 'object' && !Array.isArray(item) && !('id' in item) ? { ...item, id: randomUUID() } : item

/** Creates the run where there is none; one that is there stays as it is. */
async function ensure(api: Api, id: string, name: string, io: Io): Promise<void> {
  try {
    await persistently(() => api.request('POST', '/sessions', { body: { session_id: id, session_name: name, kind: 'run' } }), io)
  } catch (error) {
    // Somebody made it with other words; whether it may be posted to, the post itself will tell.
    if (!(error instanceof HoldfastError && error.code === 'conflict')) throw error
  }
}
