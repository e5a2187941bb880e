import type { Socket } from 'node:net'
import type { Delivery } from '@holdfast/core'
import { bytesFromPayload } from '@holdfast/drivers'
import { type Control, errorFrom, type Event, HoldfastError, textsFromChunk } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import type { Access, Host } from '../host.ts'
import { clientIdFromQuery, onMissingFromQuery } from '../query.ts'
import { PlainSocket } from './plain-socket.ts'

/** Old clients know no roles: whoever gives no client id of its own shares this one. */
const CLIENT_ID = 'compat'
/** What shells end their prompts with. */
const PROMPT = /[$#%>❯] ?$/

/** The plain old terminal socket (TERM-18): metadata, replay marked `is_replay`, then live output; a thin adapter over an attachment. */
export function openCompatTerminal(host: Host, access: Access, query: URLSearchParams, socket: WebSocket, raw: Socket): void {
  const asked = query.get('session_id')
  if (asked === null) throw new HoldfastError('invalid_request', 'session_id is missing.', { field: 'session_id' })
  const clientId = clientIdFromQuery(query) ?? CLIENT_ID
  const onMissing = onMissingFromQuery(query)
  let sessionId = asked
  const view = createView(() => sessionId)
  const plain: PlainSocket = new PlainSocket({
    host,
    access,
    socket,
    raw,
    send(delivery) {
      if (delivery.type === 'end') plain.fail(delivery.error)
      let open = true
      for (const message of view(delivery)) open = plain.write(message)
      return open
    },
    onText(text) {
      input(host, access, sessionId, clientId, text).catch((thrown: unknown) => plain.write({ type: 'error', ...errorFrom(thrown).body() }))
    },
  })
  host.engine.attach(access.principal, asked, { clientId, onMissing }).then(
    attachment => {
      if (plain.isClosed) return attachment.close()
      sessionId = attachment.sessionId
      plain.pump.add({ attachment })
    },
    (thrown: unknown) => plain.fail(thrown),
  )
}

interface Hello {
  readonly session: { readonly kind: string; readonly created_at: string }
  readonly reconnected: boolean
  readonly age_seconds: number
}

/** Deliveries in the old shapes. */
function createView(sessionId: () => string): (delivery: Delivery) => unknown[] {
  const decoder = new TextDecoder()
  const parts: string[] = []
  let isReplay = true
  const output = (text: string): unknown[] =>
    text === '' ? [] : [{ type: 'output', text, is_replay: isReplay, is_prompt: PROMPT.test(text.slice(text.lastIndexOf('\n') + 1)) }]

  const control = ({ type, payload }: Control): unknown[] => {
    if (type === 'protocol.hello') {
      const { session, reconnected, age_seconds } = payload as Hello
      return [{ type: 'session', session_id: sessionId(), reconnected, age_seconds, created_at: Date.parse(session.created_at) / 1000 }]
    }
    if (type === 'protocol.caught_up') isReplay = false
    if (type !== 'protocol.snapshot') return []
    // In place of what is no longer kept.
    const { part, parts: count, data } = payload as { readonly part: number; readonly parts: number; readonly data: string }
    parts.push(data)
    return part < count ? [] : output((JSON.parse(parts.splice(0).join('')) as { screen: string }).screen)
  }
  return delivery => {
    if (delivery.type === 'control') return control(delivery.message)
    if (delivery.type === 'end') return []
    const events = textsFromChunk(delivery.chunk).map(text => JSON.parse(text) as Event)
    const pieces = events.filter(event => event.type === 'terminal.output').map(event => decoder.decode(bytesFromPayload(event.payload), { stream: true }))
    return output(pieces.join(''))
  }
}

async function input(host: Host, { principal }: Access, sessionId: string, clientId: string, text: string): Promise<void> {
  host.countRequest(principal)
  let message: { readonly type?: unknown; readonly text?: unknown; readonly cols?: unknown; readonly rows?: unknown } | null
  try {
    message = JSON.parse(text) as typeof message
  } catch (cause) {
    throw new HoldfastError('invalid_request', 'This is no JSON.', {}, { cause })
  }
  const { type, text: typed, cols, rows } = message ?? {}
  if (type === 'input') await host.engine.input(principal, sessionId, { type: 'terminal.input', clientId, payload: { text: typed } })
  else if (type === 'resize') await host.engine.input(principal, sessionId, { type: 'terminal.resize', clientId, payload: { cols, rows } })
  else throw new HoldfastError('invalid_request', 'type is input or resize.', { field: 'type' })
}
