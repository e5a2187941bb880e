export type OpenErrorCode =
  /** Another process has the data folder open. */
  | 'in_use'
  /** What is there is not a database of this store, or not one that can be read. */
  | 'damaged'
  /** SQLite is too old, or the database is newer than this program. */
  | 'unsupported'

/** Why a data folder can not be opened; its message says what to do. */
export class OpenError extends Error {
  readonly code: OpenErrorCode

  constructor(code: OpenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OpenError'
    this.code = code
  }
}

/** A checksum or a seq does not fit: the log of this session is not to be trusted. */
export class DamagedError extends Error {
  readonly sessionId: string

  constructor(sessionId: string, message: string) {
    super(message)
    this.name = 'DamagedError'
    this.sessionId = sessionId
  }
}
