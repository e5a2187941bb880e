/** The subprotocols that `/ws` speaks; the first is what a client that names none gets. */
export const SUBPROTOCOLS = ['holdfast.v1+json', 'holdfast.v1+binary'] as const
