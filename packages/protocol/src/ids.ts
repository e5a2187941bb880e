/** The form of every id that a client may choose (contract section 1). */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/

/** The session id under which every principal finds its own feed. */
export const FEED_ID = '_feed'

/** The protocol's major version, as it stands in every header. */
export const PROTOCOL_VERSION = 1

/** True for a string of the form that ids have. */
export const isId = (value: unknown): value is string => typeof value === 'string' && ID_PATTERN.test(value)
