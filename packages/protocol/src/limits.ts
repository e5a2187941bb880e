const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const DAY = 24 * 3600 * SECOND

/** Limits that hello tells every client (contract section 8). Sizes in bytes, times in ms. */
export interface Limits {
  /** One event, encoded, envelope included. */
  readonly event_bytes: number
  readonly input_bytes: number
  readonly body_bytes: number
  readonly blob_bytes: number
  readonly batch_events: number
  /** One WebSocket frame from the server. */
  readonly frame_bytes: number
  readonly connections: number
  readonly sessions: number
  readonly requests_per_second: number
  readonly id_retention_ms: number
}

export const DEFAULT_LIMITS: Limits = {
  event_bytes: 256 * KiB,
  input_bytes: 256 * KiB,
  body_bytes: 4 * MiB,
  blob_bytes: 64 * MiB,
  batch_events: 1000,
  frame_bytes: 256 * KiB,
  connections: 1000,
  sessions: 10_000,
  requests_per_second: 1000,
  id_retention_ms: 7 * DAY,
}

/** Poll pages (contract section 3). */
export const PAGE = { limit: 500, maxLimit: 1000, maxBytes: 4 * MiB, maxWaitMs: 30 * SECOND } as const

/** One attachment's turn on a shared socket, and the largest piece that a chunk of events is cut into. */
export const TURN_BYTES = 64 * KiB

/** A reader in mode `auto` that is this far behind gets a snapshot instead. */
export const AUTO_BYTES = MiB

/** The largest `data` of one `protocol.snapshot` part. */
export const SNAPSHOT_PART_BYTES = 192 * KiB

/** Objects and arrays in a body may be nested this deep. */
export const MAX_DEPTH = 200

/** The server pings, and where nothing was sent also sends `protocol.heartbeat`, this often. */
export const HEARTBEAT_MS = 10 * SECOND

/** A peer silent for this long is dropped. */
export const SILENCE_MS = 25 * SECOND

/** A reader that takes nothing for this long is closed with 4408. */
export const STALL_MS = 30 * SECOND

/** `protocol.auth` must come within this time where no header or ticket was sent. */
export const AUTH_MS = 2 * SECOND
