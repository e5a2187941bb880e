import type { Terminal, TerminalExit } from '@holdfast/client'
import type { Api } from '../api.ts'
import type { Io } from '../io.ts'
import { beforeKey, type CtrlKey } from './keys.ts'
import { createQuestionFilter } from './questions.ts'
import { afterScreen, beforeScreen, statusRow } from './screen-reset.ts'
import { spectatorOptions } from './spectator.ts'
import type { Tty } from './tty.ts'

export interface AttachSettings {
  readonly isReadOnly: boolean
  readonly takes: boolean
  /** The whole log instead of the screen as it is. */
  readonly replays: boolean
  readonly detachKey: CtrlKey
}

export type AttachEnd =
  /** `unsentBytes`: typed, and not known to have reached the program. */
  | { readonly type: 'detached'; readonly unsentBytes: number }
  | { readonly type: 'exited'; readonly exit: TerminalExit }
  | { readonly type: 'failed'; readonly error: Error }

/** A person watches, and leaves with a key: it never gives up by itself. */
const PATIENT = { maxTries: Number.MAX_SAFE_INTEGER, capMs: 2000 }
/** A blink of the connection is not worth a line. */
const STATUS_MS = 700
/** What was typed just before leaving still goes out, if it goes at once. */
const LAST_KEYS_MS = 1000
const NOTICE_MS = 3000

/** Shows a terminal session in this terminal until it is left, ends, or can't be had; the terminal is put back in any case. */
export async function attachSession(api: Api, id: string, settings: AttachSettings, tty: Tty, io: Io): Promise<AttachEnd> {
  const { createClient, createTerminal } = await import('@holdfast/client')
  const client = createClient({
    url: api.url,
    ...(api.token === undefined ? {} : settings.isReadOnly ? spectatorOptions(api, id) : { token: api.token }),
    clientId: settings.isReadOnly ? `${tty.clientId}:looks` : tty.clientId,
    store: null,
    policy: PATIENT,
  })
  let filter = createQuestionFilter()
  const write = (text: string | Uint8Array): Promise<void> => io.outBytes(typeof text === 'string' ? Buffer.from(text) : text)
  let end: (how: AttachEnd) => void = () => undefined
  const ended = new Promise<AttachEnd>(resolve => {
    end = resolve
  })
  let isFirst = true
  /** The last row is ours until the screen is drawn anew. */
  let isCovered = false
  let statusTimer: NodeJS.Timeout | undefined
  let isAsked = false
  let noticeTimer: NodeJS.Timeout | undefined

  const status = (text: string): void => {
    isCovered = true
    io.out(statusRow(` ${text}`, tty.columns, tty.rows))
  }
  const statusSoon = (text: string): void => {
    if (isCovered) status(text)
    else
      statusTimer ??= setTimeout(() => {
        statusTimer = undefined
        status(text)
      }, STATUS_MS)
  }
  const endStatus = (): void => {
    clearTimeout(statusTimer)
    statusTimer = undefined
  }
  /** A line for a while; then the screen is drawn anew, by attaching again. */
  const notice = (text: string): void => {
    if (noticeTimer) return
    status(text)
    noticeTimer = setTimeout(() => {
      noticeTimer = undefined
      if (isCovered && terminal.isLive) terminal.reconnect()
    }, NOTICE_MS)
  }
  /** Whoever only watches can't make the program fit. */
  const checkFit = (): void => {
    const { cols = 0, rows = 0, role } = terminal.view
    if ((role === 'writer' && !settings.isReadOnly) || (cols <= tty.columns && rows <= tty.rows)) return
    notice(
      `The program draws ${cols}×${rows}, this window is ${tty.columns}×${tty.rows}: make it larger${settings.isReadOnly ? '.' : ', or come back with --take.'}`,
    )
  }

  const terminal: Terminal = createTerminal(client, id, {
    mode: settings.replays ? 'replay' : 'snapshot',
    // Drawn anew where a line of ours lies over the screen.
    resumeMode: () => (isCovered ? 'snapshot' : 'auto'),
    onOutput: bytes => write(filter(bytes)),
    onSnapshot: async state => {
      filter = createQuestionFilter()
      await write(beforeScreen(tty.rows, isFirst))
      await write(filter(Buffer.from(state.screen)))
      isFirst = false
      isCovered = false
    },
    onExited: exit => end({ type: 'exited', exit }),
    onRefused: error => {
      const isRole = 'code' in error && error.code === 'forbidden'
      io.out('\u0007')
      notice(isRole ? `Another window types here. To take over: leave with ${settings.detachKey.name}, come back with --take.` : `Not typed: ${error.message}`)
    },
    onStatus: state => {
      if (state.phase === 'failed') end({ type: 'failed', error: state.error ?? new Error('The session can not be attached.') })
      else if (state.phase === 'waiting' || (state.phase === 'connecting' && state.tries > 0))
        statusSoon(`No connection to the server; trying again (${settings.detachKey.name} leaves, the program goes on).`)
      else if (state.phase === 'live') {
        endStatus()
        if (isAsked) return
        isAsked = true
        if (settings.takes) terminal.takeWriter().catch(error => end({ type: 'failed', error: error as Error }))
        else checkFit()
      }
    },
  })

  const stop = (): void => end({ type: 'detached', unsentBytes: terminal.waitingBytes })
  const leave = async (rest: Uint8Array): Promise<void> => {
    if (!settings.isReadOnly && rest.length > 0) void terminal.write(rest)
    if (terminal.isLive) await Promise.race([terminal.settled(), new Promise(resolve => setTimeout(resolve, LAST_KEYS_MS).unref())])
    stop()
  }
  const restoreRaw = tty.raw(typed => {
    const rest = beforeKey(typed, settings.detachKey)
    if (rest) void leave(rest)
    else if (!settings.isReadOnly) void terminal.write(typed)
  })
  const onSize = (): void => {
    if (!settings.isReadOnly) terminal.resize(tty.columns, tty.rows)
  }
  if (settings.replays) {
    // Nothing has come yet: the connection is opened in a later turn.
    io.out(beforeScreen(tty.rows, isFirst))
    isFirst = false
  }
  onSize()
  const stopResize = tty.onResize(onSize)
  const putBack = (): void => {
    restoreRaw()
    tty.writeNow(afterScreen())
  }
  const stopEnd = tty.onProcessEnd(putBack)
  io.signal.addEventListener('abort', stop, { once: true })
  try {
    return await ended
  } finally {
    io.signal.removeEventListener('abort', stop)
    endStatus()
    clearTimeout(noticeTimer)
    stopResize()
    stopEnd()
    terminal.close()
    client.close()
    putBack()
  }
}
