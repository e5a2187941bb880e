import { canonicalJson, HoldfastError, INPUTS, isInputType, MAX_DEPTH } from '@holdfast/protocol'
import { requireScope } from './access.ts'
import { type Also, appendEvents, appendNow } from './appends.ts'
import { type Context, loadVisible, refuseWhileDraining } from './context.ts'
import type { AppendResult, InputMessage, InputResult, Principal } from './engine.ts'
import { callerOf, createReceipt } from './drivers.ts'
import { once } from './idempotency.ts'
import type { Log } from './log.ts'
import type { DriverHandle, IdKey, IdRow } from './ports.ts'
import { endSession, parseWith, patchSession } from './sessions.ts'

/** Takes an input of section 5, once per id and sender. */
export async function takeInput(context: Context, principal: Principal, sessionId: string, input: InputMessage): Promise<InputResult> {
  refuseWhileDraining(context)
  if (!isInputType(input.type)) throw new HoldfastError('invalid_request', `There is no input "${input.type}".`, { field: 'type', inputs: Object.keys(INPUTS) })
  const { kind, payload: schema } = INPUTS[input.type]
  requireScope(principal, input.type === 'session.append' ? 'produce' : 'write')
  const senderId = input.clientId === undefined ? `ip:${principal.subject}` : `ic:${input.clientId}`
  const digestOf = (): string => context.digest(canonicalJson({ type: input.type, payload: input.payload ?? {} }, 'timestamp'))
  if (input.type === 'session.append' && input.id !== undefined) {
    const { events } = (input.payload ?? {}) as { events?: unknown }
    const key = { sessionId, sender: senderId, id: input.id }
    const done =
      Array.isArray(events) && events.length > 0
        ? appendNow(context, principal, sessionId, events, { key, digest: digestOf, sender: senderOf(input) })
        : undefined
    if (done) return done
  }
  const log = await loadVisible(context, principal, sessionId)
  if (kind !== null && kind !== log.row.kind)
    throw new HoldfastError('invalid_request', `"${input.type}" is no input of a session of kind "${log.row.kind}".`, { field: 'type', kind: log.row.kind })
  const handle = kind === null ? undefined : context.drivers.handleOf(log)
  if (kind !== null && !handle) throw new HoldfastError('invalid_request', `This server runs no sessions of kind "${kind}".`)
  // A list of events: each may be as deep as one that is posted alone, and is looked at again.
  const payload = parseWith<unknown>(schema, input.payload ?? {}, input.type === 'session.append' ? MAX_DEPTH + 2 : MAX_DEPTH)
  const id = input.id ?? context.random.id()
  if (handle) return steer(context, principal, log, handle, input, payload, { sessionId, sender: senderId, id }, digestOf)
  if (input.id === undefined) return perform(context, principal, sessionId, input, payload, id)
  const key = { sessionId, sender: senderId, id }
  return once<InputResult>(context, log, key, digestOf(), {
    repeated: row => repeatedAnswer(row.answer === '' ? plainAnswer(row) : (JSON.parse(row.answer) as InputResult)),
    first: record =>
      perform(context, principal, sessionId, input, payload, id, (transaction, result) =>
        transaction.id(record(result.firstSeq ?? result.seq ?? 0, result.seq ?? 0, JSON.stringify(result))),
      ),
  })
}

/** An input for what runs: its id is stored with its effect, apart from what is typed, which leaves no trace here. */
async function steer(
  context: Context,
  principal: Principal,
  log: Log,
  handle: DriverHandle,
  input: InputMessage,
  payload: unknown,
  key: IdKey,
  digestOf: () => string,
): Promise<InputResult> {
  const asked = { type: input.type, id: key.id, sender: key.sender, payload, ...callerOf(principal, input) }
  if (input.id === undefined || input.type === 'terminal.input') return { id: key.id, ...(await handle.input(asked)) }
  return once<InputResult>(context, log, key, digestOf(), {
    repeated: row => repeatedAnswer(JSON.parse(row.answer) as InputResult),
    first: async record => {
      const answerOf = (seq: number | null): InputResult => ({ id: key.id, seq, duplicate: false })
      const receipt = createReceipt((transaction, seq) => transaction.id(record(seq ?? 0, seq ?? 0, JSON.stringify(answerOf(seq)))))
      const { seq } = await handle.input({ ...asked, receipt })
      if (!receipt.used) await context.writer.writeAlone(log, [], transaction => receipt.store(transaction, seq))
      return answerOf(seq)
    },
  })
}

function senderOf({ clientId, traceId }: InputMessage): { clientId?: string; traceId?: string } {
  const sender: { clientId?: string; traceId?: string } = {}
  if (clientId !== undefined) sender.clientId = clientId
  if (traceId !== undefined) sender.traceId = traceId
  return sender
}

/** What `appendNow` stores no answer for. */
const plainAnswer = ({ id, firstSeq, lastSeq }: IdRow): InputResult => ({ id, seq: lastSeq, duplicate: false, firstSeq })

const repeatedAnswer = (first: InputResult): InputResult => ({
  ...first,
  duplicate: true,
  ...(first.results ? { results: first.results.map(result => ({ ...result, duplicate: true })) } : {}),
})

/** Does what the input asks for; `also` goes into the same commit, so that the id is stored with its effect. */
async function perform(
  context: Context,
  principal: Principal,
  sessionId: string,
  input: InputMessage,
  payload: unknown,
  id: string,
  also?: Also<InputResult>,
): Promise<InputResult> {
  switch (input.type) {
    case 'session.append': {
      const { events } = payload as { events: unknown[] }
      const answer = (result: AppendResult): InputResult => ({
        id,
        seq: result.lastSeq,
        duplicate: result.duplicate,
        firstSeq: result.firstSeq,
        ...(result.results ? { results: result.results } : {}),
      })
      return answer(
        await appendEvents(context, principal, sessionId, events, senderOf(input), also && ((transaction, result) => also(transaction, answer(result)))),
      )
    }
    case 'session.rename': {
      const answer = { id, seq: null, duplicate: false }
      await patchSession(context, principal, sessionId, payload, also && (transaction => also(transaction, answer)))
      return answer
    }
    default: {
      const answer = (seq: number | null): InputResult => ({ id, seq, duplicate: false })
      const { seq } = await endSession(context, principal, sessionId, also && ((transaction, at) => also(transaction, answer(at))))
      return answer(seq)
    }
  }
}
