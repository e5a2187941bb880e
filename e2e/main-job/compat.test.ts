import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'

type Message = { readonly type: string; readonly [field: string]: unknown }
type Fields = Readonly<Record<string, unknown>>

let server: ServerProcess | undefined
const endings: (() => void)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) end()
  await server?.kill()
})

/** A dashboard from before there were sequences: it keeps lists of sessions and events, takes what comes, and asks for the lists again when it comes back. */
function oldDashboard(url: string) {
  const sessions = new Map<string, Fields>()
  const events = new Map<string, Fields[]>()
  const seen: string[] = []
  let closed = false
  const socket = new WebSocket(`${url.replace('http', 'ws')}/compat/sessions/ws`)
  endings.push(() => socket.terminate())
  const keep = (session: unknown): void => void sessions.set((session as { session_id: string }).session_id, session as Fields)
  socket.on('error', () => undefined)
  socket.on('close', () => {
    closed = true
  })
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    seen.push(message.type)
    if (message.type === 'init') for (const session of message.sessions as unknown[]) keep(session)
    if (message.type === 'session_created' || message.type === 'session_updated') keep(message.session)
    if (message.type === 'event') {
      const event = message.data as Fields
      const id = String(event.session_id)
      events.set(id, [...(events.get(id) ?? []), event])
    }
  })
  return {
    sessions,
    seen,
    eventsOf: (id: string) => events.get(id) ?? [],
    get closed() {
      return closed
    },
  }
}

describe('a client from before', () => {
  it('[RUN-15] [RUN-11] [RUN-06] sees init, session_created, event and session_updated, also after kill -9, and lists what it missed', async () => {
    const dataDir = tempDir()
    const port = await freePort()
    server = await startServer({ dataDir, port })
    const { url } = server
    /** All that an old reporter knows. */
    const report = (event: Fields): Promise<Response> =>
      fetch(new URL('/events', url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(event) })
    const tell = async (event: Fields): Promise<void> => {
      const { ok, headers } = await report(event)
      expect([ok, headers.has('deprecation')]).toEqual([true, true])
    }
    const listed = async (id: string) => ((await (await fetch(new URL(`/events/${id}`, url))).json()) as { events: { type: string; payload: Fields }[] }).events

    const first = oldDashboard(url)
    await until('init', () => first.seen[0] === 'init')
    expect(first.sessions.size).toBe(0)
    await tell({ event_type: 'session_start', session_id: 'old-1', session_name: 'Old one' })
    await tell({ event_type: 'message', session_id: 'old-1', role: 'user', content: 'wie geht’s?' })
    await tell({ event_type: 'pre_tool', session_id: 'old-1', tool_name: 'Bash', tool_input: { command: 'ls' } })
    expect((await report({ event_type: 'message', session_id: 'nobody', role: 'user', content: 'x' })).status).toBe(404)
    await until('its events', () => first.eventsOf('old-1').length === 3)
    expect(first.sessions.get('old-1')).toMatchObject({ session_id: 'old-1', session_name: 'Old one', status: 'running' })
    expect(first.seen.slice(0, 2)).toEqual(['init', 'session_created'])
    expect(first.eventsOf('old-1').map(event => event.event_type)).toEqual(['session_start', 'message', 'pre_tool'])
    expect(first.eventsOf('old-1')[1]).toMatchObject({ session_id: 'old-1', role: 'user', content: 'wie geht’s?' })

    await server.kill()
    await until('the broken socket', () => first.closed)
    server = await startServer({ dataDir, port })
    // Told while the dashboard was away.
    await tell({ event_type: 'post_tool', session_id: 'old-1', tool_name: 'Bash', tool_response: 'a.txt' })

    const second = oldDashboard(url)
    await until('init again', () => second.seen[0] === 'init')
    expect([...second.sessions.keys()]).toEqual(['old-1'])
    expect((await listed('old-1')).map(event => event.type)).toEqual(['run.session_start', 'run.message', 'run.pre_tool', 'run.post_tool'])
    await tell({ event_type: 'message', session_id: 'old-1', role: 'assistant', content: 'gut' })
    await tell({ event_type: 'session_stop', session_id: 'old-1', exit_code: 0 })
    await until('the end', () => second.sessions.get('old-1')?.status === 'finished')
    await until('its events', () => second.eventsOf('old-1').length === 2)
    // What was there before it came is in the list, not on the socket.
    expect(second.eventsOf('old-1').map(event => event.event_type)).toEqual(['message', 'session_stop'])
    expect(second.seen.filter(type => type === 'session_created')).toEqual([])

    // A start of the same session is a resume; a new one is announced.
    await tell({ event_type: 'session_start', session_id: 'old-1', session_name: 'Old one' })
    await until('the resume', () => second.sessions.get('old-1')?.status === 'running')
    expect(second.sessions.get('old-1')?.last_resumed_at).toEqual(expect.any(String))
    await tell({ event_type: 'session_start', session_id: 'old-2', session_name: 'Old two' })
    await until('the new session', () => second.sessions.has('old-2') && second.eventsOf('old-2').length === 1)
    expect((await listed('old-1')).map(event => (event.payload as { event_type: string }).event_type)).toEqual([
      'session_start',
      'message',
      'pre_tool',
      'post_tool',
      'message',
      'session_stop',
      'session_start',
    ])
  })
})
