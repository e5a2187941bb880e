import { bytesFromPayload } from '@holdfast/drivers'
import type { Event, Session } from '@holdfast/protocol'

/** A terminal's log as a text, event by event. */
export interface TerminalView {
  next(event: Event): string
  end(): string
}

interface Size {
  readonly cols: number
  readonly rows: number
}

/** asciicast v3: a header, then `[seconds since the one before, code, data]` a line (TERM-17). `base` is the state that a trimmed log begins with. */
export function createAsciicast(session: Session, base: unknown): TerminalView {
  const decoder = new TextDecoder()
  const state = base as (Size & { readonly screen: string }) | undefined
  let lastMs: number | undefined
  let isOpen = false
  const line = (value: unknown): string => `${JSON.stringify(value)}\n`
  const header = ({ cols, rows }: Size, atMs: number): string => {
    isOpen = true
    const { command } = (session['terminal'] ?? {}) as { command?: string }
    return line({
      version: 3,
      term: { cols, rows, type: 'xterm-256color' },
      timestamp: Math.floor(atMs / 1000),
      ...(command === undefined ? {} : { command }),
      ...(session.session_name === null ? {} : { title: session.session_name }),
    })
  }
  const record = (atMs: number, code: string, data: string): string => {
    const seconds = Math.max(0, atMs - (lastMs ?? atMs)) / 1000
    lastMs = atMs
    return line([seconds, code, data])
  }
  const open = (size: Size, atMs: number): string => {
    if (isOpen) return ''
    return state ? header(state, atMs) + record(atMs, 'o', state.screen) : header(size, atMs)
  }
  return {
    next({ type, header: { timestamp }, payload }) {
      const atMs = Date.parse(timestamp)
      const size = payload as Size
      if (type === 'terminal.started') return isOpen || state ? open(size, atMs) + record(atMs, 'r', `${size.cols}x${size.rows}`) : open(size, atMs)
      const begin = open({ cols: 80, rows: 24 }, atMs)
      if (type === 'terminal.output') {
        const text = decoder.decode(bytesFromPayload(payload), { stream: true })
        return text === '' ? begin : begin + record(atMs, 'o', text)
      }
      if (type === 'terminal.resized') return begin + record(atMs, 'r', `${size.cols}x${size.rows}`)
      if (type === 'terminal.exited') return begin + record(atMs, 'x', String((payload as { exit_code: number | null }).exit_code ?? 1))
      return begin
    },
    end: () => (isOpen ? '' : header({ cols: 80, rows: 24 }, Date.parse(session.created_at))),
  }
}

/** Escape sequences, whole: strings up to their end, CSI, and the short ones. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are made of
const SEQUENCE = /\x1b(?:[\]PX^_][\s\S]*?(?:\x07|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[ -/]*[0-OQ-WYZ\\`-~])/g
/** The start of one, at the end of a text; one that never ends is not waited for. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const BEGUN = /\x1b(?:[\]PX^_][^\x07\x1b]{0,4096}\x1b?|\[[0-?]{0,64}[ -/]{0,8}|[ -/]{0,8})$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g

/** What a terminal printed, without colours and movements; what is not UTF-8 is replaced (TERM-08). */
export function createPlainText(base: unknown): TerminalView {
  const decoder = new TextDecoder()
  let held = ''
  const clean = (text: string): string => text.replace(SEQUENCE, '').replace(CONTROL, '')
  const plain = (text: string): string => {
    const all = held + text
    const cut = all.match(BEGUN)?.index ?? all.length
    held = all.slice(cut)
    return clean(all.slice(0, cut))
  }
  let begin = base === undefined ? '' : clean((base as { screen: string }).screen)
  return {
    next({ type, payload }) {
      const first = begin
      begin = ''
      return type === 'terminal.output' ? first + plain(decoder.decode(bytesFromPayload(payload), { stream: true })) : first
    },
    end: () => begin + clean(held + decoder.decode()),
  }
}
