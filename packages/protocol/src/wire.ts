/** The part of the protocol that runs without a schema library: what a client needs at run time. */
export * from './canonical.ts'
export * from './chunk.ts'
export * from './codec/binary.ts'
export * from './cursor.ts'
export * from './envelope.ts'
export * from './errors.ts'
export * from './ids.ts'
export * from './limits.ts'
