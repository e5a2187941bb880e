import type { Event, Hello } from '@holdfast/protocol'

/** How a program ended; both null where nobody saw it. */
export interface TerminalExit {
  readonly exitCode: number | null
  readonly signal: string | null
}

/** The state that a terminal's snapshot holds; `screen` redraws all of it when written to a reset terminal of that size. */
export interface TerminalScreen {
  readonly cols: number
  readonly rows: number
  readonly incarnation: number
  readonly screen: string
}

/** What is known of a terminal besides its output; a new object with every change. */
export interface TerminalView {
  /** May this client type? Undefined until the server has told, which it does not over long-poll. */
  readonly role: 'writer' | 'viewer' | undefined
  readonly cols: number | undefined
  readonly rows: number | undefined
  /** Counts programs under this id. */
  readonly incarnation: number | undefined
  readonly pid: number | undefined
  /** Set while no program runs. */
  readonly exited: TerminalExit | undefined
}

export const initialTerminalView: TerminalView = {
  role: undefined,
  cols: undefined,
  rows: undefined,
  incarnation: undefined,
  pid: undefined,
  exited: undefined,
}

interface SessionOfTerminal {
  readonly terminal?: { readonly pid?: number; readonly cols?: number; readonly rows?: number; readonly incarnation?: number }
}

/** Hello tells the role, and how things stand before any event is here. */
export function viewAfterHello(view: TerminalView, hello: Hello): TerminalView {
  const { terminal } = hello.session as SessionOfTerminal
  return {
    ...view,
    // Long-poll has no hello of the server's: what was known goes on.
    role: hello.role ?? view.role,
    cols: view.cols ?? terminal?.cols,
    rows: view.rows ?? terminal?.rows,
    incarnation: view.incarnation ?? terminal?.incarnation,
    pid: view.pid ?? terminal?.pid,
  }
}

export const viewAfterScreen = (view: TerminalView, { cols, rows, incarnation }: TerminalScreen): TerminalView => ({ ...view, cols, rows, incarnation })

/** `headSeq`: the head at hello, which told the role as of then; older changes of it are history. */
export function viewAfterEvent(view: TerminalView, event: Event, clientId: string, headSeq: number): TerminalView {
  const payload = event.payload as Readonly<Record<string, unknown>>
  switch (event.type) {
    case 'terminal.started': {
      const { cols, rows, incarnation, pid } = payload as { cols: number; rows: number; incarnation: number; pid: number }
      return { ...view, cols, rows, incarnation, pid, exited: undefined }
    }
    case 'terminal.resized': {
      const { cols, rows } = payload as { cols: number; rows: number }
      return { ...view, cols, rows }
    }
    case 'terminal.exited':
      return { ...view, exited: exitFromPayload(payload) }
    case 'terminal.writer_changed':
      return event.header.seq <= headSeq ? view : { ...view, role: payload['client_id'] === clientId ? 'writer' : 'viewer' }
    default:
      return view
  }
}

export const exitFromPayload = (payload: unknown): TerminalExit => {
  const { exit_code: exitCode, signal } = payload as { exit_code: number | null; signal: string | null }
  return { exitCode, signal }
}
