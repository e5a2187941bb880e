import type { AttachOptions } from '@holdfast/core'
import { type Cursor, HoldfastError, isId, type Mode, MODES, PAGE, parseCursor } from '@holdfast/protocol'

/** A cursor from text; an empty one counts as absent only where `emptyIsNone`. Throws `invalid_cursor`. */
export function cursorFromText(text: string | undefined, emptyIsNone = false): Cursor | undefined {
  if (text === undefined || (emptyIsNone && text === '')) return undefined
  const cursor = parseCursor(text)
  if (!cursor) throw new HoldfastError('invalid_cursor', 'A cursor is <seq> or <epoch>.<seq>.', { cursor: text.slice(0, 64) })
  return cursor
}

/** The one cursor among several names for it; two that differ are `invalid_request`, never a silent pick (SEQ-10). */
export function cursorFromQuery(query: URLSearchParams, names: readonly string[]): Cursor | undefined {
  const given = names.flatMap(name => {
    const text = query.get(name)
    return text === null ? [] : [text]
  })
  const cursors = given.map(text => cursorFromText(text) as Cursor)
  const [first, ...others] = cursors
  if (first && others.some(other => other.seq !== first.seq || other.epoch !== first.epoch))
    throw new HoldfastError('invalid_request', `Two cursors that differ: ${names.join(', ')}.`, { fields: names })
  return first
}

export function modeFromQuery(query: URLSearchParams): Mode | undefined {
  const mode = query.get('mode')
  if (mode === null) return undefined
  if (!(MODES as readonly string[]).includes(mode)) throw new HoldfastError('invalid_request', `mode is one of ${MODES.join(', ')}.`, { field: 'mode' })
  return mode as Mode
}

export function onMissingFromQuery(query: URLSearchParams): 'error' | 'new' {
  const value = query.get('on_missing') ?? 'error'
  if (value !== 'error' && value !== 'new') throw new HoldfastError('invalid_request', 'on_missing is "error" or "new".', { field: 'on_missing' })
  return value
}

export function clientIdFromQuery(query: URLSearchParams): string | undefined {
  const value = query.get('client_id')
  if (value === null) return undefined
  if (!isId(value)) throw new HoldfastError('invalid_request', 'client_id must match [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}.', { field: 'client_id' })
  return value
}

/** A whole number in [min, max]. */
export function intFromQuery(query: URLSearchParams, name: string, min: number, max: number): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const value = Number(text)
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(value) || value < min || value > max)
    throw new HoldfastError('invalid_request', `${name} is a whole number from ${min} to ${max}.`, { field: name, min, max })
  return value
}

export function flagFromQuery(query: URLSearchParams, name: string): boolean {
  const text = query.get(name)
  if (text === null || text === 'false' || text === '0') return false
  if (text === 'true' || text === '1' || text === '') return true
  throw new HoldfastError('invalid_request', `${name} is true or false.`, { field: name })
}

/** A longer wait counts as the longest (contract section 3). */
export function waitFromQuery(query: URLSearchParams): number {
  const wait = intFromQuery(query, 'wait', 0, Number.MAX_SAFE_INTEGER) ?? 0
  return Math.min(wait, PAGE.maxWaitMs)
}

/** How to attach, as every transport's query says it. */
export function attachOptionsFromQuery(query: URLSearchParams, cursor: Cursor | undefined): AttachOptions {
  const mode = modeFromQuery(query)
  const clientId = clientIdFromQuery(query)
  const windowBytes = intFromQuery(query, 'window_bytes', 1, Number.MAX_SAFE_INTEGER)
  const owner = query.get('owner')
  return {
    onMissing: onMissingFromQuery(query),
    ...(cursor ? { cursor } : {}),
    ...(mode === undefined ? {} : { mode }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(windowBytes === undefined ? {} : { windowBytes }),
    ...(owner === null ? {} : { owner }),
  }
}
