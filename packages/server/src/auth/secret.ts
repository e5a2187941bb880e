import { hash, timingSafeEqual } from 'node:crypto'

/** Where ids and secrets come from; `bytes` must be cryptographically strong. */
export interface Entropy {
  /** A UUIDv7. */
  id(): string
  bytes(length: number): Uint8Array
}

/** 256 bits: beyond guessing, so a right secret needs no further protection than its hash. */
const SECRET_BYTES = 32

/** 43 characters of base64url. */
export const newSecret = (entropy: Entropy): string => Buffer.from(entropy.bytes(SECRET_BYTES)).toString('base64url')

/** SHA-256 of a secret's text; a plain hash is enough for 256 random bits. */
export const hashOf = (secret: string): Buffer => hash('sha256', secret, 'buffer')

/** Compares in constant time, whatever the lengths are. */
export const sameSecret = (given: string, expected: string): boolean => timingSafeEqual(hashOf(given), hashOf(expected))

/** What an `Authorization` header can carry as a token: visible ASCII, no spaces, at most 4096 characters. */
export const TOKEN_PATTERN = /^[\x21-\x7e]{1,4096}$/
