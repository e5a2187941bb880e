import type { Socket } from 'node:net'
import type { AttachOptions, Delivery } from '@holdfast/core'
import { errorFrom, type Event, FEED_ID, textsFromChunk } from '@holdfast/protocol'
import type { WebSocket } from 'ws'
import type { Access, Host } from '../host.ts'
import type { Source } from '../stream/pump.ts'
import { PlainSocket } from './plain-socket.ts'

const LIST_PAGE = 500

/** The plain old broadcast socket (RUN-15): init, then what happens, for a client that knows nothing else; a thin adapter over attachments. */
export function openCompatSessions(host: Host, access: Access, socket: WebSocket, raw: Socket): void {
  const plain: PlainSocket = new PlainSocket({ host, access, socket, raw, send: delivery => sendEvents(plain, delivery) })
  follow(host, access.principal, plain).catch((thrown: unknown) => plain.fail(thrown))
}

/** The feed first, so that nothing falls between the list and what follows it. */
async function follow(host: Host, principal: Access['principal'], plain: PlainSocket): Promise<void> {
  const { engine } = host
  const feed = await engine.attach(principal, FEED_ID, { mode: 'live' })
  const early: Source[] = []
  let started = false
  const add = async (id: string, options: AttachOptions): Promise<void> => {
    const source = await attach(host, principal, id, options, plain)
    if (!source) return
    if (started) plain.pump.add(source)
    else early.push(source)
  }
  const fail = (thrown: unknown): void => plain.fail(thrown)
  const watch = await engine.watch(principal, undefined, id => void add(id, { cursor: { seq: 0 } }).catch(fail))
  plain.onClosed(watch.stop)
  plain.onClosed(() => feed.close())
  if (plain.isClosed) return
  const sessions: unknown[] = []
  for (let page: string | undefined; ; ) {
    const answer = await engine.listSessions(principal, { limit: LIST_PAGE, ...(page === undefined ? {} : { page }) })
    sessions.push(...answer.sessions)
    if (answer.next_page === null) break
    page = answer.next_page
  }
  for (const id of watch.ids) await add(id, { mode: 'live' })
  if (plain.isClosed) {
    for (const source of early) source.attachment.close()
    return
  }
  // Nothing may come before what it belongs to: init, then the feed, then events.
  plain.write({ type: 'init', sessions })
  started = true
  plain.pump.add({ attachment: feed })
  for (const source of early) plain.pump.add(source)
}

/** Undefined where it is gone since it was listed; its end is on the feed. */
async function attach(host: Host, principal: Access['principal'], id: string, options: AttachOptions, plain: PlainSocket): Promise<Source | undefined> {
  try {
    const attachment = await host.engine.attach(principal, id, { ...options, isSpectator: true })
    if (!plain.isClosed) return { attachment }
    attachment.close()
  } catch (thrown) {
    if (errorFrom(thrown).code === 'internal') throw thrown
  }
  return undefined
}

function sendEvents(plain: PlainSocket, delivery: Delivery): boolean {
  if (delivery.type !== 'events') return true
  let open = true
  for (const text of textsFromChunk(delivery.chunk)) {
    const message = compatMessage(JSON.parse(text) as Event)
    if (message) open = plain.write(message)
  }
  return open
}

/** An event in the old shapes; undefined for what old clients have no shape for. */
export function compatMessage(event: Event): unknown {
  if (event.type === 'session.created') return { type: 'session_created', session: (event.payload as { session: unknown }).session }
  if (event.type === 'session.updated') return { type: 'session_updated', session: (event.payload as { session: unknown }).session }
  if (event.type.startsWith('run.')) return { type: 'event', data: { ...(event.payload as object), session_id: event.header.session_id } }
  return undefined
}
