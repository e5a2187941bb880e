import type { AttachOptions } from '@holdfast/core'
import { CLIENT_CONTROL, type Cursor, HoldfastError, type Mode, parseCursor } from '@holdfast/protocol'
import type { ClientFrame } from './client-frame.ts'

/** How a `protocol.resume` asks to attach; `last_seen_seq` null counts as none. */
export function resumeOptions(frame: ClientFrame, clientId: string | undefined): AttachOptions {
  const raw = (frame.payload ?? {}) as { last_seen_seq?: unknown }
  const cursor = raw.last_seen_seq === undefined || raw.last_seen_seq === null ? undefined : parseCursor(raw.last_seen_seq)
  if (raw.last_seen_seq !== undefined && raw.last_seen_seq !== null && !cursor)
    throw new HoldfastError('invalid_cursor', 'last_seen_seq is <seq> or "<epoch>.<seq>".', { field: 'last_seen_seq' })
  const payload = parsePayload('protocol.resume', { ...raw, last_seen_seq: cursor?.seq })
  if (payload.epoch !== undefined && cursor?.epoch !== undefined && payload.epoch !== cursor.epoch)
    throw new HoldfastError('id_mismatch', 'epoch is another than the one in last_seen_seq.', { field: 'epoch' })
  const epoch = cursor?.epoch ?? payload.epoch
  return {
    ...(cursor ? { cursor: epoch === undefined ? cursor : ({ seq: cursor.seq, epoch } satisfies Cursor) } : {}),
    ...(payload.mode === undefined ? {} : { mode: payload.mode satisfies Mode }),
    ...(payload.window_bytes === undefined ? {} : { windowBytes: payload.window_bytes }),
    ...(payload.on_missing === undefined ? {} : { onMissing: payload.on_missing }),
    ...(clientId === undefined ? {} : { clientId }),
  }
}

/** The session that a frame is about. Throws `invalid_request` where it names none. */
export const sessionOf = (frame: ClientFrame): string => {
  if (frame.sessionId === undefined) throw new HoldfastError('invalid_request', 'header.session_id is missing.', { field: 'header.session_id' })
  return frame.sessionId
}

/** The payload of a control message. Throws `invalid_request`. */
export function parsePayload<T extends keyof typeof CLIENT_CONTROL>(type: T, payload: unknown): ReturnType<(typeof CLIENT_CONTROL)[T]['parse']> {
  const parsed = CLIENT_CONTROL[type].safeParse(payload ?? {})
  if (parsed.success) return parsed.data as ReturnType<(typeof CLIENT_CONTROL)[T]['parse']>
  const issue = parsed.error.issues[0]
  throw new HoldfastError('invalid_request', `${type}: ${issue?.path.join('.')} ${issue?.message}`, { field: `payload.${issue?.path.join('.')}` })
}

/** An id in the payload that is another than the one in the header is never silently picked over it (SEQ-10). */
export function checkBodySession(payload: unknown, sessionId: string): void {
  const inBody = (payload as { session_id?: unknown } | null | undefined)?.session_id
  if (inBody !== undefined && inBody !== sessionId)
    throw new HoldfastError('id_mismatch', 'payload.session_id is another than header.session_id.', { session_id: sessionId })
}
