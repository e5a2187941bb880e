import type { Event, Gap, Hello, Mode } from '@holdfast/protocol'
import { DEFAULT_LIMITS } from '@holdfast/protocol/wire'
import type { AttachmentState } from './attachment.ts'
import type { Client } from './client.ts'
import { systemClock } from './clock.ts'
import type { ClientError } from './failure.ts'
import type { Attachment, EventContext } from './handle.ts'
import type { Ack } from './outbox.ts'
import type { Clock } from './ports.ts'
import { bytesFromOutput } from './terminal-bytes.ts'
import { createTyping } from './terminal-typing.ts'
import {
  exitFromPayload,
  initialTerminalView,
  type TerminalExit,
  type TerminalScreen,
  type TerminalView,
  viewAfterEvent,
  viewAfterHello,
  viewAfterScreen,
} from './terminal-view.ts'

/** What is shown of a terminal; handlers that return a promise are waited for, and only then is the server credited. */
export interface TerminalHandlers {
  /** Bytes that the program printed, in order, each once. Not `live`: no answers to queries, no bells, no notifications (fault 23). */
  onOutput(bytes: Uint8Array, context: EventContext): void | Promise<void>
  /** Reset the screen to this size, then write `screen`; output goes on from there. Without it the whole log is played. */
  onSnapshot?(state: TerminalScreen): void | Promise<void>
  onGap?(gap: Gap): void | Promise<void>
  /** A program starts; from the second incarnation on that is a respawn. */
  onStarted?(incarnation: number, context: EventContext): void | Promise<void>
  onResized?(cols: number, rows: number, context: EventContext): void | Promise<void>
  /** After all output of the program; once, also where it had ended before this client came. */
  onExited?(exit: TerminalExit): void | Promise<void>
  /** What was typed did not reach the program, and what was typed behind it won't either. */
  onRefused?(error: ClientError): void
}

export interface TerminalOptions extends TerminalHandlers {
  /** How to begin; later losses are made good by what was missed, or by a snapshot where that is much. The default is `snapshot` with `onSnapshot`, else `replay`. */
  readonly mode?: Mode
  /** How to go on after a loss of connection, where `auto` will not do. */
  readonly resumeMode?: () => Mode | undefined
  readonly cursor?: string | number
  /** Bytes that the server may send ahead of what was shown. */
  readonly windowBytes?: number
  /** For the debounce of `resize`. */
  readonly clock?: Clock
  readonly onStatus?: (state: AttachmentState) => void
  readonly signal?: AbortSignal
}

/** One terminal as a client has it. */
export interface Terminal {
  readonly sessionId: string
  readonly view: TerminalView
  readonly connection: AttachmentState
  /** True once everything that was there has been shown. */
  readonly isLive: boolean
  /** Bytes typed that the program's side has not acknowledged. */
  readonly waitingBytes: number
  /** Types; kept while offline, never typed twice. A large paste goes in pieces cut between characters (TERM-16). */
  write(data: Uint8Array | string): Promise<void>
  /** Resolves once all that was typed was taken or refused. */
  settled(): Promise<void>
  /** The size of this client's window; sent, debounced, unless somebody else is the writer, and when this client becomes it. */
  resize(cols: number, rows: number): void
  takeWriter(): Promise<Ack>
  signal(name: string): Promise<Ack>
  respawn(): Promise<Ack>
  subscribe(listener: () => void): () => void
  reconnect(): void
  close(): void
}

/** About what a terminal draws between two frames (terminal.md "Flow"). */
const WINDOW_BYTES = 100_000
/** A window that is being dragged tells its size this often at most. */
const RESIZE_MS = 60
const MAX_SIZE = 1000
/** Events after a program's exit that are looked through for it: changes of role, the session's end. */
const EXIT_PAGE = 100

/** A terminal session on a client's connection: output as bytes, typing, size, role. */
export function createTerminal(client: Pick<Client, 'attach' | 'clientId' | 'sessions'>, sessionId: string, options: TerminalOptions): Terminal {
  const clock = options.clock ?? systemClock
  const listeners = new Set<() => void>()
  let view = initialTerminalView
  let clientId = ''
  let hello: Hello | undefined
  let wanted: { readonly cols: number; readonly rows: number } | undefined
  let resizing = false
  let cancelResize: (() => void) | undefined
  let toldExitOf = 0
  let closed = false

  const show = (next: TerminalView): void => {
    if (next === view) return
    view = next
    if (wanted && view.role === 'writer') scheduleResize()
    for (const listener of [...listeners]) listener()
  }

  const scheduleResize = (): void => {
    if (closed) return
    cancelResize ??= clock.after(RESIZE_MS, () => {
      cancelResize = undefined
      void sendSize()
    })
  }
  const sendSize = async (): Promise<void> => {
    const size = wanted
    if (!size || resizing || closed || view.role === 'viewer' || handle.state.phase !== 'live' || view.exited) return
    if (size.cols === view.cols && size.rows === view.rows) return
    resizing = true
    // A refusal means another writer or no program: whoever comes next sends its own size.
    const sent = await handle.send('terminal.resize', size).then(
      () => true,
      () => false,
    )
    resizing = false
    if (sent) show({ ...view, ...size })
    if (sent && wanted !== size) scheduleResize()
  }

  const tellExit = async (exit: TerminalExit): Promise<void> => {
    show({ ...view, exited: exit })
    if (toldExitOf >= (view.incarnation ?? 1)) return
    toldExitOf = view.incarnation ?? 1
    await options.onExited?.(exit)
  }

  /** A snapshot of a terminal whose program has ended doesn't say how: its log does. */
  const lookForExit = async (head: number): Promise<void> => {
    const { events } = await client.sessions.before(sessionId, head + 1, { limit: EXIT_PAGE })
    const ends = events.filter(event => event.type === 'terminal.exited' || event.type === 'terminal.started')
    const last = ends.at(-1)
    if (view.exited || closed || last?.type === 'terminal.started') return
    await tellExit(last ? exitFromPayload(last.payload) : { exitCode: null, signal: null })
  }

  const onEvent = (event: Event, context: EventContext): void | Promise<void> => {
    if (event.type === 'terminal.output') return options.onOutput(bytesFromOutput(event.payload), context)
    if (event.type === 'terminal.exited') return tellExit(exitFromPayload(event.payload))
    show(viewAfterEvent(view, event, clientId, hello?.head_seq ?? 0))
    if (event.type === 'terminal.started') return options.onStarted?.(view.incarnation ?? 1, context)
    if (event.type === 'terminal.resized') return options.onResized?.(view.cols ?? 80, view.rows ?? 24, context)
    return undefined
  }

  const handle: Attachment = client.attach(sessionId, {
    mode: options.mode ?? (options.onSnapshot ? 'snapshot' : 'replay'),
    cursor: options.cursor ?? 0,
    windowBytes: options.windowBytes ?? WINDOW_BYTES,
    persist: false,
    ...(options.resumeMode ? { resumeMode: options.resumeMode } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
    onHello: async next => {
      clientId ||= await client.clientId()
      hello = next
      show(viewAfterHello(view, next))
    },
    onEvent,
    onGap: gap => options.onGap?.(gap),
    onSnapshot: async ({ state }) => {
      show(viewAfterScreen(view, state as TerminalScreen))
      await options.onSnapshot?.(state as TerminalScreen)
    },
    onCaughtUp: seq => {
      if (wanted) scheduleResize()
      const { terminal } = (hello?.session ?? {}) as { readonly terminal?: { readonly alive?: boolean } }
      // Not waited for: what is typed and printed meanwhile has nothing to do with it.
      if (terminal?.alive === false && !view.exited) lookForExit(seq).catch(() => {})
    },
    onStatus: state => {
      options.onStatus?.(state)
      if (state.phase === 'live' && wanted) scheduleResize()
      for (const listener of [...listeners]) listener()
    },
  })

  const typing = createTyping({
    send: payload => handle.send('terminal.input', payload),
    inputBytes: () => handle.state.hello?.limits.input_bytes ?? DEFAULT_LIMITS.input_bytes,
    onRefused: error => {
      if (!closed) options.onRefused?.(error)
    },
  })

  return {
    get sessionId() {
      return handle.sessionId
    },
    get view() {
      return view
    },
    get connection() {
      return handle.state
    },
    get isLive() {
      return handle.state.phase === 'live'
    },
    get waitingBytes() {
      return typing.waiting
    },
    write: data => typing.write(typeof data === 'string' ? new TextEncoder().encode(data) : data),
    settled: () => typing.settled(),
    resize: (cols, rows) => {
      wanted = { cols: clamped(cols), rows: clamped(rows) }
      scheduleResize()
    },
    takeWriter: async () => {
      const ack = await handle.send('terminal.take_writer', {})
      show({ ...view, role: 'writer' })
      return ack
    },
    signal: name => handle.send('terminal.signal', { signal: name }),
    respawn: () => handle.send('terminal.respawn', {}),
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    reconnect: () => handle.reconnect(),
    close: () => {
      closed = true
      cancelResize?.()
      handle.close()
    },
  }
}

const clamped = (size: number): number => Math.max(1, Math.min(MAX_SIZE, Math.floor(size) || 1))
